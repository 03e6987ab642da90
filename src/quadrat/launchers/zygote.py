"""The process that imports the heavy packages once and forks a copy of itself for every job.

Started by the pool as ``python -P -m quadrat.launchers.zygote SETTINGS``; orders come in on standard input,
reports go out on standard output (see ``wire``). It lives in a session of its own, so the Ctrl-C of a
terminal does not reach the jobs; it never runs what it imported, starts no thread, and sleeps when there is
nothing to do. When the launcher is gone, however it went, it ends its jobs and then itself.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, Final, final

from quadrat.launchers import kin, newborn
from quadrat.launchers.entry import add_to_log, put_on_path
from quadrat.launchers.wire import Lines, encode

_LEFTOVER_GRACE: Final = 1.0
"""Seconds that processes left behind by a job have, first to end by themselves, then after SIGTERM."""
_UNKILLABLE: Final = 1.0
"""Seconds after SIGKILL when a process is taken to be beyond reach (waiting for a disk that is gone)."""


@final
@dataclass(slots=True)
class _Job:
    number: int
    pid: int
    log: Path
    sent: set[int] = field(default_factory=set[int])


@final
@dataclass(slots=True)
class _Leftover:
    """A process that outlived the job that made it. ``due`` is when it gets the next signal."""

    log: Path | None
    due: float
    asked: bool = False


@final
class Zygote:
    """Forks jobs on order, watches them, reports how each ended."""

    def __init__(self, *, parent: int, grace: float, kernel: kin.Kernel) -> None:
        self._parent = parent
        self._grace = grace
        self._kernel = kernel
        self._orders = os.dup(0)
        self._reports = os.dup(1)
        self._lines = Lines()
        self._jobs: dict[int, _Job] = {}
        self._leftovers: dict[int, _Leftover] = {}
        self._broken: str | None = None
        self._remark = ""
        self._closing: float | None = None
        self._killed = False
        self._wake, self._woken = os.pipe()
        self._selector = selectors.DefaultSelector()
        self._serving = False
        self._asked_to_end = False

    def prepare(self, preload: Sequence[str]) -> None:
        """Import everything that the jobs share. What goes wrong is told to every job, in its log."""
        nowhere = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nowhere, 0)
        os.dup2(2, 1)
        os.close(nowhere)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, self._on_hangup)
        self._kernel.die_with_parent(signal.SIGHUP, parent=self._parent)
        self._kernel.adopt_orphans()
        try:
            for name in preload:
                import_module(name)
        except BaseException:
            self._broken = f"quadrat: cannot import {', '.join(preload)} for the jobs.\n{traceback.format_exc()}"
        others = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
        if others:
            self._remark = (
                f"quadrat: importing {', '.join(preload)} started threads ({', '.join(others)}). They do not "
                "exist in this job, and a lock that one of them held stays locked: start them in a function.\n"
            )
        sys.stdout.flush()
        sys.stderr.flush()
        _disown_finalizers()
        gc.collect()
        gc.freeze()  # a collection in a job would otherwise touch, and so copy, every page of it all

    def run(self) -> None:
        """Serve until told to close, or until the launcher is gone."""
        for number in (self._wake, self._woken):
            os.set_blocking(number, False)
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_terminate)
        self._selector.register(self._orders, selectors.EVENT_READ, self._take_orders)
        self._selector.register(self._wake, selectors.EVENT_READ, self._drain_wake)
        launcher = kin.watch(self._parent)
        if launcher is not None:
            self._selector.register(launcher, selectors.EVENT_READ, lambda: self._parent_gone(launcher))
        self._serving = True
        self._report({"report": "ready"})
        while not self._finished():
            for key, _ in self._selector.select(self._patience()):
                key.data()
            if self._asked_to_end:
                self._close(self._grace)
            self._tend()

    # -- orders ------------------------------------------------------------------------------------------

    def _take_orders(self) -> None:
        piece = os.read(self._orders, 1 << 16)
        for order in self._lines.feed(piece):
            if order["order"] == "start":
                self._start(order)
            elif order["order"] == "signal":
                self._signal(order)
            else:
                self._close(float(order["grace"]))
        if not piece:
            self._close(self._grace)

    def _start(self, order: dict[str, Any]) -> None:
        number, log = int(order["id"]), Path(order["log"])
        if self._broken or self._closing is not None:
            add_to_log(log, self._broken or "quadrat: the launcher was closed before this job could start.\n")
            self._report({"report": "ended", "id": number, "code": 1})
            return
        add_to_log(log, self._remark)
        # No handler of the zygote may run in the child, and no signal for the child may be swallowed by one.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        zygote = os.getpid()
        try:
            pid = os.fork()
        except OSError as refused:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            add_to_log(log, f"quadrat: the system refused a new process: {refused.strerror}.\n")
            self._report({"report": "ended", "id": number, "code": 1})
            return
        if pid == 0:
            self._let_go()
            newborn.live(order, kernel=self._kernel, zygote=zygote)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        self._jobs[number] = _Job(number, pid, log)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._report({"report": "started", "id": number, "pid": pid})

    def _let_go(self) -> None:
        """In the child: close what belongs to the zygote, so that its end can be noticed."""
        inherited = [key.fd for key in self._selector.get_map().values()]
        self._selector.close()
        for descriptor in {*inherited, self._reports, self._woken}:
            os.close(descriptor)

    def _signal(self, order: dict[str, Any]) -> None:
        job = self._jobs.get(int(order["id"]))
        if job is None:
            return
        number = signal.Signals(int(order["signal"]))
        job.sent.add(number)
        if number is signal.SIGKILL:
            kin.kill_group(job.pid, number)
        else:
            os.kill(job.pid, number)

    # -- endings -----------------------------------------------------------------------------------------

    def _tend(self) -> None:
        """Everything that may have become due: jobs that ended, what they left behind, the end of it all."""
        for job in list(self._jobs.values()):
            ended = os.waitid(os.P_PID, job.pid, os.WEXITED | os.WNOHANG)
            if ended is not None:
                del self._jobs[job.number]
                self._find_leftovers(job.log)
                self._report_end(job, ended)
        self._find_leftovers(None)
        now = time.monotonic()
        for pid, leftover in list(self._leftovers.items()):
            self._tend_leftover(pid, leftover, now)
        if self._closing is not None and not self._killed and now >= self._closing:
            self._killed = True
            for job in self._jobs.values():
                job.sent.add(signal.SIGKILL)
                kin.kill_group(job.pid, signal.SIGKILL)

    def _report_end(self, job: _Job, ended: os.waitid_result) -> None:
        by_signal = ended.si_code != os.CLD_EXITED
        if by_signal and ended.si_status not in job.sent:
            name = kin.signal_name(ended.si_status)
            hint = "; the kernel does that when memory runs out" if name == "SIGKILL" else ""
            add_to_log(job.log, f"quadrat: this job died by {name}, which its launcher did not send{hint}.\n")
        code = -ended.si_status if by_signal else ended.si_status
        self._report({"report": "ended", "id": job.number, "code": code})

    def _find_leftovers(self, log: Path | None) -> None:
        """Whoever is a child now and no job was left behind: jobs adopt their own orphans while they live."""
        known = {job.pid for job in self._jobs.values()} | self._leftovers.keys()
        for pid in kin.children():
            if pid not in known:
                self._leftovers[pid] = _Leftover(log, time.monotonic() + _LEFTOVER_GRACE)

    def _tend_leftover(self, pid: int, leftover: _Leftover, now: float) -> None:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            del self._leftovers[pid]
            return
        if self._closing is not None:
            os.kill(pid, signal.SIGKILL)
        elif now >= leftover.due:
            if leftover.log is not None and not leftover.asked:
                add_to_log(leftover.log, f"quadrat: ended a process that this job left behind: {kin.describe(pid)}.\n")
            os.kill(pid, signal.SIGKILL if leftover.asked else signal.SIGTERM)
            leftover.asked, leftover.due = True, now + _LEFTOVER_GRACE

    def _patience(self) -> float | None:
        """Seconds to sleep at most; None is until something happens."""
        due = [leftover.due for leftover in self._leftovers.values()]
        if self._closing is not None:
            due.append(self._closing + (_UNKILLABLE if self._killed else 0.0))
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _finished(self) -> bool:
        if self._closing is None:
            return False
        gone = not self._jobs and not self._leftovers
        return gone or (self._killed and time.monotonic() >= self._closing + _UNKILLABLE)

    # -- the launcher ------------------------------------------------------------------------------------

    def _close(self, grace: float) -> None:
        """Take no more orders, ask every job to stop, and note when asking ends."""
        if self._closing is not None:
            return
        self._closing = time.monotonic() + grace
        for job in self._jobs.values():
            job.sent.add(signal.SIGTERM)
            os.kill(job.pid, signal.SIGTERM)
        with contextlib.suppress(KeyError):
            self._selector.unregister(self._orders)

    def _parent_gone(self, launcher: int) -> None:
        self._selector.unregister(launcher)
        self._close(self._grace)

    def _on_hangup(self, _number: int, _frame: FrameType | None) -> None:
        """The thread that started this process ended; only when its process did too is that the end."""
        if os.getppid() == self._parent:
            return
        if not self._serving:
            os._exit(1)  # there is no job yet, so the way out is short
        self._asked_to_end = True

    def _on_terminate(self, _number: int, _frame: FrameType | None) -> None:
        self._asked_to_end = True

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake, 4096):
                pass

    def _report(self, message: dict[str, Any]) -> None:
        try:
            os.write(self._reports, encode(message))
        except OSError:
            self._close(self._grace)


def _disown_finalizers() -> None:
    """Keep jobs from running, as they leave, what was registered before they were born.

    A temporary folder of an imported package would vanish with the first job. And torch has hundreds of
    these: three quarters of the cost of a trivial job.
    """
    registry: dict[weakref.finalize[Any, Any], Any] = getattr(weakref.finalize, "_registry", {})
    for finalizer in list(registry):
        finalizer.atexit = False


def main(settings: dict[str, Any]) -> None:
    """Live as a zygote. ``settings``: parent, grace, python_path, preload."""
    zygote = Zygote(parent=settings["parent"], grace=settings["grace"], kernel=kin.Kernel())
    put_on_path(tuple(settings["python_path"]))
    zygote.prepare(settings["preload"])
    zygote.run()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
    os._exit(0)  # without the farewells of packages that were only ever imported
