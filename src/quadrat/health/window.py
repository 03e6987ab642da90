"""Two neighbouring windows over a series: the steps just gone, and those before them."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from math import fsum, nan
from typing import final


def mean(values: Collection[float]) -> float:
    """The mean, rounded once: it does not depend on order, and a passed spike leaves no trace. Needs a value."""
    try:
        return fsum(values) / len(values)
    except OverflowError:
        return fsum(value / len(values) for value in values)
    except ValueError:
        return nan  # both infinities at once


@final
class _Window:
    """Values with their steps, oldest first. Two queues, since the values are summed for every row."""

    __slots__ = ("steps", "values")

    def __init__(self) -> None:
        self.steps: deque[int] = deque()
        self.values: deque[float] = deque()

    def add(self, step: int, value: float) -> None:
        self.steps.append(step)
        self.values.append(value)

    def shed(self, last_out: int, into: _Window | None) -> None:
        """Drop what is not later than ``last_out``, or hand it over."""
        while self.steps and self.steps[0] <= last_out:
            step, value = self.steps.popleft(), self.values.popleft()
            if into is not None:
                into.add(step, value)


@final
class Windows:
    """The last ``recent`` steps and the ``before`` steps ahead of them. All lengths count steps, not rows."""

    __slots__ = ("_before", "_first", "_new", "_old", "_recent", "_stride")

    def __init__(self, *, recent: int, before: int) -> None:
        self._recent = recent
        self._before = before
        self._new = _Window()
        self._old = _Window()
        self._first: int | None = None
        self._stride = 0

    def change(self, step: int, value: float) -> float | None:
        """Take in a value; returns mean of the recent minus mean of the old, or None while they are not full.

        A value stands for the steps since the one before it, the very first for as many as the second. So a
        series that is logged every 10 steps fills a window of 100 with 10 values.
        """
        if self._first is None:
            self._first = step
        elif self._stride == 0:
            self._stride = max(0, step - self._first)
        self._new.add(step, value)
        self._new.shed(step - self._recent, into=self._old)
        self._old.shed(step - self._recent - self._before, into=None)
        covered = step - self._first + self._stride
        if covered < self._recent + self._before or not self._old.values:
            return None
        return mean(self._new.values) - mean(self._old.values)
