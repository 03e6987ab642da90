"""The loop: drives a generator of events, writes them down, obeys rules and stops. It knows no science."""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, final

from quadrat.core.errors import QuadratError
from quadrat.core.events import Artifact, Checkpoint, Event, Metrics, Note
from quadrat.core.secrets import mask
from quadrat.core.verdicts import Diagnosis, Status
from quadrat.journal.writer import RunWriter
from quadrat.run.artifacts import store
from quadrat.run.saving import Saver
from quadrat.run.stopping import Stop


class Watch(Protocol):
    """What the loop asks of health: findings for one row of metrics."""

    def observe(self, step: int, values: Mapping[str, float]) -> Sequence[Diagnosis]:
        """Findings that this row brought about, often none."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Ending:
    """How the generator ended."""

    status: Status
    step: int
    diagnosis: Diagnosis | None = None
    error: dict[str, Any] | None = None


@final
@dataclass(frozen=True, slots=True)
class Loop:
    """Everything the loop needs around one run."""

    folder: Path
    writer: RunWriter
    saver: Saver
    watch: Watch
    stop: Stop

    def drive(self, events: Iterator[Event], *, from_step: int = 0) -> Ending:
        """Run ``events`` to an end: its own, a rule's, a signal's or an exception's. Never raises for those."""
        step = from_step
        try:
            for event in events:
                step = step_of(event, step)
                ended = self.take(event, step)
                if ended is not None:
                    return ended
            return Ending(Status.COMPLETED, step)
        except (Exception, SystemExit) as error:  # whatever science raises ends this run and no other
            return Ending(Status.FAILED, step, error=describe(error))
        finally:
            if isinstance(events, Generator):
                events.close()

    def take(self, event: Event, step: int) -> Ending | None:
        """Write one event down and do what it asks for; the ending when it was the last."""
        match event:
            case Metrics():
                diagnosis = self._measure(event)
                if diagnosis is not None:
                    return Ending(Status.STOPPED, step, diagnosis=diagnosis)
            case Checkpoint():
                if self.stop.asked or self.saver.is_due(event):
                    self._save(event)
                if self.stop.asked:
                    return Ending(Status.PREEMPTED, step)
            case Artifact():
                size = store(self.folder, event)
                self.writer.event("artifact", name=event.name, bytes=size)
            case Note():
                self.writer.event("note", kind=event.kind, data=dict(event.data))
                if event.kind == "derived":
                    self.saver.expect(event.data.get("total_steps"))
            case _:  # pyright: ignore[reportUnnecessaryComparison]  # science is not checked by our types
                raise TypeError(f"a trainable yields Metrics, Checkpoint, Artifact or Note, but got {event!r}")
        return Ending(Status.PREEMPTED, step) if self.stop.is_overdue else None

    def _measure(self, row: Metrics) -> Diagnosis | None:
        self.writer.metrics(row.step, row.values)
        values = _numbers(row.values)
        self.saver.observe(values)
        found = self.watch.observe(row.step, values)
        for diagnosis in found:
            self.writer.event("diagnosed", **diagnosis.as_dict())
        return next((diagnosis for diagnosis in found if diagnosis.action == "stop"), None)

    def _save(self, offer: Checkpoint) -> None:
        self.writer.sync()
        try:
            facts = self.saver.save(offer, metrics_offset=self.writer.metrics_offset)
        except OSError as error:
            # A full disk costs this checkpoint, not the run: the one before is still there.
            self.writer.event("warning", what=f"checkpoint at step {offer.step} was not saved: {error}")
            return
        self.writer.event("checkpoint", **facts)


def step_of(event: Event, before: int) -> int:
    """The step an event belongs to: its own, else that of the one before."""
    return event.step if isinstance(event, Metrics | Checkpoint) else before


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The row as the journal keeps it, in Python floats: a rule must find the same live and replayed."""
    numbers: dict[str, float] = {}
    for name, value in values.items():
        with contextlib.suppress(TypeError, ValueError):  # the journal has named it in a warning
            numbers[name] = float(value)
    return numbers


def describe(error: BaseException) -> dict[str, Any]:
    """An exception as plain data, secrets masked, paths shortened to what a person needs."""
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    text = "".join(traceback.format_exception(error))
    shortened = mask(text)[0].replace(f"{Path.cwd()}{os.sep}", "")
    message = error.paragraph() if isinstance(error, QuadratError) else str(error)
    return {
        "type": type(error).__name__,
        "message": mask(message)[0],
        "where": f"{Path(last.filename).name}:{last.lineno}" if last else None,
        "traceback": shortened,
    }
