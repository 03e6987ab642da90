"""Bands around a value: bad at once, bad for so many steps, or not good in time."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, nan
from typing import final

from quadrat.health.conditions import Condition
from quadrat.health.judge import NOT_JUDGED, OK, Evidence


@final
class Streak:
    """How long one band has been broken without a break."""

    __slots__ = ("_condition", "_stays", "odd", "since")

    def __init__(self, condition: Condition, stays: int) -> None:
        self._condition = condition
        self._stays = stays
        self.since: int | None = None
        self.odd: tuple[int, float] | None = None

    def holds(self, step: int, value: float) -> bool:
        """Whether the band has been broken for ``stays`` steps, this one included."""
        if not self._condition.breaks(value):
            self.since = None
            self.odd = None
            return False
        if self.since is None:
            self.since = step
        if self.odd is None and not isfinite(value):
            self.odd = (step, value)
        return step - self.since >= self._stays

    def reset(self) -> None:
        """Begin anew."""
        self.since = None
        self.odd = None


@final
class StaysJudge:
    """A band fires once every value over ``stays`` steps lies in it; with 0, the first value does."""

    __slots__ = ("_bands", "_streaks", "measured")

    def __init__(self, bands: Mapping[int, Condition], *, stays: int) -> None:
        self._bands = bands
        self._streaks = {level: Streak(bands[level], stays) for level in sorted(bands)}
        self.measured = nan

    def see(self, step: int, value: float) -> int:
        """The worst band that holds at ``step``."""
        self.measured = value
        worst = OK
        for level, streak in self._streaks.items():
            if streak.holds(step, value):
                worst = level
        return worst

    def skip(self, step: int, value: float) -> None:
        """No streak reaches over a step that is not judged."""
        del step, value
        for streak in self._streaks.values():
            streak.reset()

    def threshold(self, level: int) -> str:
        """The band as it was written."""
        return self._bands[level].text

    def evidence(self, step: int, level: int) -> Evidence:
        """The last value and the whole streak."""
        streak = self._streaks[level]
        first = step if streak.since is None else streak.since
        odd = None if self._bands[level].is_nonfinite else streak.odd
        return Evidence(self.measured, (first, step), odd)


@final
class WithinJudge:
    """A value has to leave every band by ``deadline``; the first value at or after it decides, for good."""

    __slots__ = ("_bands", "_deadline", "_from_step", "_left", "_verdict", "measured")

    def __init__(self, bands: Mapping[int, Condition], *, from_step: int, deadline: int) -> None:
        self._bands = bands
        self._from_step = from_step
        self._deadline = deadline
        self._left: set[int] = set()
        self._verdict = NOT_JUDGED
        self.measured = nan

    def see(self, step: int, value: float) -> int:
        """Not judged until all bands are left or time is up; the same answer from then on."""
        if self._verdict != NOT_JUDGED:
            return self._verdict
        self.measured = value
        self._left.update(level for level, band in self._bands.items() if not band.breaks(value))
        still_in = self._bands.keys() - self._left
        if not still_in or step >= self._deadline:
            self._verdict = max(still_in, default=OK)
        return self._verdict

    def skip(self, step: int, value: float) -> None:
        """A step that is not judged decides nothing."""

    def threshold(self, level: int) -> str:
        """The band as it was written."""
        return self._bands[level].text

    def evidence(self, step: int, level: int) -> Evidence:
        """The value that decided, and all steps up to it."""
        odd = None if isfinite(self.measured) or self._bands[level].is_nonfinite else (step, self.measured)
        return Evidence(self.measured, (self._from_step, step), odd)
