"""Which figures a study gets: phase diagrams, final values per primary metric, curves per metric of each panel."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import final

from quadrat.analyze.declaration import Condition, is_reference, plain
from quadrat.analyze.diagram import PhaseDiagram
from quadrat.analyze.rows import Row
from quadrat.analyze.stats import t_interval
from quadrat.analyze.table import StudyTable
from quadrat.journal.reader import Series
from quadrat.report.drawing import Drawing
from quadrat.report.figures import Bundle, Curve, Dots, draw_curves, draw_dots
from quadrat.report.heatmap import draw_heatmap

MOST = 24
"""Figures of one kind; a study that logs more metrics than a person can look at names those it means in panels."""

_Places = Mapping[Condition, int]


@final
@dataclass(frozen=True, slots=True)
class Shown:
    """A figure with its place: a file name without ending, the section it belongs to and the stage it shows."""

    slug: str
    section: str
    stage: str | None
    metric: str
    drawing: Drawing


def diagrams(found: Sequence[PhaseDiagram]) -> Iterator[Shown]:
    """The phase diagrams of which something is measured, one figure each."""
    named = [(slug, diagram) for slug, diagram in diagram_slugs(found).items() if diagram.measured]
    for slug, diagram in named[:MOST]:
        yield Shown(slug, "diagrams", diagram.stage, diagram.declared.metric, draw_heatmap(diagram))


def diagram_slugs(found: Sequence[PhaseDiagram]) -> dict[str, PhaseDiagram]:
    """A file name without ending for each diagram, told apart by number where the words are the same."""
    named: dict[str, PhaseDiagram] = {}
    for diagram in found:
        declared = diagram.declared
        fixed = [f"{key}-{plain(value)}" for key, value in diagram.fixed.items()]
        base = _slug("-".join(["diagram", declared.x, declared.y, *fixed]), declared.metric, diagram.stage)
        others = (f"{base}-{number}" for number in count(2))
        named[next(slug for slug in chain([base], others) if slug not in named)] = diagram
    return named


def dots(table: StudyTable) -> Iterator[Shown]:
    """Final values of the primary metrics, by condition, one figure per metric and stage."""
    numbers = _numbers(table)
    baselines = table.baselines()
    for metric in table.primary()[:MOST]:
        found = table.by_condition(metric)
        for stage in table.stages():
            groups = [
                Dots(
                    number=numbers[condition],
                    label=condition.label,
                    estimate=estimate,
                    kind="baseline" if baselines.get(stage) == condition else "",
                )
                for condition, estimate in found
                if condition.stage == stage
            ]
            if any(group.estimate.measured for group in groups):
                groups += list(_yardsticks(table, metric, stage))
                drawing = draw_dots(metric, groups)
                yield Shown(_slug("final", metric, stage), "final", stage, metric, drawing)


def _yardsticks(table: StudyTable, metric: str, stage: str | None) -> Iterator[Dots]:
    """``oracle/<metric>`` and its like over all runs of the stage, as one row each."""
    for name in table.metrics():
        kind, _, rest = name.partition("/")
        if is_reference(name) and rest == metric:
            values = [row.final[name] for row in table.rows if row.stage == stage and name in row.final]
            if values:
                yield Dots(number=0, label=kind, estimate=t_interval(values), kind="reference")


def curves(table: StudyTable) -> Iterator[Shown]:
    """The curves of every panel, every seed drawn, one figure per metric and stage."""
    numbers = _numbers(table)
    wanted = {metric for _, metrics in table.panels() for metric in metrics}
    # Only what is drawn is kept: the rows of a large study do not fit in memory all at once.
    series = {
        row.declared.place: {name: found for name, found in row.series().items() if name in wanted}
        for row in table.rows
    }
    drawn = 0
    for title, metrics in table.panels():
        for metric in metrics:
            for stage in table.stages():
                bundles = _bundles(table, metric, stage, numbers=numbers, series=series)
                if drawn < MOST and any(curve.steps.size > 1 for bundle in bundles for curve in bundle.curves):
                    drawn += 1
                    yield Shown(_slug("curve", metric, stage), title, stage, metric, draw_curves(metric, bundles))


def _bundles(
    table: StudyTable,
    metric: str,
    stage: str | None,
    *,
    numbers: _Places,
    series: Mapping[str, Mapping[str, Series]],
) -> list[Bundle]:
    return [
        Bundle(
            number=numbers[condition],
            label=condition.label,
            planned=len(rows),
            curves=tuple(_curves(rows, metric, series=series)),
        )
        for condition, rows in table.conditions().items()
        if condition.stage == stage
    ]


def _curves(rows: Sequence[Row], metric: str, *, series: Mapping[str, Mapping[str, Series]]) -> Iterator[Curve]:
    for row in rows:
        found = series[row.declared.place].get(metric)
        if found is not None and len(found):
            yield Curve(seed=row.seed, status=row.status, steps=found.steps, values=found.values)


def _numbers(table: StudyTable) -> _Places:
    """A number per condition, the same for the same label in every stage: it decides colour, dash and shape."""
    labels = list(dict.fromkeys(condition.label for condition in table.conditions()))
    return {condition: labels.index(condition.label) for condition in table.conditions()}


def _slug(kind: str, metric: str, stage: str | None) -> str:
    words = "-".join(part for part in (kind, stage, metric) if part)
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", words).strip("-.")[:120]
