"""A running study on one screen: the picture that ``quadrat top`` shows, for a terminal or as plain text."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from quadrat.core.verdicts import Status
from quadrat.sinks.console import clean, duration

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from quadrat.analyze.live import Ended, Picture
    from quadrat.analyze.run_watch import Working

PLAIN_WIDTH: Final = 200
"""Columns of plain text: wide enough to cut nothing."""

LATE_SECONDS: Final = 10.0
"""A heartbeat comes every second; one that is older than this is marked."""

_BAR: Final = (
    (Status.COMPLETED, "#", "green"),
    (Status.STOPPED, "s", "yellow"),
    (Status.FAILED, "x", "red"),
    (Status.LOST, "x", "red"),
    (Status.PREEMPTED, "-", "yellow"),
    (Status.SKIPPED, "-", "dim"),
    (Status.RUNNING, ">", "cyan"),
    (Status.PENDING, ".", "dim"),
)
_NONE: Final = "-"
_FIXED_LINES: Final = 10
"""Lines that are no runs: account, bar, processes, two heads with a blank line each, two counts of more, farewell."""


def screen_lines(picture: Picture, *, columns: int, lines: int) -> list[str]:
    """The picture as lines with colours, cut to a terminal of that size."""
    console = _console(columns, colours=True)
    rows = max(2, lines - _FIXED_LINES)
    worst = min(len(picture.troubled), max(rows - len(picture.running), min(3, rows // 3)))
    parts = _parts(picture, columns, room=(rows - worst, worst))
    return [*_drawn(console, parts)[: lines - 1], _drawn(console, [_farewell()])[0]]


def plain_text(picture: Picture) -> str:
    """The whole picture as plain text."""
    whole = len(picture.running), len(picture.troubled)
    lines = _drawn(_console(PLAIN_WIDTH), _parts(picture, PLAIN_WIDTH, room=whole))
    return "\n".join(line.rstrip() for line in lines).rstrip()


def _console(columns: int, *, colours: bool = False) -> Console:
    from rich.console import Console

    return Console(
        file=io.StringIO(),
        force_terminal=colours,
        color_system="auto" if colours else None,
        width=columns,
        legacy_windows=False,
        # Names and messages are shown as they are: nothing in them is a command.
        markup=False,
        emoji=False,
        highlight=False,
    )


def _drawn(console: Console, parts: Sequence[RenderableType]) -> list[str]:
    with console.capture() as captured:
        for part in parts:
            console.print(part, no_wrap=True, overflow="ellipsis", crop=True)
    return captured.get().splitlines()


def _parts(picture: Picture, columns: int, *, room: tuple[int, int]) -> list[RenderableType]:
    from rich.text import Text

    head: list[RenderableType] = [
        Text(f"{clean(picture.study)}: {picture.coverage.text}", style="bold"),
        _bar(picture, min(columns, 100)),
        Text(_processes(picture)),
    ]
    if picture.running:
        head += ["", _running_table(picture.running[: room[0]], columns), *_more(len(picture.running) - room[0])]
    if picture.troubled:
        head += ["", _troubled_table(picture.troubled[: room[1]]), *_more(len(picture.troubled) - room[1])]
    return head


def _more(count: int) -> list[RenderableType]:
    from rich.text import Text

    return [Text(f"... and {count} more", style="dim")] if count > 0 else []


def _bar(picture: Picture, columns: int) -> RenderableType:
    """One letter for a share of the runs: # completed, x failed, s stopped, > running, . not begun."""
    from rich.text import Text

    told = f" {picture.ended} of {picture.coverage.planned} ended"
    if picture.seconds is not None:
        told += f", {duration(picture.seconds)} so far"
    if picture.eta is not None:
        told += f", about {duration(picture.eta)} to go"
    width = max(10, min(60, columns - len(told) - 2))
    text, seen, drawn = Text("["), 0, 0
    for status, letter, style in _BAR:
        seen += picture.coverage.counts.get(status, 0)
        until = round(width * seen / max(1, picture.coverage.planned))
        text.append(letter * (until - drawn), style=style)
        drawn = until
    return text.append(f"]{told}")


