"""One declared run as the reading wing sees it: what was promised, what became of it, what it measured."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, final

from quadrat.analyze.declaration import Condition, Declared
from quadrat.core.errors import QuadratError
from quadrat.core.verdicts import Status
from quadrat.journal.plain import unspell
from quadrat.journal.reader import RunView, Series

_Answer = TypeVar("_Answer")
_NO_DATA: Mapping[str, Any] = {}

MEASURING = (Status.COMPLETED, Status.STOPPED)
"""The endings whose last value is a result. A run that failed or was lost ended at no chosen moment, so what it logged
last is shown but never averaged."""


@final
@dataclass(frozen=True, slots=True)
class Row:
    """One declared run. ``view`` is None when nothing of it lies on disk (or only committed evidence does).

    ``barred`` says why a gate keeps it from starting, where one does.
    """

    declared: Declared
    status: Status
    final: Mapping[str, float] = field(default_factory=dict[str, float])
    best: Mapping[str, Any] = field(default_factory=dict[str, Any])
    barred: str | None = None
    diagnosis: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    gates: tuple[Mapping[str, Any], ...] = ()
    events: tuple[Mapping[str, Any], ...] = ()
    attempts: tuple[Mapping[str, Any], ...] = ()
    last_step: int | None = None
    unread: tuple[str, ...] = ()
    view: RunView | None = None

    @property
    def name(self) -> str:
        """The run's name, unique in its stage."""
        return self.declared.name

    @property
    def stage(self) -> str | None:
        """The stage the run belongs to."""
        return self.declared.stage

    @property
    def arm(self) -> str | None:
        """The named point it runs, when it is not a point of the grid."""
        return self.declared.arm

    @property
    def condition(self) -> Condition:
        """What the run shares with its other seeds."""
        return self.declared.condition

    @property
    def seed(self) -> int | None:
        """The seed really applied, or the declared one while the run has not begun."""
        applied = self.attempts[-1].get("seed_applied") if self.attempts else None
        return applied if isinstance(applied, int) else self.declared.seed

    def value(self, metric: str) -> float:
        """What the run contributes to an estimate: its final value, or NaN when it has none that counts."""
        return self.final.get(metric, math.nan) if self.status in MEASURING else math.nan

    def series(self) -> Mapping[str, Series]:
        """Every metric step by step; empty when the rows are not here or cannot be read."""
        view = self.view
        return {} if view is None else _ask(view.series, _NO_DATA, problems=[])

    def config(self) -> Mapping[str, Any]:
        """The resolved config; empty when it is not here or cannot be read."""
        view = self.view
        return {} if view is None else _ask(view.config, _NO_DATA, problems=[])

    def derived(self) -> Mapping[str, Any]:
        """Parameters that were computed from config or data."""
        notes = (event for event in self.events if event.get("event") == "note" and event.get("kind") == "derived")
        told = [*(attempt.get("derived") for attempt in self.attempts), *(note.get("data") for note in notes)]
        return {key: value for found in told if isinstance(found, Mapping) for key, value in found.items()}

    def damage(self) -> tuple[str, ...]:
        """What is wrong with the run's files, in words. Reads all of them."""
        view, problems = self.view, list(self.unread)
        if view is not None:
            problems += _ask(view.damage, [], problems=problems)
        return tuple(dict.fromkeys(problems))

    @property
    def started(self) -> datetime | None:
        """When the first attempt began."""
        times = [moment(event) for event in self.events if event.get("event") == "started"]
        return min((time for time in times if time), default=None)

    @property
    def finished(self) -> datetime | None:
        """When the last thing happened."""
        return max((time for time in map(moment, self.events) if time), default=None)

    @property
    def seconds(self) -> float:
        """Wall time, summed over the attempts; the pauses between attempts do not count. NaN when not measured."""
        spans: dict[Any, list[datetime]] = {}
        for event in self.events:
            time = moment(event)
            if time is not None:
                spans.setdefault(event.get("attempt"), []).append(time)
        if not spans:
            return math.nan
        return sum((max(times) - min(times)).total_seconds() for times in spans.values())

    def peak(self, quantity: str) -> float:
        """The largest heartbeat value of ``cpu_s`` or ``rss``; NaN when none was recorded."""
        values = [event.get(quantity) for event in self.events if event.get("event") == "heartbeat"]
        return max((float(value) for value in values if isinstance(value, int | float)), default=math.nan)


def moment(event: Mapping[str, Any]) -> datetime | None:
    """An event's time, or None when it has none that can be read."""
    try:
        time = datetime.fromisoformat(str(event["time"]))
    except (KeyError, ValueError):
        return None
    return time if time.tzinfo else None


def read_row(declared: Declared, view: RunView | None, *, status: Status | None = None) -> Row:
    """The row of a declared run. Never raises: what cannot be read is named in ``unread``.

    Args:
        declared: what was promised.
        view: the run's folder, when there is one.
        status: how the run stands, when somebody knows better than its files (they lie in an evidence folder).
    """
    if view is None:
        return Row(declared=declared, status=status or Status.PENDING)
    problems: list[str] = []
    verdict = _ask(view.verdict, None, problems=problems) or {}
    sums = _ask(view.summary, _NO_DATA, problems=problems)
    attempts = _ask(view.attempts, (), problems=problems)
    events = _ask(view.events, (), problems=problems)
    progress = _ask(view.progress, None, problems=problems)
    return Row(
        declared=declared,
        status=status or _ask(view.status, Status.LOST, problems=problems),
        final=_numbers(sums.get("final")),
        best=_mapping(sums.get("best")) or {},
        diagnosis=_mapping(verdict.get("diagnosis")),
        error=_ask(view.error, None, problems=problems),
        gates=tuple(gate for gate in verdict.get("gates") or () if isinstance(gate, Mapping)),
        events=tuple(events),
        attempts=tuple(attempts),
        last_step=progress.step if progress else None,
        unread=tuple(dict.fromkeys(problems)),
        view=view,
    )


def _numbers(values: Any) -> dict[str, float]:
    """The values that are numbers, the spelt ones (``"NaN"``) as such."""
    found: dict[str, float] = {}
    for name, value in (_mapping(values) or {}).items():
        with contextlib.suppress(ValueError):
            found[name] = unspell(value)
    return found


def _mapping(value: Any) -> Mapping[str, Any] | None:
    return value if isinstance(value, Mapping) else None


def _ask(question: Callable[[], _Answer], otherwise: _Answer, *, problems: list[str]) -> _Answer:
    """The answer, or ``otherwise`` with the reason noted: one damaged file must not hide a whole study."""
    try:
        return question()
    except (QuadratError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        problems.append(f"{type(error).__name__}: {error}")
        return otherwise
