"""A process that a run has started: what it prints is passed on and masked, and whatever it starts ends with it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final, final

import psutil

from quadrat.core.errors import RunError
from quadrat.core.secrets import mask

POLL_SECONDS: Final = 0.1
HEAD_BYTES: Final = 4 << 20
TAIL_BYTES: Final = 1 << 20
"""Of what a program prints, the first and the last so many bytes are kept."""

TOLD_BYTES: Final = 4096
"""How much of its last words goes into the verdict of a program that failed."""

LONGEST_LINE: Final = 1 << 16
SILENT_MORE_SECONDS: Final = 2.0


@final
class Child:
    """A process, what it prints, and everything that it starts.

    Args:
        words: the program and its arguments.
        root: where it runs.
        told: environment variables beside those of this process.
        run: the run's name, for messages.

    Raises:
        RunError: it cannot be started.
    """

    def __init__(self, words: Sequence[str], *, root: Path, told: Mapping[str, str], run: str) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        environment = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", **told}
        program = shutil.which(words[0], path=path) or words[0]
        if os.sep in words[0]:
            program = str(root / words[0])
        try:
            self._process = subprocess.Popen(
                [program, *words[1:]],
                cwd=root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise RunError(
                f"the program {words[0]!r} cannot be started ({error.strerror or error}).",
                where=run,
                remedy="check `command:`; it runs in the root, with PATH as it is here.",
            ) from error
        out, err = self._process.stdout, self._process.stderr
        assert out is not None
        assert err is not None
        self._out, self._err = Pump(out, 1), Pump(err, 2)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()
        self.reap()

    def is_alive(self) -> bool:
        """Whether it goes on; waits a little."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(POLL_SECONDS)
        return self._process.returncode is None

    def is_silent(self, limit: float | None, heard: float) -> bool:
        """Whether nothing was printed since ``limit`` seconds, nor heard otherwise."""
        return limit is not None and time.monotonic() - max(heard, self._out.heard, self._err.heard) > limit

    def end(self, patience: float = 5.0) -> None:
        """Ask it and its children to end; kill what is left after ``patience`` seconds."""
        family = self._family()
        for member in family:
            with contextlib.suppress(psutil.Error):
                member.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience if family else 0)
        for member in family:
            with contextlib.suppress(psutil.Error):
                member.kill()

    def reap(self) -> int:
        """Its exit code, once everything that it printed is written."""
        code = self._process.wait()
        for pump in (self._out, self._err):
            pump.close()
        return code

    def last_words(self) -> str:
        """The end of what it said on standard error, else on standard output."""
        text = self._err.tail() or self._out.tail()
        return f" Its last words:\n{text}" if text else ""

    def _family(self) -> list[psutil.Process]:
        if self._process.poll() is not None:
            return []
        try:
            leader = psutil.Process(self._process.pid)
            return [leader, *leader.children(recursive=True)]
        except psutil.Error:
            return []


@final
class Pump(threading.Thread):
    """Passes on what a program prints: the beginning at once, the end when it has ended."""

    def __init__(self, pipe: IO[bytes], target: int) -> None:
        super().__init__(name=f"quadrat-program-{target}", daemon=True)
        self.heard = time.monotonic()
        self._pipe = pipe
        self._target = target
        self._room = HEAD_BYTES
        self._left_out = 0
        self._late: deque[bytes] = deque()
        self._late_bytes = 0
        self._end = b""
        self._line = b""
        self.start()

    def run(self) -> None:
        """Until the program and all that hold its pipe have closed it."""
        with contextlib.suppress(OSError, ValueError):
            while data := os.read(self._pipe.fileno(), 1 << 16):
                self.heard = time.monotonic()
                self._end = (self._end + data)[-TOLD_BYTES:]
                self._hear(data)
        self._take(_masked(self._line))

    def tail(self) -> str:
        """The last words, secrets masked."""
        return mask(self._end.decode("utf-8", "replace"))[0].strip()

    def close(self) -> None:
        """Write what was held back. A daemon that keeps the pipe open is not waited for."""
        self.join(SILENT_MORE_SECONDS)
        if self._left_out:
            self._write(f"\nquadrat: {self._left_out} bytes of output are left out here\n".encode())
            self._left_out = 0
        while self._late:
            self._write(self._late.popleft())
        if not self.is_alive():
            self._pipe.close()

    def _hear(self, data: bytes) -> None:
        """Pass on whole lines, for a secret may be cut by what one reading brings."""
        data = self._line + data
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if not end and len(data) > LONGEST_LINE:
            end = len(data)
        self._line = data[end:]
        self._take(_masked(data[:end]))

    def _take(self, data: bytes) -> None:
        now, later = data[: self._room], data[self._room :]
        self._room -= len(now)
        if now:
            self._write(now)
        if later:
            self._late.append(later)
            self._late_bytes += len(later)
        while self._late_bytes - len(self._late[0] if self._late else b"") > TAIL_BYTES:
            gone = self._late.popleft()
            self._late_bytes -= len(gone)
            self._left_out += len(gone)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        with contextlib.suppress(OSError):  # a full disk costs the log and not the run
            while view:
                view = view[os.write(self._target, view) :]


def _masked(data: bytes) -> bytes:
    return mask(data.decode("utf-8", "surrogateescape"))[0].encode("utf-8", "surrogateescape") if data else data
