"""Phase diagrams: one metric over two axes, cell by cell, with what each cell rests on.

A cell holds the runs of one combination of the two axes. Its mean covers the measured runs, its ``n`` all planned ones.
Where the study names phases, each cell is of one class (``phase.py``), and the boundary runs between neighbouring cells
of different class.

A study with more axes than two gets one diagram per combination of the others, and one per stage. Arms are points
beside the grid and have no cell.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias, final

from quadrat.analyze.contrast import Contrast, contrasts
from quadrat.analyze.declaration import Condition, DeclaredDiagram
from quadrat.analyze.phase import Phase, outside, phase_of
from quadrat.analyze.rows import MEASURING, Row
from quadrat.analyze.stats import Estimate, t_interval
from quadrat.analyze.table import StudyTable, status_word

Place: TypeAlias = tuple[int, int]
"""Column and row of a cell, counted in declared order from 0."""


@final
@dataclass(frozen=True, slots=True)
class Missing:
    """A planned run that a cell's mean leaves out, and why."""

    seed: int | None
    why: str


@final
@dataclass(frozen=True, slots=True)
class Cell:
    """One combination of the two axes. ``phase`` is None where no class is named or one of their metrics is missing."""

    x: Any
    y: Any
    condition: Condition
    estimate: Estimate
    missing: tuple[Missing, ...]
    phase: Phase | None

    @property
    def half(self) -> float:
        """Half the width of the t interval of the mean; NaN where there is none."""
        return self.estimate.high - self.estimate.mean if self.estimate.has_interval else math.nan

    @property
    def spread(self) -> tuple[float, float]:
        """The least and the greatest of the measured values; NaN when there are none."""
        found = self.estimate.finite
        return (min(found), max(found)) if found else (math.nan, math.nan)


@final
@dataclass(frozen=True, slots=True)
class Edge:
    """A piece of the boundary: two neighbouring cells of different class. Settled when both of them are."""

    first: Place
    second: Place
    settled: bool


@final
@dataclass(frozen=True, slots=True)
class Crossing:
    """Where the class changes on the way along one axis, the other held at ``at``."""

    along: str
    at: Any
    before: Any
    after: Any
    old: str
    new: str
    settled: bool


@final
@dataclass(frozen=True, slots=True)
class PhaseDiagram:
    """A metric over two axes.

    Attributes:
        declared: what the study asked for.
        stage: the stage whose runs it shows.
        fixed: the values of the study's other axes, where it has any.
        xs: the columns' values, in declared order.
        ys: the rows' values, in declared order.
        rows: the cells, row by row; None where nothing was declared.
        contrasts: every other column against the baseline's; empty when the baseline is not on the grid.
    """

    declared: DeclaredDiagram
    stage: str | None
    fixed: Mapping[str, Any]
    xs: tuple[Any, ...]
    ys: tuple[Any, ...]
    rows: tuple[tuple[Cell | None, ...], ...]
    contrasts: tuple[Contrast, ...]

    def cells(self) -> Iterator[tuple[Place, Cell]]:
        """The declared cells with their places, row by row."""
        for j, row in enumerate(self.rows):
            for i, cell in enumerate(row):
                if cell is not None:
                    yield (i, j), cell

    @property
    def planned(self) -> int:
        """How many runs the diagram stands on when all are there."""
        return sum(cell.estimate.n for _, cell in self.cells())

    @property
    def measured(self) -> int:
        """How many of them are measured."""
        return sum(cell.estimate.measured for _, cell in self.cells())

    @property
    def classes(self) -> tuple[str, ...]:
        """Every class that a cell or a run is of here: named ones first, then mixtures, then none of them."""
        names = tuple(self.declared.classes)
        seen = {label for _, cell in self.cells() if cell.phase for label in (cell.phase.label, *cell.phase.runs)}
        return tuple(
            name for name in (*names, *sorted(seen - {*names, outside(names)}), outside(names)) if name in seen
        )

    def boundary(self) -> tuple[Edge, ...]:
        """Every pair of neighbouring cells of different class."""
        phases = {place: cell.phase for place, cell in self.cells() if cell.phase}
        return tuple(
            Edge((i, j), other, settled=phase.settled and phases[other].settled)
            for (i, j), phase in phases.items()
            for other in ((i + 1, j), (i, j + 1))
            if other in phases and phases[other].label != phase.label
        )

    def crossings(self) -> tuple[Crossing, ...]:
        """The boundary row by row, along x; along y if there is one column only. Unmeasured cells are passed over."""
        if len(self.xs) > 1:
            return tuple(found for y, row in zip(self.ys, self.rows, strict=True) for found in self._along(row, at=y))
        columns = zip(*self.rows, strict=True)
        return tuple(found for x, column in zip(self.xs, columns, strict=True) for found in self._along(column, at=x))

    def _along(self, line: Iterable[Cell | None], *, at: Any) -> Iterator[Crossing]:
        upright = len(self.xs) == 1
        classed = [(cell.y if upright else cell.x, cell.phase) for cell in line if cell is not None and cell.phase]
        for (before, old), (after, new) in pairwise(classed):
            if old.label != new.label:
                yield Crossing(
                    along=self.declared.y if upright else self.declared.x,
                    at=at,
                    before=before,
                    after=after,
                    old=old.label,
                    new=new.label,
                    settled=old.settled and new.settled,
                )


