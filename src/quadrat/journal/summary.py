"""The numbers a run comes down to: a pure function of its metrics rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, final

from quadrat.journal.plain import unspell


@final
class _Running:
    """One metric, row by row."""

    def __init__(self) -> None:
        self.first: Any = None
        self.last: Any = None
        self.last_step = 0
        self.n = 0
        self.nonfinite = 0
        self._sum = 0.0
        self._lost = 0.0
        self.low: tuple[float, int] | None = None
        self.high: tuple[float, int] | None = None

    def add(self, step: int, value: Any) -> None:
        real = unspell(value)
        if not self.n:
            self.first = value
        self.n += 1
        self.last, self.last_step = value, step
        if not math.isfinite(real):
            self.nonfinite += 1
            return
        self._total(real)
        if self.low is None or real < self.low[0]:
            self.low = (real, step)
        if self.high is None or real > self.high[0]:
            self.high = (real, step)

    def _total(self, value: float) -> None:
        # Neumaier's sum: what each addition rounds away is added up beside it.
        total = self._sum + value
        if abs(self._sum) >= abs(value):
            self._lost += (self._sum - total) + value
        else:
            self._lost += (value - total) + self._sum
        self._sum = total

    def mean(self) -> float | None:
        count = self.n - self.nonfinite
        mean = (self._sum + self._lost) / count if count else math.nan
        return mean if math.isfinite(mean) else None

    def best(self) -> dict[str, Any] | None:
        if self.low is None or self.high is None:
            return None
        return {
            "min": self.low[0],
            "min_step": self.low[1],
            "max": self.high[0],
            "max_step": self.high[1],
        }

    def summary(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "mean": self.mean(),
            "nonfinite": self.nonfinite,
            "first": self.first,
            "last_step": self.last_step,
        }


def summarize(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Final, best and summary values of every metric in ``rows``, as ``metrics.json`` holds them.

    ``final`` is the last value, finite or not. ``best`` and ``mean`` are over finite values, and absent or
    None where there is none; the step of a best value is the first that reached it. Rows that
    are not metrics are passed over.
    """
    running: dict[str, _Running] = {}
    count, last_step = 0, 0
    for row in rows:
        step, values = row.get("step"), row.get("metrics")
        if not isinstance(step, int) or not isinstance(values, dict):
            continue
        count, last_step = count + 1, step
        for name, value in values.items():
            track = running.get(name)
            if track is None:
                track = running[name] = _Running()
            try:
                track.add(step, value)
            except ValueError:
                continue
    seen = {name: track for name, track in running.items() if track.n}
    bests = {name: track.best() for name, track in seen.items()}
    return {
        "schema": 1,
        "final": {name: track.last for name, track in seen.items()},
        "best": {name: best for name, best in bests.items() if best is not None},
        "summary": {name: track.summary() for name, track in seen.items()},
        "rows": count,
        "last_step": last_step,
    }
