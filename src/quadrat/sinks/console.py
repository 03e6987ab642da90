"""Progress for a person: live bars on a terminal, few plain lines anywhere else."""

from __future__ import annotations

import math
import os
import re
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TextIO, final

from quadrat.sinks.base import RunProgress, Snapshot

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LINE_EVERY_S: Final = 30.0
_REFRESH_EVERY_S: Final = 0.1


@final
class ConsoleSink:
    """Talks to ``stream``, standard error unless told otherwise.

    On a terminal: one bar for the study, one line per running run. Elsewhere (a pipe, ``TERM=dumb``, ``CI``)
    plain lines: when a tenth of the runs more has ended, when one has failed or was stopped, and at most
    every 30 seconds otherwise. ``NO_COLOR`` and ``COLUMNS`` are honoured. A stream that is closed under it
    makes it silent. It hides no cursor and changes no mode, so there is nothing to restore after a crash.
    """

    def __init__(self, *, stream: TextIO | None = None, force_terminal: bool | None = None) -> None:
        self._stream = _Forgiving(sys.stderr if stream is None else stream)
        live = _is_live(self._stream, os.environ) if force_terminal is None else force_terminal
        self._view: _Bars | _PlainLines = _Bars(self._stream) if live else _PlainLines(self._stream)

    def start(self, study_name: str, planned: int) -> None:
        """A study begins."""
        self._view.start(_one_line(study_name), planned)

    def update(self, snapshot: Snapshot) -> None:
        """How it stands."""
        self._view.update(snapshot)

    def message(self, text: str) -> None:
        """A line of its own, above the bars."""
        self._view.message(clean(text))

    def close(self, summary: str | None = None) -> None:
        """Leave the last state standing, and ``summary`` below it."""
        self._view.close()
        if summary:
            self._stream.write(f"{clean(summary)}\n")
            self._stream.flush()


