"""A conductor of its own session: it goes on when the terminal that started it is closed."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, final

from quadrat.core.errors import StoreError
from quadrat.core.secrets import masked_words
from quadrat.journal.layout import StudyFolder
from quadrat.journal.lock import conductor_of, study_lock

LOG: Final = "conductor.log"
POLL_SECONDS: Final = 0.02


@final
@dataclass(frozen=True, slots=True)
class Detached:
    """A conductor that was sent to the background.

    Attributes:
        pid: its process.
        log: where its output goes.
        code: how it has ended already; None while it is at work.
        said: what it said before it ended; empty while it is at work.
    """

    pid: int
    log: Path
    code: int | None = None
    said: str = ""


def start(words: Sequence[str], folder: StudyFolder) -> Detached:
    """Start ``quadrat WORDS``, which conducts the study of ``folder``; return once it is at work, or has ended.

    An interrupt while waiting ends the conductor as well: it was not handed over yet.

    Raises:
        UsageError: another conductor works on this study.
        StoreError: the study's folder cannot be written.
    """
    with study_lock(folder):
        pass  # taken, it would only be refused in the background, among the lines of the one that has it
    log = folder.path / LOG
    descriptor = _open(log)
    try:
        stamp = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        os.write(descriptor, f"--- {stamp} quadrat {shlex.join(masked_words(words))}\n".encode(errors="replace"))
        begin = os.fstat(descriptor).st_size
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "quadrat", *words],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)
    try:
        return _wait(process, folder, log=log, begin=begin)
    except BaseException:
        process.terminate()
        process.wait()
        raise


def _wait(process: subprocess.Popen[bytes], folder: StudyFolder, *, log: Path, begin: int) -> Detached:
    """Until the conductor has announced its study under the lock: from then on it does not refuse any more."""
    while True:
        code, said = process.poll(), _since(log, begin)
        if code is not None:
            return Detached(process.pid, log, code=code if code >= 0 else 128 - code, said=_since(log, begin))
        # In this order: whoever refuses lets go of the lock before it says why.
        holder = conductor_of(folder)
        if said and holder is not None and holder.pid == process.pid and holder.is_alive():
            return Detached(process.pid, log)
        time.sleep(POLL_SECONDS)


def _open(log: Path) -> int:
    """Open for appending; never through a symbolic link, which could lead out of the root."""
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError("it is no regular file")
    except OSError as error:
        raise StoreError(
            f"the conductor's output cannot be written ({error.strerror or error}).",
            where=str(log),
            remedy="move what is in its place aside, or check permissions and free space.",
        ) from error
    os.set_blocking(descriptor, True)
    return descriptor


def _since(log: Path, begin: int) -> str:
    try:
        with log.open("rb") as file:
            file.seek(begin)
            return file.read().decode(errors="replace")
    except OSError:
        return ""
