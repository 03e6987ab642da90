"""Starts and ends the process that keeps trackers (TensorBoard, W&B) like the journal while a study is conducted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Final, final

from quadrat.core.registry import members
from quadrat.journal.layout import StudyFolder
from quadrat.sinks.base import Sink, Snapshot
from quadrat.sinks.ledger import FOLDER
from quadrat.sinks.mirror import FINISH_SECONDS, again
from quadrat.study.load import Study

CONSOLE: Final = "console"
"""What the conductor itself feeds; a study file may name it all the same."""

MARGIN_SECONDS: Final = 2.0
"""How much longer than it promised a mirror may take to end before it is ended."""


def mirrored(sink: Sink, study: Study, *, folder: StudyFolder) -> Sink:
    """``sink``, with a mirror beside it while the study runs if the study names trackers."""
    known = members("sinks")
    names = [name for name in dict.fromkeys(study.file.sinks) if name in known and name != CONSOLE]
    return MirroringSink(sink, folder, names=names) if names else sink


@final
class MirroringSink:
    """Another sink, and a mirror process from ``start`` to ``close``.

    What the mirror has to say comes out as messages of the other sink. A mirror that cannot start, dies or hangs
    is worth one message and costs nothing else.
    """

    def __init__(self, sink: Sink, folder: StudyFolder, *, names: Sequence[str]) -> None:
        self._sink = sink
        self._folder = folder
        self._names = tuple(names)
        self._process: subprocess.Popen[bytes] | None = None
        self._heard = b""
        self._said = False

    def start(self, study_name: str, planned: int) -> None:
        """A study begins, and its mirror with it."""
        self._sink.start(study_name, planned)
        if self._process is None:
            try:
                self._process = self._launch()
            except OSError as error:
                self._tell(f"could not be started ({error.strerror or error})")

    def update(self, snapshot: Snapshot) -> None:
        """How it stands; and what the mirror has said since."""
        self._listen()
        self._sink.update(snapshot)

    def message(self, text: str) -> None:
        """Something a person should read."""
        self._sink.message(text)

    def close(self, summary: str | None = None) -> None:
        """Let go of the mirror, give it some seconds to end, and close."""
        process, self._process = self._process, None
        if process is not None:
            self._end(process)
        self._sink.close(summary)

    def _launch(self) -> subprocess.Popen[bytes]:
        notes = self._folder.path / FOLDER
        notes.mkdir(parents=True, exist_ok=True)
        # -P: a folder called wandb in the working directory must not be taken for the package.
        command = [sys.executable, "-P", "-m", "quadrat.sinks.mirror", str(self._folder.path), "--follow"]
        with (notes / "log").open("wb") as log:
            process = subprocess.Popen(
                [*command, *(f"--sink={name}" for name in self._names)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                start_new_session=True,  # Ctrl-C is for the runs
            )
        if process.stdout is not None:
            os.set_blocking(process.stdout.fileno(), False)
        return process

    def _listen(self) -> None:
        process = self._process
        if process is not None:
            self._hear(process)
            if process.poll() is not None:
                self._process = None
                self._bury(process)

    def _hear(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdout is None:
            return
        with contextlib.suppress(OSError):
            self._heard += process.stdout.read() or b""
        *lines, self._heard = self._heard.split(b"\n")
        for line in lines:
            self._said = True
            self._sink.message(line.decode("utf-8", "replace"))

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        deadline = time.monotonic() + FINISH_SECONDS + MARGIN_SECONDS
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._hear(process)
        self._bury(process)

    def _bury(self, process: subprocess.Popen[bytes]) -> None:
        self._hear(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if process.returncode and not self._said:
            self._tell(
                f"ended early (exit {process.returncode}, see {os.path.relpath(self._folder.path / FOLDER / 'log')})"
            )

    def _tell(self, what: str) -> None:
        self._said = True
        names = ", ".join(self._names)
        self._sink.message(
            f"the mirror of {names} {what}. Runs are not touched by this; send the rest with: {again(self._folder)}"
        )