def _processes(picture: Picture) -> str:
    if not picture.at_work:
        return "nobody is running it"
    conductor = picture.conductor
    where = f" on {clean(conductor.host)}" if conductor is not None and not conductor.is_here() else ""
    told = f"conducted by process {conductor.pid}{where}" if conductor is not None else "no conductor"
    # The members of a pack share a process: it counts once.
    shared = {(run.host, run.pid): run.vitals for run in picture.running if run.pid is not None}
    if not shared:
        return f"{told}; no run at work yet"
    count = f"{len(shared)} process{'' if len(shared) == 1 else 'es'} at work"
    cpu, rss = (
        [value for value in column if value is not None]
        for column in zip(*((vitals.cpu_percent, vitals.rss) for vitals in shared.values()), strict=True)
    )
    figures = [f"{sum(cpu):.0f} % CPU"] * bool(cpu) + [size(sum(rss))] * bool(rss)
    return f"{told}; {count}" + (f": {', '.join(figures)}" if figures else "")


def _running_table(runs: Sequence[Working], columns: int) -> Table:
    table = _table()
    gpus = [gpu(run) for run in runs]
    # What matters least goes first when a terminal is narrow.
    shown = {
        "metric": columns >= 70,
        "memory": columns >= 60,
        "gpu": any(gpus) and columns >= 80,
        "pid": columns >= 110,
    }
    table.add_column("running", overflow="ellipsis", no_wrap=True, min_width=8)
    table.add_column("step", no_wrap=True)
    for name in ("metric", "cpu", "memory", "gpu", "pid", "heartbeat"):
        if shown.get(name, True):
            table.add_column(name, no_wrap=True, justify="left" if name in ("metric", "gpu") else "right")
    for run, device in zip(runs, gpus, strict=True):
        cells = {
            "metric": _metric(run),
            "cpu": _NONE if run.vitals.cpu_percent is None else f"{run.vitals.cpu_percent:.0f} %",
            "memory": size(run.vitals.rss),
            "gpu": device or _NONE,
            "pid": _NONE if run.pid is None else str(run.pid),
            "heartbeat": _beat(run),
        }
        table.add_row(clean(run.place), _step(run), *(cells[name] for name in cells if shown.get(name, True)))
    return table


def _troubled_table(runs: Sequence[Ended]) -> Table:
    from rich.text import Text

    table = _table()
    table.add_column("not completed", overflow="ellipsis", no_wrap=True, min_width=8)
    table.add_column("")
    table.add_column("why", overflow="ellipsis", no_wrap=True)
    for run in runs:
        style = "red" if run.status in (Status.FAILED, Status.LOST) else "yellow"
        reason = " ".join(clean(run.reason).split())
        table.add_row(clean(run.place), Text(str(run.status), style=style), Text(reason))
    return table


def _table() -> Table:
    from rich.table import Table

    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")


def _farewell() -> RenderableType:
    from rich.text import Text

    return Text("q leaves; the study goes on", style="dim")


def _step(run: Working) -> str:
    return str(run.step) if run.total is None else f"{run.step} of {run.total}"


def _metric(run: Working) -> str:
    return _NONE if run.metric is None else f"{clean(run.metric[0])} {run.metric[1]:.4g}"


def _beat(run: Working) -> RenderableType:
    from rich.text import Text

    age = run.vitals.age
    if age is None:
        return _NONE
    return Text(f"{duration(age)} ago", style="yellow" if age > LATE_SECONDS else "")


def gpu(run: Working) -> str:
    """What heartbeats say of a run's GPUs, in a few words; empty when they say nothing."""
    devices = run.vitals.devices
    if devices.unknown:
        return "unknown"
    figures = (
        " ".join(f"{value:.0f} %" for value in devices.percent),
        size(sum(devices.memory)) if devices.memory else "",
        f"{sum(devices.watts):.0f} W" if devices.watts else "",
        f"{max(devices.celsius):.0f} C" if devices.celsius else "",
    )
    return ", ".join(figure for figure in figures if figure)


def size(amount: float | None) -> str:
    """A number of bytes in the unit a person would choose."""
    if amount is None:
        return _NONE
    return f"{amount / 2**30:.1f} GiB" if amount >= 2**30 else f"{amount / 2**20:.0f} MiB"
