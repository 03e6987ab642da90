"""The launcher for runs that train with several processes: each job under torchrun, on this machine.

The worker of rank 0 keeps the journal and decides how the run ends; it leaves its exit code in a note in the job
folder, because torchrun itself only knows good and bad. The other workers compute along.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

from quadrat.core.errors import UsageError
from quadrat.core.spec import Job
from quadrat.launchers.devices import visible_devices
from quadrat.launchers.entry import add_to_log
from quadrat.launchers.kin import Kernel

LEADER: Final = "rank0.json"
"""Note in the job folder: the process of rank 0, and its exit code once it has ended."""

NOTES: Final = (LEADER, "ready.json", "failed.json")
FAREWELL_SECONDS: Final = 20.0
"""How long the other processes may go on once rank 0 has ended."""

GRACE_SECONDS: Final = 30.0


@final
@dataclass(slots=True)
class TorchrunHandle:
    """One job: waiting, running or ended."""

    job: Job
    tend: Callable[[], None]
    process: subprocess.Popen[bytes] | None = None
    devices: tuple[str, ...] = ()
    code: int | None = None
    ended: float | None = None

    @property
    def name(self) -> str:
        """The job's name."""
        return self.job.name

    @property
    def pid(self) -> int | None:
        """The process of rank 0, else torchrun's own."""
        told = note(self.job.folder).get("pid")
        return int(told) if told is not None else (self.process.pid if self.process else None)

    def poll(self) -> int | None:
        """The exit code of rank 0 once all processes have ended."""
        if self.code is None:
            self.tend()
        return self.code

    def terminate(self) -> None:
        """SIGTERM to rank 0, which saves the run and takes the others with it."""
        if self.code is not None:
            return
        if self.process is None:
            self.code = -signal.SIGTERM
        elif "pid" in (leader := note(self.job.folder)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(leader["pid"]), signal.SIGTERM)
        else:
            self.end(-signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to torchrun and every process under it."""
        if self.code is None:
            self.end(-signal.SIGKILL)

    def end(self, code: int) -> None:
        """Leave no process behind, and be known to have ended with ``code``."""
        if self.process is not None:
            _kill_family(self.process.pid)
            self.process.wait()
        self.code = code


@final
@dataclass(slots=True)
class TorchrunLauncher:
    """Runs up to ``slots`` jobs at a time, each with ``resources.processes`` processes.

    A job of one process is started as it is. GPUs are granted as the pool does: each job gets its own, and each of
    its processes one of them. Ports are chosen by torchrun.
    """

    slots: int = 1
    live: list[TorchrunHandle] = field(default_factory=list[TorchrunHandle])
    queue: list[TorchrunHandle] = field(default_factory=list[TorchrunHandle])
    free: list[str] | None = None
    closed: bool = False

    def __post_init__(self) -> None:
        if self.slots < 1:
            raise UsageError(f"a launcher needs at least one slot, not {self.slots}.", remedy="slots=1 or more.")

    def submit(self, job: Job) -> TorchrunHandle:
        """Start ``job`` or queue it."""
        if self.closed:
            raise UsageError(f"job {job.name!r} was given to a launcher that is closed.")
        if job.resources.gpus:
            self.free = list(visible_devices()) if self.free is None else self.free
            known = len(self.free) + sum(len(handle.devices) for handle in self.live)
            if job.resources.gpus > known:
                what = f"job {job.name!r} needs {job.resources.gpus} GPUs and {known} can be seen."
                raise UsageError(what, where="resources.gpus", remedy="ask for fewer.")
        handle = TorchrunHandle(job, self.tend)
        self.queue.append(handle)
        self.tend()
        return handle

    def wait(self, timeout: float) -> None:
        """Sleep until a job may have ended."""
        self.tend()
        if self.live:
            time.sleep(min(timeout, 0.1))

    def close(self, *, grace: float = GRACE_SECONDS) -> None:
        """SIGTERM to every job, SIGKILL after ``grace`` seconds; returns when all are gone."""
        self.closed = True
        for handle in [*self.queue, *self.live]:
            handle.terminate()
        until = time.monotonic() + grace
        while self.live and time.monotonic() < until:
            self.wait(0.1)
        for handle in list(self.live):
            handle.kill()
        self.tend()

    def tend(self) -> None:
        """Look after the jobs at work, then start what the free slots and GPUs allow."""
        for handle in list(self.live):
            _look_after(handle)
            if handle.code is not None:
                self.live.remove(handle)
                self.free = [*(self.free or []), *handle.devices] if handle.devices else self.free
        self.queue = [handle for handle in self.queue if handle.code is None]
        while not self.closed and self.queue and len(self.live) < self.slots:
            gpus = self.queue[0].job.resources.gpus
            if gpus > len(self.free or ()):
                return
            handle = self.queue.pop(0)
            if gpus and self.free is not None:
                handle.devices, self.free = tuple(self.free[:gpus]), self.free[gpus:]
            self._start(handle)

    def _start(self, handle: TorchrunHandle) -> None:
        job = handle.job
        for name in NOTES:
            (job.folder / name).unlink(missing_ok=True)
        job.log.parent.mkdir(parents=True, exist_ok=True)
        kernel, me = Kernel(), os.getpid()
        try:
            with job.log.open("ab") as log:
                handle.process = subprocess.Popen(
                    command_of(job),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env={**os.environ, **_environment(handle)},
                    preexec_fn=lambda: kernel.die_with_parent(signal.SIGTERM, parent=me),  # noqa: PLW1509
                )
        except OSError as refused:
            add_to_log(job.log, f"quadrat: the system refused a new process: {refused}.\n")
            handle.code = 1
            return
        self.live.append(handle)


def command_of(job: Job) -> tuple[str, ...]:
    """The job's command, under torchrun where it has several processes."""
    count = job.resources.processes
    if count < 2:
        return job.command
    agent = (sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}")
    return (*agent, "--no-python", *job.command)


def note(folder: Path) -> Mapping[str, Any]:
    """What rank 0 has left in the job folder; empty before it has left anything."""
    try:
        found = json.loads((folder / LEADER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _environment(handle: TorchrunHandle) -> dict[str, str]:
    threads = str(handle.job.resources.threads)
    found: dict[str, str] = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    if handle.devices:
        found["CUDA_VISIBLE_DEVICES"] = ",".join(handle.devices)
    return found


def _look_after(handle: TorchrunHandle) -> None:
    """Take in how the job ended, and end what outlives rank 0."""
    process = handle.process
    if process is None or handle.code is not None:
        return
    told = note(handle.job.folder).get("code")
    returned = process.poll()
    if returned is not None:
        handle.code = int(told) if told is not None else returned
    elif told is not None:
        handle.ended = handle.ended or time.monotonic()
        if time.monotonic() - handle.ended > FAREWELL_SECONDS:
            add_to_log(handle.job.log, "quadrat: processes outlived rank 0 and were ended.\n")
            handle.end(int(told))


def _kill_family(pid: int) -> None:
    """SIGKILL a process and all its descendants; torchrun puts its workers into sessions of their own."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(pid).children(recursive=True)
        for member in [psutil.Process(pid), *family]:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
