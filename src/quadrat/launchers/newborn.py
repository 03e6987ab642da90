"""The life of one forked job: from a copy of the zygote to a process of its own, and out."""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn, final

from quadrat.launchers.entry import run_entry
from quadrat.launchers.kin import Kernel


@final
class _LogFile(io.FileIO):
    """Standard output or error of a job. A full disk loses text; it does not end a training that prints."""

    def write(self, data: object, /) -> int:
        try:
            return super().write(data) or 0  # pyright: ignore[reportArgumentType]
        except OSError:
            return len(memoryview(data))  # pyright: ignore[reportArgumentType]


def live(order: Mapping[str, object], *, kernel: Kernel, zygote: int) -> NoReturn:
    """Run the job that ``order`` describes and leave by ``os._exit``; every signal is blocked on entry.

    The zygote ends its jobs in an orderly way itself, so the kernel's word that it is gone means that it was
    killed: SIGKILL then, for a survivor would write on into a folder that a later launcher takes for lost.
    """
    code = 1
    try:
        kernel.die_with_parent(signal.SIGKILL, parent=zygote)
        kernel.adopt_orphans()
        os.setpgid(0, 0)
        _open_streams(Path(str(order["log"])))
        _forget_signals()
        environ = order["environ"]
        os.environ.update(environ if isinstance(environ, dict) else {})
        entry, folder = str(order["entry"]), str(order["folder"])
        sys.argv = [entry, folder]
        code = run_entry(entry, Path(folder), complain=_complain)
        _say_goodbye()
    except KeyboardInterrupt:
        traceback.print_exc()
        _die_of(signal.SIGINT)
    except BaseException:
        traceback.print_exc()
    finally:
        _flush()
        os._exit(code)


def _open_streams(log: Path) -> None:
    """Standard input from nowhere, output and error to the end of ``log``, also for code below Python."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError:
        target = nowhere
    os.dup2(nowhere, 0)
    os.dup2(target, 1)
    os.dup2(target, 2)
    for descriptor in {nowhere, target}:
        os.close(descriptor)
    sys.stdout, sys.stderr = (_text(1), _text(2))
    faulthandler.enable()


def _text(descriptor: int) -> io.TextIOWrapper:
    raw = io.BufferedWriter(_LogFile(descriptor, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _complain(text: str) -> None:
    sys.stderr.write(text)


def _forget_signals() -> None:
    """Put every handler of the zygote back to the default, then let signals in."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        if callable(handler) and handler is not signal.default_int_handler:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())


def _say_goodbye() -> None:
    """What the interpreter does at the end of a program and ``os._exit`` leaves out."""
    threading._shutdown()  # type: ignore[attr-defined]  # pyright: ignore
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def _die_of(number: signal.Signals) -> None:
    """End by signal, so that the exit code tells what happened."""
    _flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
