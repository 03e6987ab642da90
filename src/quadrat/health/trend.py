"""Is it still moving: the mean of a window, less the mean of the window before it, held against bands."""

from __future__ import annotations

from dataclasses import replace
from typing import final

from quadrat.health.judge import NOT_JUDGED, Evidence
from quadrat.health.threshold import StaysJudge, WithinJudge
from quadrat.health.window import Windows


@final
class TrendJudge:
    """Judges the change of a series as ``inner`` would judge the series."""

    __slots__ = ("_against", "_inner", "_recent", "_windows")

    def __init__(self, inner: StaysJudge | WithinJudge, *, recent: int, against: int) -> None:
        self._inner = inner
        self._recent = recent
        self._against = against
        self._windows = Windows(recent=recent, before=against)

    @property
    def measured(self) -> float:
        """The change that was compared last."""
        return self._inner.measured

    def see(self, step: int, value: float) -> int:
        """Not judged until both windows are full."""
        change = self._windows.change(step, value)
        return NOT_JUDGED if change is None else self._inner.see(step, change)

    def skip(self, step: int, value: float) -> None:
        """The windows go on, so that there is something to judge when judging is due again."""
        change = self._windows.change(step, value)
        if change is not None:
            self._inner.skip(step, change)

    def threshold(self, level: int) -> str:
        """Names both windows: the value of a finding is a difference of means, not a value of the metric."""
        means = f"mean of the last {self._recent} steps minus mean of the {self._against} before"
        return f"{means} {self._inner.threshold(level)}"

    def evidence(self, step: int, level: int) -> Evidence:
        """The change, and every step that went into it."""
        found = self._inner.evidence(step, level)
        first = found.window[0] - self._recent - self._against + 1
        return replace(found, window=(max(0, first), step))
