"""The class of a cell of a phase diagram: which of the phases that the study names its runs are in.

A study gives each phase a demand on a metric. A cell is of the class that its means belong to, and this is *settled*
when the t interval of every mean lies on one side of its threshold; below three measured runs nothing is settled.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from quadrat.analyze.rows import Row
from quadrat.analyze.stats import Estimate, Method, t_interval
from quadrat.study.quantities import Demand

ENOUGH: Final = 3
"""Measured runs from which on a class can be settled: from here on there is a t interval."""


@final
@dataclass(frozen=True, slots=True)
class Phase:
    """The class of a cell.

    Attributes:
        label: the class of the cell's means.
        met: the named classes whose demand the means meet.
        settled: whether no threshold lies inside an interval.
        runs: how many of the measured runs are of which class, each taken by itself.
    """

    label: str
    met: tuple[str, ...]
    settled: bool
    runs: Mapping[str, int]


def outside(names: Sequence[str]) -> str:
    """The class of what meets none of the named ones."""
    return f"not {names[0]}" if len(names) == 1 else ("neither" if len(names) == 2 else "none")


def class_label(met: Sequence[str], names: Sequence[str]) -> str:
    """The class of what meets some of the named ones: one name, several with a plus, ``both``, ``neither``."""
    if not met:
        return outside(names)
    return "both" if len(met) == len(names) == 2 else " + ".join(met)


def phase_of(rows: Sequence[Row], classes: Mapping[str, Demand]) -> Phase | None:
    """The class of the runs of one cell; None where no class is named, or one of their metrics is not measured."""
    names = tuple(classes)
    estimates = {name: t_interval([row.value(demand.metric) for row in rows]) for name, demand in classes.items()}
    if not names or not all(estimate.measured for estimate in estimates.values()):
        return None
    met = tuple(name for name, demand in classes.items() if demand.comparison.holds(estimates[name].mean))
    return Phase(
        label=class_label(met, names),
        met=met,
        settled=all(_is_settled(estimates[name], demand) for name, demand in classes.items()),
        runs=_run_classes(rows, classes),
    )


def _is_settled(estimate: Estimate, demand: Demand) -> bool:
    """Whether the threshold lies outside the interval. Seeds that all agree have no interval and leave no doubt."""
    if estimate.measured < ENOUGH:
        return False
    holds = demand.comparison.holds
    return estimate.method is Method.NO_VARIATION or holds(estimate.low) == holds(estimate.high)


def _run_classes(rows: Sequence[Row], classes: Mapping[str, Demand]) -> dict[str, int]:
    names = tuple(classes)
    counted: Counter[str] = Counter()
    for row in rows:
        values = {name: row.value(demand.metric) for name, demand in classes.items()}
        if all(map(math.isfinite, values.values())):
            counted[class_label([name for name in names if classes[name].comparison.holds(values[name])], names)] += 1
    return dict(counted)
