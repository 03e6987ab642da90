"""The columns of a phase diagram against the column of the baseline, paired by seed.

A cell has few runs; a column has as many times more as there are rows. The unit stays the seed: each contributes one
number, its mean over the rows, so that runs which share a seed are not counted as if they were independent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

from quadrat.analyze.rows import Row
from quadrat.analyze.stats import Paired, holm, paired

Side: TypeAlias = Mapping[int, float]
"""Seed to value, of the runs of one cell."""


@final
@dataclass(frozen=True, slots=True)
class Contrast:
    """A column of the grid against the column of the baseline, paired by seed.

    Each seed contributes the mean of its differences over the rows ``ys``: those in which every planned run of both
    columns is measured, so that all seeds are averaged over the same rows. ``rows`` counts the rows that both have.
    """

    x: Any
    baseline: Any
    ys: tuple[Any, ...]
    rows: int
    result: Paired
    p_holm: float | None
    family: int


def contrasts(
    cells: Mapping[tuple[int, int], Sequence[Row]],
    *,
    metric: str,
    base: int | None,
    xs: Sequence[Any],
    ys: Sequence[Any],
) -> tuple[Contrast, ...]:
    """Every other column against the column ``base``, Holm over all of them.

    Args:
        cells: the runs of each cell, by column and row.
        metric: what is compared.
        base: the column of the baseline; without one there is nothing to compare with.
        xs: the columns' values.
        ys: the rows' values.
    """
    if base is None:
        return ()
    found: list[tuple[int, int, tuple[int, ...], Paired]] = []
    for i in range(len(xs)):
        shared = [j for j in range(len(ys)) if (i, j) in cells and (base, j) in cells]
        if i != base and shared:
            pairs = {j: (_by_seed(cells[i, j], metric), _by_seed(cells[base, j], metric)) for j in shared}
            whole = tuple(j for j, sides in pairs.items() if all(map(_is_whole, sides)))
            found.append((i, len(shared), whole, _over_rows(pairs, whole)))
    adjusted = holm([result.p for *_, result in found])
    return tuple(
        Contrast(
            x=xs[i],
            baseline=xs[base],
            ys=tuple(ys[j] for j in whole),
            rows=rows,
            result=result,
            p_holm=p,
            family=len(found),
        )
        for (i, rows, whole, result), p in zip(found, adjusted, strict=True)
    )


def _over_rows(pairs: Mapping[int, tuple[Side, Side]], whole: Sequence[int]) -> Paired:
    """Each seed's mean over the rows ``whole`` on one side against its mean over the same rows on the other."""
    seeds = {seed for sides in pairs.values() for side in sides for seed in side}
    here = {seed: _mean([pairs[j][0].get(seed, math.nan) for j in whole]) for seed in seeds}
    there = {seed: _mean([pairs[j][1].get(seed, math.nan) for j in whole]) for seed in seeds}
    return paired(here, there)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values and all(map(math.isfinite, values)) else math.nan


def _is_whole(side: Side) -> bool:
    return bool(side) and all(map(math.isfinite, side.values()))


def _by_seed(rows: Sequence[Row], metric: str) -> Side:
    return {row.seed: row.value(metric) for row in rows if row.seed is not None}