@final
class _PlainLines:
    """For pipes and logs: nothing moves, nothing repeats."""

    def __init__(self, stream: _Forgiving) -> None:
        self._stream = stream
        self._reset()

    def _reset(self) -> None:
        self._tenth = 0
        self._trouble = 0
        self._last = 0.0

    def start(self, study_name: str, planned: int) -> None:
        self._reset()
        self.message(f"{study_name}: {planned} {_runs(planned)}")

    def update(self, snapshot: Snapshot) -> None:
        tenth = 10 * snapshot.ended // max(1, snapshot.planned)
        trouble = snapshot.failed + snapshot.stopped
        # The clock is the study's own: a pure function of what it is told is easy to trust.
        waited = snapshot.elapsed_s - self._last >= _LINE_EVERY_S
        if tenth > self._tenth or trouble > self._trouble or waited:
            self._tenth, self._trouble, self._last = tenth, trouble, snapshot.elapsed_s
            self.message(account(snapshot))

    def message(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def close(self) -> None:
        self._stream.flush()


@final
class _Bars:
    """For terminals: a bar for the study and one for each running run, redrawn ten times a second at most.

    No thread draws: one that died or hung, or that a fork caught in the middle, would be trouble for nothing.
    """

    def __init__(self, stream: _Forgiving) -> None:
        self._stream = stream
        self._progress: Progress | None = None
        self._study: TaskID | None = None
        self._runs: dict[str, TaskID] = {}
        self._drawn = 0.0

    def start(self, study_name: str, planned: int) -> None:
        self.close()
        self._progress = progress = _progress(self._stream)
        self._study = progress.add_task(study_name, total=planned or None, text="")
        self._runs = {}
        self._drawn = 0.0
        progress.start()
        progress.console.show_cursor(True)

    def update(self, snapshot: Snapshot) -> None:
        if self._progress is None:
            self.start(_one_line(snapshot.study), snapshot.planned)
        progress, study = self._progress, self._study
        if progress is None or study is None:
            return
        progress.update(study, completed=snapshot.ended, total=snapshot.planned or None, text=_brief(snapshot))
        self._update_runs(progress, snapshot.running)
        now = time.monotonic()
        if now - self._drawn >= _REFRESH_EVERY_S:
            self._drawn = now
            progress.refresh()

    def _update_runs(self, progress: Progress, running: tuple[RunProgress, ...]) -> None:
        names = {run.name for run in running}
        for name in [name for name in self._runs if name not in names]:
            progress.remove_task(self._runs.pop(name))
        for run in running:
            if run.name not in self._runs:
                self._runs[run.name] = progress.add_task(f"  {_one_line(run.name)}", total=None, text="")
            share = run.fraction if run.fraction is not None and math.isfinite(run.fraction) else None
            total = None if share is None else 1.0
            progress.update(self._runs[run.name], completed=share or 0.0, total=total, text=_working(run))

    def message(self, text: str) -> None:
        if self._progress is None:
            self._stream.write(f"{text}\n")
            self._stream.flush()
        else:
            self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        if self._progress is not None:
            self._update_runs(self._progress, ())
            self._progress.refresh()
            self._progress.stop()
            self._progress = None


@final
class _Forgiving:
    """A text stream that nobody need listen to: what cannot be written is dropped, for good once it is closed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._gone = False
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        if not self._gone:
            try:
                self._stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
            except (OSError, ValueError):
                self._gone = True
        return len(text)

    def flush(self) -> None:
        if not self._gone:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._gone = True

    def isatty(self) -> bool:
        try:
            return self._stream.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        return self._stream.fileno()


def clean(text: str) -> str:
    """``text`` without anything a terminal would obey."""
    return _CONTROL.sub("?", text)


def _one_line(text: str) -> str:
    return " ".join(clean(text).split())


def duration(seconds: float) -> str:
    """Seconds as a person says them: ``45 s``, ``12 min``, ``3 h 05 min``, ``2 d 4 h``."""
    if not math.isfinite(seconds):
        return "unknown time"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"


def account(snapshot: Snapshot) -> str:
    """A snapshot as one plain line."""
    return f"{_one_line(snapshot.study)}: {snapshot.ended} of {snapshot.planned} ended ({_standing(snapshot)})"


def _standing(snapshot: Snapshot) -> str:
    parts = [f"{snapshot.completed} completed"]
    parts += [f"{snapshot.failed} failed"] if snapshot.failed else []
    parts += [f"{snapshot.stopped} stopped"] if snapshot.stopped else []
    parts += [f"{snapshot.left} left", f"{duration(snapshot.elapsed_s)} elapsed"]
    if snapshot.eta_s is not None and math.isfinite(snapshot.eta_s) and snapshot.left:
        parts.append(f"about {duration(snapshot.eta_s)} to go")
    return ", ".join(parts)


def _brief(snapshot: Snapshot) -> str:
    """What fits beside a bar on 80 columns."""
    parts = [f"{snapshot.completed} done"]
    parts += [f"{snapshot.failed} failed"] if snapshot.failed else []
    parts += [f"{snapshot.stopped} stopped"] if snapshot.stopped else []
    parts.append(f"{snapshot.left} left")
    if snapshot.eta_s is not None and math.isfinite(snapshot.eta_s) and snapshot.left:
        parts.append(f"about {duration(snapshot.eta_s)} to go")
    else:
        parts.append(f"{duration(snapshot.elapsed_s)} elapsed")
    return ", ".join(parts)


def _working(run: RunProgress) -> str:
    steps = f"step {run.step}" if run.total is None else f"step {run.step} of {run.total}"
    return f"{steps}, {_one_line(run.metric)}" if run.metric else steps


def _runs(count: int) -> str:
    return "run" if count == 1 else "runs"


def _is_live(stream: _Forgiving, environ: Mapping[str, str]) -> bool:
    return stream.isatty() and environ.get("TERM", "") not in {"", "dumb", "unknown"} and not environ.get("CI")


def _progress(stream: _Forgiving) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    def column(*, ratio: int | None = None) -> Column:
        return Column(no_wrap=True, overflow="ellipsis", ratio=ratio)

    # pyright takes a console's file for a whole text file; it writes, flushes and asks for the terminal.
    console = Console(file=stream, force_terminal=True)  # pyright: ignore[reportArgumentType]
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=column()),
        BarColumn(bar_width=24 if console.width >= 100 else 12),
        TextColumn("{task.fields[text]}", markup=False, table_column=column()),
        console=console,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    )
