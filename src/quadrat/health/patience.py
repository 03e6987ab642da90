"""Is it still getting better: a series without a new best for too long."""

from __future__ import annotations

from math import isfinite, isnan, nan
from typing import final

from quadrat.health.judge import FAIL, OK, Evidence


@final
class PatienceJudge:
    """Fails once the best value is ``patience`` steps old. A value that is not finite is never a best."""

    __slots__ = ("_min_delta", "_odd", "_patience", "_sign", "_since", "measured")

    def __init__(self, *, patience: int, goal: str, min_delta: float) -> None:
        self._patience = patience
        self._sign = 1.0 if goal == "max" else -1.0
        self._min_delta = min_delta
        self._since: int | None = None
        self._odd: tuple[int, float] | None = None
        self.measured = nan

    def see(self, step: int, value: float) -> int:
        """How old the best value is."""
        if self._since is None:
            self._since = step
        if self._is_better(value):
            self.measured = value
            self._since = step
            self._odd = None
        elif self._odd is None and not isfinite(value):
            self._odd = (step, value)
        return FAIL if step - self._since >= self._patience else OK

    def skip(self, step: int, value: float) -> None:
        """The clock stands still, and a better value is a new best all the same."""
        if self._is_better(value):
            self.measured = value
        self._since = step
        self._odd = None

    def threshold(self, level: int) -> str:
        """What did not happen."""
        del level
        margin = f" by more than {self._min_delta}" if self._min_delta else ""
        return f"no new {'max' if self._sign > 0 else 'min'}{margin} in {self._patience} steps"

    def evidence(self, step: int, level: int) -> Evidence:
        """The best value (NaN when none was finite), and the steps since it was measured."""
        del level
        return Evidence(self.measured, (step if self._since is None else self._since, step), self._odd)

    def _is_better(self, value: float) -> bool:
        if not isfinite(value):
            return False
        return isnan(self.measured) or self._sign * (value - self.measured) > self._min_delta
