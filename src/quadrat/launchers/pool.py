"""The launcher for one machine: every job in a process of its own, forked with the heavy imports done."""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections import deque
from typing import Any, Final, final

from quadrat.core.errors import UsageError
from quadrat.core.spec import Job
from quadrat.launchers.devices import visible_devices
from quadrat.launchers.entry import add_to_log
from quadrat.launchers.nursery import GRACE, Breed, Nursery, why_lost

_MARGIN: Final = 2.0
"""Seconds beyond the grace that a zygote may take to end itself before it is ended."""


@final
class PoolHandle:
    """One job of the pool: queued, running or ended."""

    def __init__(self, job: Job, *, number: int, pool: PoolLauncher) -> None:
        self.job = job
        self.number = number
        self.pid: int | None = None
        self.code: int | None = None
        self.nursery: Nursery | None = None
        self.devices: tuple[str, ...] = ()
        self._pool = pool

    @property
    def name(self) -> str:
        """The job's name."""
        return self.job.name

    def poll(self) -> int | None:
        """The exit code once the job has ended."""
        if self.code is None:
            self._pool.tend()
        return self.code

    def terminate(self) -> None:
        """SIGTERM to the job's main process; its own helpers live on while it saves its work."""
        self._pool.pass_on(self, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the job and every process in its group."""
        self._pool.pass_on(self, signal.SIGKILL)


@final
class PoolLauncher:
    """Runs up to ``slots`` jobs at a time.

    The first job that needs a certain set of imports starts a process that does them once; each such job is
    then a fork of it, about 100 times cheaper than a new interpreter with torch and just as separate: own
    process group, own log, no terminal. All of them are gone within seconds after this process is, even by
    ``kill -9``. A job that declares GPUs gets that many for itself alone.

    Needs ``os.fork``; that nothing outlives the launcher is promised on Linux only.
    """

    def __init__(self, *, slots: int) -> None:
        if slots < 1:
            raise UsageError(f"a pool needs at least one slot, not {slots}.", remedy="slots=1 or more.")
        if not hasattr(os, "fork"):
            raise UsageError("the pool launcher forks, which this system cannot.", remedy="the inline launcher.")
        self.slots = slots
        self._closed = False
        self._count = 0
        self._queue: deque[PoolHandle] = deque()
        self._live: dict[int, PoolHandle] = {}
        self._nurseries: dict[Breed, Nursery] = {}
        self._devices: tuple[str, ...] | None = None
        self._free: list[str] = []

    def submit(self, job: Job) -> PoolHandle:
        """Start ``job`` or queue it; returns at once, also when the imports have yet to be done."""
        if self._closed:
            raise UsageError(f"job {job.name!r} was given to a launcher that is closed.")
        if job.resources.gpus:
            self._check_devices(job)
        self._count += 1
        handle = PoolHandle(job, number=self._count, pool=self)
        self._queue.append(handle)
        self.tend()
        return handle

    def wait(self, timeout: float) -> None:
        """Sleep until some job has news, at most ``timeout`` seconds."""
        self.tend()
        if self._live and timeout > 0:
            self._listen(timeout)

    def close(self, *, grace: float = GRACE) -> None:
        """SIGTERM to every job, SIGKILL after ``grace`` seconds; returns when all are gone."""
        self._closed = True
        for handle in [*self._queue, *self._live.values()]:
            if handle.nursery is None or not handle.nursery.ready:
                self.pass_on(handle, signal.SIGTERM)
        for nursery in self._nurseries.values():
            nursery.ask_to_close(grace)
        deadline = time.monotonic() + grace + _MARGIN
        while self._nurseries and time.monotonic() < deadline:
            self._listen(deadline - time.monotonic())
        for breed in list(self._nurseries):
            self._mourn(self._nurseries.pop(breed))

    def tend(self) -> None:
        """Hear all reports, then start what the free slots allow."""
        for breed, nursery in list(self._nurseries.items()):
            for report in nursery.receive():
                self._hear(report)
            if nursery.lost:
                self._mourn(self._nurseries.pop(breed))
        if not self._closed:
            self._fill()

    def pass_on(self, handle: PoolHandle, number: signal.Signals) -> None:
        """Pass a signal on to a job; one that has not begun is taken off the list instead."""
        self.tend()
        if handle.code is not None:
            return
        if handle in self._queue:
            self._queue.remove(handle)
            handle.code = -number
        elif handle.nursery is not None and handle.nursery.ready:
            handle.nursery.send({"order": "signal", "id": handle.number, "signal": int(number)})
        elif handle.nursery is not None:
            # The imports are not done. Whatever becomes of them, this job shall not run.
            handle.nursery.send({"order": "signal", "id": handle.number, "signal": int(signal.SIGKILL)})
            self._end(handle, -number)

    def _listen(self, timeout: float) -> None:
        with selectors.DefaultSelector() as selector:
            for nursery in self._nurseries.values():
                selector.register(nursery, selectors.EVENT_READ)
            selector.select(max(0.0, timeout))
        self.tend()

    def _fill(self) -> None:
        short = False
        for handle in list(self._queue):
            gpus = handle.job.resources.gpus
            if len(self._live) >= self.slots:
                break
            if gpus and (short or gpus > len(self._free)):
                short = True  # jobs without GPUs may overtake it, others not: it would starve
                continue
            self._queue.remove(handle)
            self._start(handle)

    def _start(self, handle: PoolHandle) -> None:
        job = handle.job
        breed = Breed.of(job)
        try:
            if breed not in self._nurseries:
                self._nurseries[breed] = Nursery(breed)
        except OSError as refused:
            add_to_log(job.log, f"quadrat: the system refused a new process: {refused}.\n")
            handle.code = 1
            return
        handle.nursery = self._nurseries[breed]
        handle.devices, self._free = (
            tuple(self._free[: job.resources.gpus]),
            self._free[job.resources.gpus :],
        )
        self._live[handle.number] = handle
        handle.nursery.send(
            {
                "order": "start",
                "id": handle.number,
                "entry": job.entry,
                "folder": str(job.folder),
                "log": str(job.log),
                "environ": {"CUDA_VISIBLE_DEVICES": ",".join(handle.devices)} if handle.devices else {},
            }
        )

    def _hear(self, report: dict[str, Any]) -> None:
        handle = self._live.get(report.get("id", 0))
        if handle is None:
            return
        if report["report"] == "started":
            handle.pid = report["pid"]
        elif report["report"] == "ended":
            self._end(handle, report["code"])

    def _end(self, handle: PoolHandle, code: int) -> None:
        del self._live[handle.number]
        self._free += handle.devices
        handle.code = code

    def _mourn(self, nursery: Nursery) -> None:
        """Settle the jobs of a zygote that is gone: those that ran died with it, the rest never began."""
        code, words = nursery.bury()
        for handle in [handle for handle in self._live.values() if handle.nursery is nursery]:
            add_to_log(handle.job.log, why_lost(code, words))
            self._end(handle, -signal.SIGKILL if handle.pid is not None else code or 1)

    def _check_devices(self, job: Job) -> None:
        if self._devices is None:
            self._devices = visible_devices()
            self._free = list(self._devices)
        if job.resources.gpus > len(self._devices):
            raise UsageError(
                f"job {job.name!r} needs {job.resources.gpus} GPU(s) and this machine offers {len(self._devices)}.",
                remedy="resources: {gpus: 0}, or set CUDA_VISIBLE_DEVICES to the devices to use.",
            )
