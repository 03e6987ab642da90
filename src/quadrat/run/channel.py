"""Where a loop of one's own writes: into the journal of a run, to the job that started the program, or nowhere.

What is written here never raises and never waits for anybody; only beginning may refuse.
"""

from __future__ import annotations

import contextlib
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, final

import orjson

from quadrat.core.errors import StoreError
from quadrat.core.events import Artifact
from quadrat.core.verdicts import Status
from quadrat.journal.layout import RunFolder
from quadrat.journal.ndjson import Appender, encode_metrics
from quadrat.journal.plain import plain
from quadrat.journal.seal import seal
from quadrat.journal.writer import RunWriter
from quadrat.run.artifacts import store

RELAY: Final = "QUADRAT_RELAY"
"""Names the file to which a program writes that a job of Quadrat has started: the job is the journal's one writer."""


class Channel(ABC):
    """One attempt at one run, as seen by whoever measures it. ``folder`` is where its files go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def metrics(self, step: int, values: Mapping[str, Any]) -> None:
        """One row."""

    @abstractmethod
    def artifact(self, artifact: Artifact) -> None:
        """One file.

        Raises:
            Exception: it cannot be written; the caller tells.
        """

    @abstractmethod
    def note(self, kind: str, data: Mapping[str, Any]) -> None:
        """A remark with data."""

    @abstractmethod
    def warn(self, what: str) -> None:
        """What a person should know later on."""

    @abstractmethod
    def finish(self, status: Status, error: Mapping[str, Any] | None) -> Status:
        """The end; returns the status that the run really got. Nothing may follow."""

    @abstractmethod
    def leave(self) -> None:
        """Let go without an ending."""


@final
class JournalChannel(Channel):
    """A run folder of its own, written to its seal."""

    def __init__(self, folder: RunFolder, writer: RunWriter) -> None:
        super().__init__(folder.path)
        self._run = folder
        self._writer = writer

    def metrics(self, step: int, values: Mapping[str, Any]) -> None:
        """A row of ``metrics.ndjson``."""
        self._writer.metrics(step, values)

    def artifact(self, artifact: Artifact) -> None:
        """A file under ``artifacts/``, and an event."""
        size = store(self.folder, artifact)
        self._writer.event("artifact", name=artifact.name, bytes=size)

    def note(self, kind: str, data: Mapping[str, Any]) -> None:
        """A ``note`` event."""
        self._writer.event("note", kind=kind, data=dict(data))

    def warn(self, what: str) -> None:
        """A ``warning`` event."""
        self._writer.event("warning", what=what)

    def finish(self, status: Status, error: Mapping[str, Any] | None) -> Status:
        """Sums, verdict and seal; a run whose rows did not all reach the disk has failed."""
        try:
            self._writer.sync()
            gone = self._writer.dropped + self._writer.waiting
            if gone and error is None:
                lost = f"{gone} rows could not be written, so the run's numbers are not whole."
                status, error = Status.FAILED, {"type": "StoreError", "message": lost, "where": None, "traceback": lost}
            self._writer.finish(status, error=error)
            self._writer.close()
            seal(self._run)
        except OSError as trouble:
            problem = StoreError(
                f"the end of the run could not be written ({trouble.strerror or trouble}), so it counts as lost.",
                where=self._run.name,
                remedy="free some space and run it again.",
            )
            say(problem.paragraph())
            with contextlib.suppress(OSError):
                self._writer.close()
            return Status.LOST
        return status

    def leave(self) -> None:
        """The run counts as lost."""
        with contextlib.suppress(OSError):
            self._writer.close()


@final
class RelayChannel(Channel):
    """A file of lines that the job reads while the program runs (see ``quadrat.run.program``).

    The job knows how the program ends, so an ending is not told here. Files go to ``folder``, where the job's
    run keeps them.
    """

    def __init__(self, relay: Path, folder: Path) -> None:
        super().__init__(folder)
        self._lines = Appender(relay)

    def metrics(self, step: int, values: Mapping[str, Any]) -> None:
        """A line as the journal would write it."""
        with contextlib.suppress(ValueError):
            self._lines.append(encode_metrics(step, values, refuse=self._refuse))

    def artifact(self, artifact: Artifact) -> None:
        """A file in the run's folder for files."""
        store(self.folder.parent, artifact)

    def note(self, kind: str, data: Mapping[str, Any]) -> None:
        """A line with the remark."""
        self._put({"note": kind, "data": plain(dict(data), lenient=True)})

    def warn(self, what: str) -> None:
        """A note of the kind ``warning``."""
        self.note("warning", {"what": what})

    def finish(self, status: Status, error: Mapping[str, Any] | None) -> Status:
        """A failure is told, for the exit code says little; then the file is closed."""
        if error is not None:
            self._put({"error": plain(dict(error), lenient=True)})
        self._lines.close()
        return status

    def leave(self) -> None:
        """Close the file."""
        self._lines.close()

    def _refuse(self, key: str, reason: str) -> None:
        self.note("warning", {"what": f"metric {key!r} is left out: {reason}"})

    def _put(self, row: Mapping[str, Any]) -> None:
        with contextlib.suppress(TypeError):  # nesting too deep for the encoder
            self._lines.append(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


@final
class SilentChannel(Channel):
    """Nowhere: in a group of processes that train together, one writes and the others only compute."""

    def metrics(self, step: int, values: Mapping[str, Any]) -> None:
        """Nothing."""

    def artifact(self, artifact: Artifact) -> None:
        """Nothing."""

    def note(self, kind: str, data: Mapping[str, Any]) -> None:
        """Nothing."""

    def warn(self, what: str) -> None:
        """Nothing."""

    def finish(self, status: Status, error: Mapping[str, Any] | None) -> Status:
        """Nothing."""
        del error
        return status

    def leave(self) -> None:
        """Nothing."""


def is_follower() -> bool:
    """Whether another process of a distributed training writes the run: every rank but 0."""
    return os.environ.get("RANK", "0") not in ("", "0")


def say(text: str) -> None:
    """One line on standard error; a closed or full one is no reason to stop."""
    with contextlib.suppress(Exception):
        print(f"quadrat: {text}", file=sys.stderr, flush=True)
