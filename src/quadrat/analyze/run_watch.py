"""One run, looked at again and again. What cannot have changed since the last look is not read again."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, final

from quadrat.analyze.declaration import is_reference
from quadrat.analyze.heartbeats import Vitals, read_vitals
from quadrat.analyze.rows import moment
from quadrat.core.verdicts import Status
from quadrat.journal.layout import RunFolder
from quadrat.journal.plain import unspell
from quadrat.journal.process import ProcessId
from quadrat.journal.reader import HEARTBEAT_SECONDS, RunView
from quadrat.journal.tail import first_rows, last_rows, rows_since

TAIL_BYTES: Final = 16 << 10
"""How much of the end of a file is read at a look: some minutes of heartbeats, some dozens of rows."""

_STARTED: Final = b'{"event":"started"'

_Rows: TypeAlias = Sequence[Mapping[str, Any]]
_Stamp: TypeAlias = tuple[int, int, int] | None


@final
@dataclass(frozen=True, slots=True)
class Working:
    """A run at work; None for what is not known.

    Attributes:
        place: its folder relative to the study's.
        step: the last step measured.
        total: steps in all.
        metric: name and last value of a primary metric, or of what it logs first while none was measured.
        vitals: heartbeat, processor, memory, devices.
        pid: the process it runs in; the members of a pack share one.
        host: the machine it runs on.
        seconds: since this attempt began.
        rest: seconds it still needs, at its present speed.
    """

    place: str
    step: int
    total: int | None
    metric: tuple[str, float] | None
    vitals: Vitals
    pid: int | None
    host: str | None
    seconds: float | None
    rest: float | None


@final
@dataclass(frozen=True, slots=True)
class _Attempt:
    """How the attempt that is at work began."""

    number: Any = None
    process: ProcessId | None = None
    began: float | None = None
    from_step: int = 0


@final
class RunWatch:
    """Looks at one run folder. Never raises for what it finds there.

    Args:
        folder: the run.
        place: what to call it: its folder relative to the study's.
        primary: the metrics worth showing, the most wanted first.
    """

    def __init__(self, folder: RunFolder, place: str, *, primary: Sequence[str] = ()) -> None:
        self.place = place
        self._folder = folder
        self._primary = tuple(primary)
        self._stamps: tuple[_Stamp, _Stamp] | None = None
        self._status = Status.PENDING
        self._events: _Rows = ()
        self._attempt = _Attempt()
        self._total: int | None = None
        self._measured: tuple[str, float] | None = None
        self._told: dict[Status, str] = {}

    def status(self) -> Status:
        """Where the run stands: what ``RunView.status`` says, asked only when it may say something new."""
        stamps = _stamp(self._folder.manifest), _stamp(self._folder.events)
        if stamps == self._stamps and self._status is not Status.RUNNING:
            return self._status
        self._stamps = stamps
        if stamps[0] is None:
            self._events = last_rows(self._folder.events, limit=TAIL_BYTES)
        if self._status is not Status.RUNNING or stamps[0] is not None or not self._goes_on():
            self._told.clear()
            self._status = RunView(self._folder).status()
            if self._status is Status.RUNNING:
                self._begin()
        return self._status

    def working(self) -> Working:
        """How far it is, for a run that ``status`` has just found running."""
        rows = last_rows(self._folder.metrics, limit=TAIL_BYTES)
        vitals = read_vitals(self._events)
        self._total = self._total or _total_in(self._events)
        self._measured = _measured(rows, self._primary) or self._measured
        seconds = None if self._attempt.began is None else max(0.0, time.time() - self._attempt.began)
        step, process = self._step(rows), self._attempt.process
        return Working(
            place=self.place,
            step=step,
            total=self._total,
            metric=self._measured or _measured(rows[-1:], _names(rows[-1:])),
            vitals=vitals,
            pid=process.pid if process else None,
            host=process.host if process else None,
            seconds=seconds,
            rest=self._rest(step, seconds, pace=vitals.steps_per_second),
        )

    def reason(self) -> str:
        """Why it did not complete, in a few words; empty when it did or is at work."""
        if self._status not in self._told:
            with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
                self._told[self._status] = _reason(self._status, RunView(self._folder))
        return self._told.get(self._status, "")

    def ended_at(self) -> float | None:
        """When its journal last changed, in seconds since 1970."""
        known = [stamp for stamp in self._stamps or () if stamp is not None]
        return known[0][0] / 1e9 if known else None

    def duration(self) -> float | None:
        """Seconds from its first event to its last, if one attempt was enough."""
        first, last = (
            first_rows(self._folder.events, limit=TAIL_BYTES),
            last_rows(self._folder.events, limit=TAIL_BYTES),
        )
        if not first or not last or first[0].get("attempt") != last[-1].get("attempt"):
            return None
        began, ended = moment(first[0]), moment(last[-1])
        return (ended - began).total_seconds() if began and ended else None

    def _goes_on(self) -> bool:
        """Whether the attempt that was at work at the last look still is."""
        last, process = self._events[-1] if self._events else {}, self._attempt.process
        if process is None or last.get("event") == "left" or last.get("attempt") != self._attempt.number:
            return False
        if process.is_here():
            return process.is_alive()
        age = read_vitals(self._events).age
        return age is not None and age <= HEARTBEAT_SECONDS

    def _begin(self) -> None:
        head = first_rows(self._folder.events, limit=TAIL_BYTES)
        number = self._events[-1].get("attempt") if self._events else None
        started = [row for row in head if row.get("event") == "started" and row.get("attempt") == number]
        row: Mapping[str, Any] = next(iter(started or rows_since(self._folder.events, _STARTED)), {})
        time_ = moment(row)
        self._attempt = _Attempt(number, _process(row), time_.timestamp() if time_ else None, _resumed_at(row))
        self._total, self._measured = _total_in(head), None

    def _step(self, rows: _Rows) -> int:
        beats = (row for row in reversed(self._events) if row.get("event") == "heartbeat")
        return next((step for row in (*reversed(rows), *beats) if isinstance(step := row.get("step"), int)), 0)

    def _rest(self, step: int, seconds: float | None, *, pace: float | None) -> float | None:
        done = step - self._attempt.from_step
        if pace is None and seconds and done > 0:
            pace = done / seconds
        return max(0, self._total - step) / pace if self._total is not None and pace else None


def _stamp(path: Path) -> _Stamp:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _process(row: Mapping[str, Any]) -> ProcessId | None:
    try:
        return ProcessId.from_dict(row["process"])
    except (KeyError, ValueError):
        return None


def _resumed_at(row: Mapping[str, Any]) -> int:
    """The step that an attempt went on from: ``checkpoints/step-00000120`` is 120."""
    digits = str(row.get("resumed_from") or "").rpartition("step-")[2]
    return int(digits) if digits.isdecimal() else 0


def _total_in(events: _Rows) -> int | None:
    for event in reversed(events):
        data = event.get("data")
        if event.get("kind") == "derived" and isinstance(data, Mapping) and isinstance(data.get("total_steps"), int):
            return data["total_steps"]
    return None


def _measured(rows: _Rows, wanted: Iterable[str]) -> tuple[str, float] | None:
    """The last value of the first of the wanted metrics that the rows hold."""
    for name in wanted:
        for row in reversed(rows):
            values = row.get("metrics")
            if isinstance(values, Mapping) and name in values:
                with contextlib.suppress(ValueError, OverflowError):
                    return name, unspell(values[name])
    return None


def _names(rows: _Rows) -> list[str]:
    """What the rows measure, losses first, yardsticks left out."""
    found = [str(name) for row in rows if isinstance(row.get("metrics"), Mapping) for name in row["metrics"]]
    return sorted((name for name in found if not is_reference(name)), key=lambda name: "loss" not in name)


def _reason(status: Status, view: RunView) -> str:
    verdict, error = view.verdict() or {}, view.error()
    found = verdict.get("diagnosis")
    if status is Status.FAILED and error:
        return f"{error['type']}: {error['message']}"
    if status is Status.STOPPED and found:
        return f"{found['rule']} at step {found['step']}: {found['metric']} = {found['value']}"
    if status is Status.PREEMPTED:
        return f"set aside at step {verdict.get('step')}; it can go on"
    return "its process ended without a verdict; see train.log" if status is Status.LOST else ""
