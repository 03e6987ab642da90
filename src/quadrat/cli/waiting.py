"""How far long work has come, on standard error: a bar on a terminal, now and then a plain line anywhere else."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, TypeAlias

Tell: TypeAlias = Callable[[int, int], None]
"""Called with how much is done and how much there is."""

QUIET_SECONDS: Final = 10.0
"""Without a terminal, work that takes no longer says nothing, and longer work a line each so often."""


@contextmanager
def waiting(what: str, *, unit: str) -> Generator[Tell]:
    """Tells how far the work in the block has come.

    Args:
        what: the work, as in ``verify toy``.
        unit: what is counted, as in ``runs``.
    """
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with _bar(what, unit) as tell:
            yield tell
    else:
        yield _lines(what, unit)


@contextmanager
def _bar(what: str, unit: str) -> Generator[Tell]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(escape(what)), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _lines(what: str, unit: str) -> Tell:
    last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        if done < total and time.monotonic() - last >= QUIET_SECONDS:
            last = time.monotonic()
            print(f"{what}: {done} of {total} {unit}", file=sys.stderr, flush=True)

    return tell
