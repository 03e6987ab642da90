"""Runs the entry of a job and turns everything that can come out of it into an exit code and a text."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def run_entry(entry: str, folder: Path, *, complain: Callable[[str], None]) -> int:
    """Call ``entry`` (``module:function``) with ``folder``; the exit code is what it returns.

    An exception gives 1 and ``complain`` receives its traceback. ``SystemExit`` is respected as Python does
    at the end of a program. ``KeyboardInterrupt`` is the caller's.
    """
    try:
        module, _, function = entry.partition(":")
        return _code(getattr(import_module(module), function)(folder), complain)
    except SystemExit as leaving:
        return _code(leaving.code, complain)
    except KeyboardInterrupt:
        raise
    except BaseException:
        complain(traceback.format_exc())
        return 1


def put_on_path(folders: tuple[str, ...]) -> None:
    """Make the modules in ``folders`` importable, before all others and in the order given."""
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]


def add_to_log(log: Path, text: str) -> None:
    """Append to a job's log; a log that cannot be written never changes how a job ends."""
    if text:
        with contextlib.suppress(OSError):
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("a", encoding="utf-8", errors="backslashreplace") as target:
                target.write(text)


def _code(returned: Any, complain: Callable[[str], None]) -> int:
    """What the system would report: None is 0, a text is a complaint and 1, a number keeps its low byte."""
    if returned is None:
        return 0
    if isinstance(returned, int):
        # A failure must not come out as 0 because its low byte happens to be.
        return (returned & 0xFF) or int(returned != 0)
    complain(f"{returned}\n")
    return 1
