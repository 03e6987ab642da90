"""Two series of metrics side by side: where they part, and by how much."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, final

from quadrat.journal.plain import unspell

CLOCKS: Final = ("time/*", "*seconds*", "*_per_s", "*per_second*", "*throughput*", "*_ms")
"""Names of metrics that measure time: they differ from day to day and say nothing about a result."""


@final
@dataclass(frozen=True, slots=True)
class Tolerance:
    """When two numbers count as equal: ``|a - b| <= absolute + relative * |a|``."""

    relative: float = 1e-6
    absolute: float = 1e-9

    def holds(self, a: Any, b: Any) -> bool:
        """Whether ``b`` is near enough to ``a``; non-finite values must be the same."""
        if a == b:
            return True
        try:
            x, y = unspell(a), unspell(b)
        except ValueError:
            return False
        if not (math.isfinite(x) and math.isfinite(y)):
            return False
        return abs(x - y) <= self.absolute + self.relative * abs(x)


@final
@dataclass(frozen=True, slots=True)
class Parting:
    """The first place where two series differ. ``metric`` is None where a whole row is missing or added."""

    step: int | None
    metric: str | None
    then: Any
    now: Any

    def words(self) -> str:
        """The place and both values."""
        if self.metric is None:
            return f"row of step {self.step}: then {_shown(self.then)}, now {_shown(self.now)}"
        return f"step {self.step}: {self.metric} was {_shown(self.then)}, is {_shown(self.now)}"


@final
class Walk:
    """Two series side by side, to the end of both.

    Attributes:
        first: where they part at all; None when they do not.
        beyond: where they part by more than the tolerance; None when they do not.
        largest: the largest relative difference of any number.
        clocks: metrics passed over because they measure time.
    """

    def __init__(self, tolerance: Tolerance) -> None:
        self.tolerance = tolerance
        self.first: Parting | None = None
        self.beyond: Parting | None = None
        self.largest = 0.0
        self.clocks: set[str] = set()

    def over(self, a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]]) -> None:
        """Go over the rows of metrics of both."""
        for then, now in zip(a, b, strict=False):
            if then.get("step") != now.get("step"):
                self._part(Parting(then.get("step"), None, "this one", f"step {now.get('step')}"), is_near=False)
                return
            self._row(then, now)
        if len(a) != len(b):
            longer, at = (a, len(b)) if len(a) > len(b) else (b, len(a))
            words = ("there", "none") if longer is a else ("none", "there")
            self._part(Parting(longer[at].get("step"), None, *words), is_near=False)

    def _row(self, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        x, y = then.get("metrics") or {}, now.get("metrics") or {}
        for name in dict.fromkeys((*x, *y)):
            if is_clock(name):
                self.clocks.add(name)
                continue
            a, b = x.get(name), y.get(name)
            if a == b:
                continue
            self.largest = max(self.largest, _relative(a, b))
            self._part(Parting(then.get("step"), name, a, b), is_near=self.tolerance.holds(a, b))

    def _part(self, parting: Parting, *, is_near: bool) -> None:
        self.first = self.first or parting
        if not is_near:
            self.beyond = self.beyond or parting


def _relative(a: Any, b: Any) -> float:
    try:
        x, y = unspell(a), unspell(b)
    except ValueError:
        return math.inf
    if not (math.isfinite(x) and math.isfinite(y)):
        return math.inf
    return abs(x - y) / max(abs(x), abs(y)) if x != y else 0.0


def is_clock(name: str) -> bool:
    """Whether a metric measures time, by its name."""
    return any(fnmatchcase(name, clock) for clock in CLOCKS)


def _shown(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, float) else "absent" if value is None else str(value)
