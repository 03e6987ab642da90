"""Who dies with whom: the few Linux calls that keep a family of processes together.

On other systems they do nothing; what they add is then missing, not wrong.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import final

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


@final
class Kernel:
    """``prctl`` looked up once, before any fork, so that a child need not load a library to call it."""

    def __init__(self) -> None:
        self._prctl: Callable[..., int] | None = None
        if sys.platform == "linux":
            with contextlib.suppress(OSError, AttributeError):
                self._prctl = ctypes.CDLL(None, use_errno=True).prctl

    def die_with_parent(self, how: signal.Signals, *, parent: int) -> None:
        """Have ``how`` sent to this process when the thread that made it ends.

        The parent may have gone before the kernel was told; then the signal would never come, so it is sent
        here instead.
        """
        if self._prctl is not None:
            self._prctl(_PR_SET_PDEATHSIG, int(how), 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), how)

    def adopt_orphans(self) -> None:
        """Become the parent of every descendant whose own parent ends: daemons stay in sight."""
        if self._prctl is not None:
            self._prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def watch(pid: int) -> int | None:
    """A descriptor that becomes readable when process ``pid`` ends; None where the system has none."""
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def children() -> list[int]:
    """The living children of this single-threaded process, adopted ones and zombies included."""
    me = os.getpid()
    try:
        return [int(pid) for pid in Path(f"/proc/{me}/task/{me}/children").read_text().split()]
    except OSError:
        return []


def describe(pid: int) -> str:
    """A process as a person knows it: number and command."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        words = ""
    return f"{pid} ({words[:120]})" if words else str(pid)


def signal_name(number: int) -> str:
    """``SIGSEGV`` for 11; the number itself where it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def kill_group(group: int, how: signal.Signals) -> None:
    """Signal a whole process group; none there is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, how)


def kill_session(session: int) -> None:
    """SIGKILL every process of a session but its leader.

    Only safe while the leader is not yet reaped: until then its number cannot be given to a stranger.
    """
    import psutil

    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if pid != session and os.getsid(pid) == session:
                os.kill(pid, signal.SIGKILL)
