"""Which process is meant: a number alone is not enough, since numbers are given to strangers later."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

_DEAD = ("Z", "X", "x")


@final
@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process among all that ever ran.

    Attributes:
        pid: its number.
        create_time: when it began. On Linux in seconds since the machine started, as the kernel keeps it,
            so that a clock that is set does not make a living process look like another; elsewhere in
            seconds since 1970.
        boot_id: which start of the machine.
        host: the machine's name.
    """

    pid: int
    create_time: float
    boot_id: str
    host: str

    @classmethod
    def current(cls) -> ProcessId:
        """This process."""
        pid = os.getpid()
        return cls(pid, create_time(pid) or 0.0, boot_id(), socket.gethostname())

    def is_here(self) -> bool:
        """Whether it belongs to this start of this machine, so that its life can be looked up."""
        return self.is_same_host() and self.boot_id == boot_id()

    def is_same_host(self) -> bool:
        """Whether it belongs to a machine of this name."""
        return self.host == socket.gethostname()

    def is_alive(self) -> bool:
        """Whether it runs, here and now. A process elsewhere, or ended and not yet reaped, is not alive."""
        if not self.is_here():
            return False
        began = create_time(self.pid)
        return began is not None and abs(began - self.create_time) < 0.005

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ProcessId:
        """The process that ``as_dict`` described.

        Raises:
            ValueError: the data does not describe a process.
        """
        try:
            return cls(int(data["pid"]), float(data["create_time"]), str(data["boot_id"]), str(data["host"]))
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"{data!r} does not describe a process") from error


def create_time(pid: int) -> float | None:
    """When process ``pid`` began (see ``ProcessId``), or None when no such process is alive."""
    if pid <= 0:
        return None
    try:
        words = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return None if words[0] in _DEAD else int(words[19]) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return None if Path("/proc/self/stat").exists() else _create_time_elsewhere(pid)


def _create_time_elsewhere(pid: int) -> float | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def boot_id() -> str:
    """Which start of the machine this is."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(int(boot_time()))


def boot_time() -> float:
    """When the machine started, in seconds since 1970."""
    import psutil

    return psutil.boot_time()
