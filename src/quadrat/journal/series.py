"""Rows of metrics as arrays, one series a metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from quadrat.journal.plain import unspell

Steps: TypeAlias = NDArray[np.int64]
Values: TypeAlias = NDArray[np.float64]

_FIRST, _LAST = -(2**63), 2**63 - 1


@final
@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One metric of one run, in the order it was written. Non-finite values are in there as such."""

    steps: Steps
    values: Values

    def __len__(self) -> int:
        return len(self.steps)


@final
class _Block:
    """The rows that name the same metrics in the same order, as most rows of a run do."""

    def __init__(self) -> None:
        self.order: list[int] = []
        self.steps: list[int] = []
        self.rows: list[list[Any]] = []

    def columns(self, names: tuple[str, ...]) -> tuple[list[_Part], int]:
        """One part of a series for every name, and how many values were no numbers."""
        order, steps = np.array(self.order, dtype=np.int64), np.array(self.steps, dtype=np.int64)
        try:
            table = np.array(self.rows, dtype=np.float64).T
            # numpy reads a missing value as NaN too, so what is not finite is looked at one by one.
            if np.isfinite(table).all():
                return [_Part(name, order, steps, line.copy()) for name, line in zip(names, table, strict=True)], 0
        except (ValueError, TypeError, OverflowError):
            pass
        parts: list[_Part] = []
        for name, column in zip(names, zip(*self.rows, strict=True), strict=True):
            good = [place for place, value in enumerate(column) if _is_number(value)]
            values = np.array([unspell(column[place]) for place in good], dtype=np.float64)
            parts.append(_Part(name, order[good], steps[good], values))
        return parts, sum(len(order) - len(part.order) for part in parts)


@final
@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of one series; ``order`` says where in the file each value stood."""

    name: str
    order: Steps
    steps: Steps
    values: Values


def build_series(rows: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Series], int]:
    """A series for every metric in ``rows``, and how many rows or values were no metrics."""
    blocks: dict[tuple[str, ...], _Block] = {}
    bad = 0
    for place, row in enumerate(rows):
        step, values = row.get("step"), row.get("metrics")
        if not isinstance(step, int) or not isinstance(values, dict) or not _FIRST <= step <= _LAST:
            bad += 1
            continue
        names = tuple(values)
        block = blocks.get(names)
        if block is None:
            block = blocks[names] = _Block()
        block.order.append(place)
        block.steps.append(step)
        block.rows.append(list(values.values()))
    parts: dict[str, list[_Part]] = {}
    for names, block in blocks.items():
        columns, wrong = block.columns(names)
        bad += wrong
        for part in columns:
            parts.setdefault(part.name, []).append(part)
    return {name: _join(pieces) for name, pieces in parts.items()}, bad


def _join(parts: list[_Part]) -> Series:
    if len(parts) == 1:
        return Series(parts[0].steps, parts[0].values)
    order = np.argsort(np.concatenate([part.order for part in parts]), kind="stable")
    steps = np.concatenate([part.steps for part in parts])[order]
    return Series(steps, np.concatenate([part.values for part in parts])[order])


def _is_number(value: Any) -> bool:
    try:
        unspell(value)
    except (ValueError, OverflowError):
        return False
    return True
