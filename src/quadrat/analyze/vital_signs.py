"""What the health rules said of each run, rule by rule and over its steps, and how its first steps went."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from quadrat.analyze.rows import Row
from quadrat.analyze.table import StudyTable
from quadrat.core.errors import QuadratError
from quadrat.journal.atomic import read_json

STATES: Final = ("fail", "warn", "ok", "not_measured")
"""The states of a rule, the worst first."""

FIRST_STEPS: Final = 100


@final
@dataclass(frozen=True, slots=True)
class Strip:
    """One rule over one run: what it said from which step on. ``spans``: first step, last step, state."""

    rule: str
    metric: str
    state: str
    spans: tuple[tuple[int, int, str], ...]


@final
@dataclass(frozen=True, slots=True)
class Start:
    """How a metric did in the first steps of a run.

    Attributes:
        metric: its name.
        first, last: its first value and the last within those steps; NaN where it was not logged.
        rules: the rules that watch it, with what they said within those steps.
    """

    metric: str
    first: float
    last: float
    rules: tuple[tuple[str, str], ...]


def health_of(row: Row) -> tuple[Mapping[str, Any], ...]:
    """The rows of a run's ``health.json``; empty while it runs and where there is none that can be read."""
    if row.view is None:
        return ()
    try:
        told = read_json(row.view.folder.health)
    except QuadratError:
        return ()
    rules = told.get("rules") if isinstance(told, Mapping) else None
    return tuple(rule for rule in rules if isinstance(rule, Mapping)) if isinstance(rules, list) else ()


def counts(table: StudyTable) -> dict[str, dict[str, int]]:
    """For each rule how many runs ended in which state, in the order the rules were declared."""
    found: dict[str, dict[str, int]] = {}
    for row in table.rows:
        for rule in health_of(row):
            states = found.setdefault(str(rule.get("id")), dict.fromkeys(STATES, 0))
            state = str(rule.get("state"))
            states[state if state in states else "not_measured"] += 1
    return found


def troubled(table: StudyTable, most: int) -> list[tuple[Row, tuple[Mapping[str, Any], ...]]]:
    """Up to ``most`` runs that rules have looked at, those in trouble first."""
    judged = [(row, rules) for row in table.rows if (rules := health_of(row))]
    judged.sort(key=lambda pair: min(_severity(rule) for rule in pair[1]))
    return judged[:most]


def strips(row: Row, rules: Sequence[Mapping[str, Any]]) -> tuple[Strip, ...]:
    """Every rule of a run over its steps."""
    last = max(row.last_step or 0, *(_last_change(rule) for rule in rules), 1)
    return tuple(
        Strip(str(rule.get("id")), str(rule.get("metric")), str(rule.get("state")), _spans(rule, last))
        for rule in rules
    )


def start(row: Row, rules: Sequence[Mapping[str, Any]], *, steps: int = FIRST_STEPS) -> tuple[Start, ...]:
    """How every watched metric did in the first ``steps`` steps of a run."""
    series = row.series()
    by_metric: dict[str, list[tuple[str, str]]] = {}
    for rule in rules:
        for metric in str(rule.get("metric")).split(" / "):
            by_metric.setdefault(metric, []).append((str(rule.get("id")), _state_at(rule, steps)))
    found: list[Start] = []
    for metric, said in by_metric.items():
        first = last = math.nan
        if metric in series:
            early = series[metric].values[np.asarray(series[metric].steps) <= steps]
            if len(early):
                first, last = float(early[0]), float(early[-1])
        found.append(Start(metric, first, last, tuple(said)))
    return tuple(found)


def _severity(rule: Mapping[str, Any]) -> int:
    state = str(rule.get("state"))
    return STATES.index(state) if state in STATES else len(STATES)


def _changes(rule: Mapping[str, Any]) -> list[tuple[int, str]]:
    told = rule.get("transitions")
    known = [change for change in told if isinstance(change, Mapping)] if isinstance(told, list) else []
    return [(change["step"], str(change.get("state"))) for change in known if isinstance(change.get("step"), int)]


def _last_change(rule: Mapping[str, Any]) -> int:
    return max((step for step, _ in _changes(rule)), default=0)


def _spans(rule: Mapping[str, Any], last: int) -> tuple[tuple[int, int, str], ...]:
    """The steps from 0 to ``last`` divided by state; before the first judgement nothing is measured."""
    changes = [(0, "not_measured"), *_changes(rule)]
    ends = [*(step for step, _ in changes[1:]), last + 1]
    cut = zip(changes, ends, strict=True)
    return tuple((step, end - 1, state) for (step, state), end in cut if end > step)


def _state_at(rule: Mapping[str, Any], step: int) -> str:
    """The worst that a rule had said by ``step``."""
    said = [state for at, state in _changes(rule) if at <= step and state in STATES]
    return min(said, key=STATES.index, default="not_measured")
