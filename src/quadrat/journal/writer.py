"""The one writer of a run folder. Logging never raises into the training loop and never waits for the disk."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Self, final

import orjson

from quadrat.core.errors import StoreError
from quadrat.core.secrets import masked
from quadrat.core.verdicts import Status
from quadrat.journal.atomic import read_json, sync_folder, write_json
from quadrat.journal.layout import RunFolder
from quadrat.journal.ndjson import Appender, Tally, encode_metrics, encode_plain, read_rows, scan_rows
from quadrat.journal.plain import plain, shown
from quadrat.journal.pulse import Pulse
from quadrat.journal.summary import summarize

NAMED_REFUSALS: Final = 100
"""How many metric names are named in warnings before the rest is only counted."""


@final
class RunWriter:
    """Writes one attempt of one run into its folder, which must exist.

    What reaches the disk when: a row survives the death of the process once ``metrics`` has returned; it
    survives power loss after ``sync``, after ``finish``, or two seconds later while the pulse runs.

    Args:
        folder: the run's folder.
        attempt: the number of the attempt, from 1.
        clock: what time it is, as events carry it; None for a moment that nobody knows (a run that was made elsewhere).

    Raises:
        OSError: the files cannot be opened at all.
    """

    def __init__(self, folder: RunFolder, *, attempt: int, clock: Callable[[], str | None] | None = None) -> None:
        self.folder = folder
        self.attempt = attempt
        self._clock = now if clock is None else clock
        self.last_step = 0
        self._finished = False
        self._pulse: Pulse | None = None
        self._in_trouble = False
        self._refused: set[str] = set()
        self._events = Appender(folder.events, on_trouble=self._complain)
        self._metrics = Appender(folder.metrics, on_trouble=self._warn_of_trouble)
        self._append = self._metrics.append
        sync_folder(folder.path)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Write one row of metrics. Never raises.

        A value that is not a number is left out and named in a ``warning`` event, once per name; a row whose
        step is not a whole number is left out as a whole.
        """
        line = encode_plain(step, values)
        if line is None:
            line = self._encode_slowly(step, values)
            if line is None:
                return
            step = int(step)
        self._append(line)
        self.last_step = step

    def event(self, event: str, /, **data: Any) -> None:
        """Write an event with the clock's time. Never raises; what has no plain form is described instead.

        ``event``, ``time`` and ``attempt`` are the row's own keys; in ``data`` they get an underscore behind.
        """
        try:
            body: dict[str, Any] = masked(plain(data, lenient=True))
        except RecursionError:
            body = {"unreadable": shown(data)}
        row = {"event": event, "time": self._clock(), "attempt": self.attempt}
        row |= {f"{key}_" if key in row else key: value for key, value in body.items()}
        with contextlib.suppress(TypeError):  # nesting too deep for the encoder
            self._events.append(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))

    def params(self, row: Mapping[str, Any]) -> None:
        """Write the row of this attempt and have it survive power loss.

        Raises:
            OSError: it could not be written; a run without it cannot be told from another.
            TypeError: something in it has no plain form.
        """
        line = orjson.dumps(plain(dict(row)), option=orjson.OPT_APPEND_NEWLINE)
        appender = Appender(self.folder.params)
        try:
            appender.append(line)
            appender.sync()
            if appender.error is not None:
                raise appender.error
        finally:
            appender.close()
        sync_folder(self.folder.path)

    def sync(self) -> None:
        """Have every row written so far survive power loss; trouble becomes a warning."""
        self._metrics.sync()
        self._events.sync()

    @property
    def metrics_offset(self) -> int:
        """Bytes of ``metrics.ndjson`` that hold whole rows: what a checkpoint names."""
        return self._metrics.offset

    @property
    def dropped(self) -> int:
        """Rows of metrics and events that were lost because the disk took nothing for too long."""
        return self._metrics.dropped + self._events.dropped

    @property
    def waiting(self) -> int:
        """Rows of metrics and events that wait in memory because the disk has no room for them now."""
        return self._metrics.waiting + self._events.waiting

    def start_pulse(self, more: Callable[[], Mapping[str, Any]] = dict) -> None:
        """Begin to write a heartbeat each second and to flush every other second, from a thread.

        Args:
            more: further figures for each heartbeat; what it raises costs that heartbeat only.
        """
        if self._pulse is not None:
            return
        import psutil

        process = psutil.Process()
        descriptor = self._metrics.duplicate()

        def beat() -> None:
            rss = process.memory_info().rss
            self.event("heartbeat", step=self.last_step, cpu_s=round(time.process_time(), 3), rss=rss, **more())

        def flush() -> None:
            self._metrics.retry()
            self._metrics.flush_to_disk(descriptor)

        self._pulse = Pulse(beat, flush)
        self._pulse_descriptor = descriptor
        self._pulse.start()

    def stop_pulse(self) -> None:
        """End the thread; nothing when there is none."""
        pulse, self._pulse = self._pulse, None
        if pulse is not None and pulse.stop():
            os.close(self._pulse_descriptor)

    def finish(
        self,
        status: Status,
        *,
        step: int | None = None,
        diagnosis: Mapping[str, Any] | None = None,
        error: Mapping[str, Any] | None = None,
        health: Mapping[str, Any] | None = None,
        gates: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """End the attempt: ``metrics.json``, ``health.json``, ``verdict.json``, then the ``finished`` event.

        Raises:
            OSError: the disk is full or unwritable; without a verdict the run counts as lost.
        """
        self.stop_pulse()
        last = self.last_step if step is None else step
        self._metrics.sync()
        lost = self._metrics.dropped + self._metrics.waiting
        if lost:
            self.event("warning", what=f"{lost} rows of metrics could not be written")
        write_json(self.folder.metrics_json, summarize(scan_rows(self.folder.metrics, Tally())))
        write_json(self.folder.health, {"schema": 1, "rules": [], **(health or {})})
        verdict: dict[str, Any] = {
            "schema": 1,
            "status": str(status),
            "step": last,
            "diagnosis": diagnosis,
            "error": error,
            "gates": list(gates),
        }
        if lost:
            verdict["lost_rows"] = lost
        write_json(self.folder.verdict, verdict)
        self._finished = True
        self.event("finished", status=str(status), step=last)
        self._events.sync()

    def finish_late(self) -> None:
        """Tell of the verdict that is there, when whoever wrote it was killed before its ``finished`` event."""
        self._finished = True
        told = (row for row in read_rows(self.folder.events).rows if row.get("attempt") == self.attempt)
        if not any(row.get("event") == "finished" for row in told):
            verdict = read_json(self.folder.verdict)
            self.event("finished", status=verdict["status"], step=verdict["step"])
            self._events.sync()

    def close(self) -> None:
        """Flush and close the files; an attempt that was not finished says so. May be called twice."""
        self.stop_pulse()
        if not self._finished:
            self._finished = True
            self.event("left")
        self._metrics.close()
        self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _encode_slowly(self, step: int, values: Mapping[str, float]) -> bytes | None:
        try:
            return encode_metrics(step, values, refuse=self._refuse)
        except ValueError as error:
            self._refuse("step", f"the row is left out: {error}")
            return None

    def _refuse(self, key: str, reason: str) -> None:
        if key in self._refused or len(self._refused) > NAMED_REFUSALS:
            return
        self._refused.add(key)
        if len(self._refused) > NAMED_REFUSALS:
            self.event("warning", what="more metrics are left out than are named here")
            return
        self.event("warning", what=f"metric {key!r} at step {self.last_step} is left out: {reason}", key=key)

    def _warn_of_trouble(self, what: str) -> None:
        self._complain(what)
        self.event("warning", what=f"the disk takes no rows: {what}")

    def _complain(self, what: str) -> None:
        """One line for the log of the run, once however many files are in trouble."""
        if self._in_trouble:
            return
        self._in_trouble = True
        trouble = StoreError(
            f"rows cannot be written ({what}); training goes on and rows wait in memory.",
            where=self.folder.name,
            remedy="free some space.",
        )
        with contextlib.suppress(Exception):  # the log may lie on the same full disk
            print(f"warning: {trouble.paragraph()}", file=sys.stderr, flush=True)


def now() -> str:
    """The time of now as events carry it: UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