def phase_diagrams(table: StudyTable) -> tuple[PhaseDiagram, ...]:
    """Every declared diagram of a study, stage by stage; none for a stage whose runs lie on no such grid."""
    return tuple(
        found
        for declared in table.declaration.diagrams()
        for stage in table.stages()
        for found in _slices(table, declared, stage=stage)
    )


def _slices(table: StudyTable, declared: DeclaredDiagram, *, stage: str | None) -> Iterator[PhaseDiagram]:
    """One diagram per combination of the axes that are neither x nor y."""
    groups: dict[str, dict[Condition, Sequence[Row]]] = {}
    for condition, rows in table.conditions().items():
        if condition.stage == stage and condition.arm is None and {declared.x, declared.y} <= condition.point.keys():
            groups.setdefault(_key(_fixed(condition, declared)), {})[condition] = rows
    for conditions in groups.values():
        yield _diagram(table, declared, conditions=conditions)


def _fixed(condition: Condition, declared: DeclaredDiagram) -> dict[str, Any]:
    return {key: value for key, value in condition.point.items() if key not in (declared.x, declared.y)}


def _diagram(
    table: StudyTable, declared: DeclaredDiagram, *, conditions: Mapping[Condition, Sequence[Row]]
) -> PhaseDiagram:
    xs, ys = (_values(conditions, axis) for axis in (declared.x, declared.y))
    places: dict[Place, Condition] = {}
    for condition in conditions:
        x, y = (_key(condition.point[axis]) for axis in (declared.x, declared.y))
        places[list(xs).index(x), list(ys).index(y)] = condition
    cells = {place: _cell(condition, conditions[condition], declared) for place, condition in places.items()}
    first = next(iter(conditions))
    return PhaseDiagram(
        declared=declared,
        stage=first.stage,
        fixed=_fixed(first, declared),
        xs=tuple(xs.values()),
        ys=tuple(ys.values()),
        rows=tuple(tuple(cells.get((i, j)) for i in range(len(xs))) for j in range(len(ys))),
        contrasts=contrasts(
            {place: conditions[condition] for place, condition in places.items()},
            metric=declared.metric,
            base=_base(table, places, conditions),
            xs=tuple(xs.values()),
            ys=tuple(ys.values()),
        ),
    )


def _base(
    table: StudyTable, places: Mapping[Place, Condition], conditions: Mapping[Condition, Sequence[Row]]
) -> int | None:
    """The column of the baseline; None when it lies in several columns or in none."""
    found = {i for (i, _), condition in places.items() if _is_baseline(table, condition, conditions[condition])}
    return min(found) if len(found) == 1 else None


def _values(conditions: Iterable[Condition], axis: str) -> dict[str, Any]:
    """An axis's values as first met. Told apart as JSON: 1 and true are different values, and a list is one too."""
    return {_key(condition.point[axis]): condition.point[axis] for condition in conditions}


def _is_baseline(table: StudyTable, condition: Condition, rows: Sequence[Row]) -> bool:
    return table.declaration.is_baseline(
        condition, lambda: next((found for found in (row.config() for row in rows) if found), {})
    )


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _cell(condition: Condition, rows: Sequence[Row], declared: DeclaredDiagram) -> Cell:
    metric = declared.metric
    return Cell(
        x=condition.point[declared.x],
        y=condition.point[declared.y],
        condition=condition,
        estimate=t_interval([row.value(metric) for row in rows]),
        missing=tuple(Missing(row.seed, _why(row, metric)) for row in rows if not math.isfinite(row.value(metric))),
        phase=phase_of(rows, declared.classes),
    )


def _why(row: Row, metric: str) -> str:
    if row.status not in MEASURING:
        return status_word(row.status)
    if metric not in row.final:
        return "not logged"
    return "not a number" if math.isnan(row.final[metric]) else "infinite"
