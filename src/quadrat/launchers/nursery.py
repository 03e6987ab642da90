"""The pool's end of the pipes: starts a zygote, gives it orders, hears its reports, survives its death."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any, Final, final

from quadrat.core.spec import Job
from quadrat.launchers import kin
from quadrat.launchers.wire import Lines, encode

GRACE: Final = 3.0
"""Seconds that jobs have to stop by themselves when their launcher is gone."""

_THREAD_COUNTS: Final = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
_LAST_WORDS: Final = 4096
_UNKILLABLE: Final = 1.0


@final
@dataclass(frozen=True, slots=True)
class Breed:
    """What must be equal for two jobs to be forked from one zygote."""

    preload: tuple[str, ...]
    threads: int
    python_path: tuple[str, ...]

    @classmethod
    def of(cls, job: Job) -> Breed:
        """The breed that ``job`` needs."""
        return cls(job.preload, job.resources.threads, job.python_path)


@final
class Nursery:
    """One zygote process, as the launcher sees it. ``lost`` tells that it died without being asked to."""

    def __init__(self, breed: Breed) -> None:
        self.lost = False
        self.ready = False
        self._lines = Lines()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by bury()
        settings = {
            "parent": os.getpid(),
            "grace": GRACE,
            "python_path": breed.python_path,
            "preload": breed.preload,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "quadrat.launchers.zygote", json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=_environ(breed.threads),
            start_new_session=True,
            bufsize=0,
        )
        os.set_blocking(self.fileno(), False)

    @property
    def pid(self) -> int:
        """The zygote's process."""
        return self._process.pid

    def fileno(self) -> int:
        """What becomes readable when there is a report."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def send(self, order: Mapping[str, Any]) -> None:
        """Give an order. A zygote that is gone is noticed by ``receive``, not here."""
        assert self._process.stdin is not None
        data = encode(order)
        with contextlib.suppress(OSError, ValueError):
            while data:
                data = data[self._process.stdin.write(data) :]

    def receive(self) -> list[dict[str, Any]]:
        """The reports that have come since the last call."""
        messages: list[dict[str, Any]] = []
        while not self.lost:
            try:
                piece = os.read(self.fileno(), 1 << 16)
            except BlockingIOError:
                break
            messages += self._lines.feed(piece)
            self.lost = not piece
        self.ready = self.ready or any(message["report"] == "ready" for message in messages)
        return messages

    def bury(self) -> tuple[int, str]:
        """Make sure that nothing of the family is left; exit code of the zygote and its last words."""
        if self._process.returncode is None:  # not reaped yet: its number still means its session
            kin.kill_session(self.pid)
            self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_UNKILLABLE)
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - _LAST_WORDS))
        words = self._errors.read().decode(errors="replace")
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                stream.close()
        return self._process.returncode or 0, words

    def ask_to_close(self, grace: float) -> None:
        """Have every job stopped within ``grace`` seconds; the zygote ends itself after that."""
        if self.ready:
            self.send({"order": "close", "grace": grace})
        else:
            self._process.terminate()  # it has no job yet and may be in the middle of a long import


def why_lost(code: int, words: str) -> str:
    """The text for the log of a job whose zygote died."""
    how = f"died by {kin.signal_name(-code)}" if code < 0 else f"ended with code {code}"
    return f"quadrat: the process that jobs are forked from {how}.\n{words}"


def _environ(threads: int) -> dict[str, str]:
    """This process's environment with the thread counts pinned, before any library could read them."""
    pinned = dict.fromkeys(_THREAD_COUNTS, str(max(1, threads)))
    # Asking CUDA whether a device is there would make it unusable in every job forked afterwards.
    return {"PYTORCH_NVML_BASED_CUDA_CHECK": "1", **os.environ, **pinned}
