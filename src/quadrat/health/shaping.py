"""What is done to a series before it is judged: held against its own past, and smoothed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from math import isfinite, nan
from statistics import median
from types import MappingProxyType
from typing import Final, final

from quadrat.health.reading import ratio
from quadrat.health.window import mean

PASTS: Final = ("min", "max", "first")
"""What a value may be divided by: its smallest, its largest or its first finite value so far."""

WORDS: Final[Mapping[str, str]] = MappingProxyType({"min": "smallest", "max": "largest", "first": "first"})
STATISTICS: Final = ("mean", "median")


@final
class Past:
    """Divides each value by what the series has been: 3 is three times its smallest value so far."""

    __slots__ = ("_kind", "_reference")

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._reference = nan

    def relate(self, value: float) -> float:
        """Take in a value; returns it over the reference, which the value itself may have just become."""
        if isfinite(value) and self._is_new(value):
            self._reference = value
        return ratio(value, self._reference)

    def _is_new(self, value: float) -> bool:
        if not isfinite(self._reference):
            return True
        if self._kind == "first":
            return False
        return value < self._reference if self._kind == "min" else value > self._reference


@final
class Smoother:
    """The mean or the median of the last ``steps`` steps. Lengths count steps, not rows."""

    __slots__ = ("_first", "_median", "_steps", "_stride", "_values")

    def __init__(self, kind: str, steps: int) -> None:
        self._median = kind == "median"
        self._steps = steps
        self._values: deque[tuple[int, float]] = deque()
        self._first: int | None = None
        self._stride = 0

    def add(self, step: int, value: float) -> float | None:
        """Take in a value; None until the window is full.

        A value stands for the steps since the one before it, the very first for as many as the second.
        """
        if self._first is None:
            self._first = step
        elif self._stride == 0:
            self._stride = max(0, step - self._first)
        self._values.append((step, value))
        while self._values[0][0] <= step - self._steps:
            self._values.popleft()
        if step - self._first + max(1, self._stride) < self._steps:
            return None
        values = [kept for _, kept in self._values]
        return _median(values) if self._median else mean(values)


def _median(values: list[float]) -> float:
    """The median of the finite values; NaN when most are not finite."""
    finite = [value for value in values if isfinite(value)]
    return median(finite) if 2 * len(finite) > len(values) else nan
