"""``quadrat diff``: what two runs differ in."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from quadrat.cli.targets import print_json, root_of, run_of

if TYPE_CHECKING:
    from quadrat.analyze.compare import Difference, MetricDifference, RunDiff, Side
    from quadrat.journal.reader import RunView

LONGEST: Final = 60
"""Letters of a value that are shown; all of it is in ``--json``."""

MOST_FILES: Final = 20
"""Data files named before the rest is only counted."""

SIDES: Final[tuple[Side, Side]] = ("a", "b")

_HASH: Final = re.compile(r"[0-9a-f]{40,}")
_ARROWS: Final = {"up": "↑", "down": "↓", None: ""}


@click.command("diff")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def command(ctx: click.Context, a: str, b: str, as_json: bool) -> None:
    """Show what runs A and B differ in: config, seeds, final metrics, data, code, environment.

    A run is study/run, a path, or a name that only one run has. What is equal is left out.
    """
    from quadrat.analyze.compare import compare_runs
    from quadrat.journal.reader import RunView

    root = root_of(ctx)
    views = RunView(run_of(root, a)), RunView(run_of(root, b))
    found = compare_runs(*views)
    if as_json:
        print_json("diff", _document(root, views, found))
        return
    width = max(len(_place(root, view)) for view in views)
    for side, view in zip(SIDES, views, strict=True):
        _say(f"{side.upper()}  {_place(root, view):<{width}}  {view.status()}")
    for side in SIDES:
        for line in found.damage.get(side, ()):
            _say(f"damage in {side.upper()}: {line}")
    for line in _report(found):
        _say(line)


def _document(root: Path, views: Sequence[RunView], found: RunDiff) -> dict[str, Any]:
    runs = {
        side: {"path": _place(root, view), "status": str(view.status()), "damage": list(found.damage.get(side, ()))}
        for side, view in zip(SIDES, views, strict=True)
    }
    metrics = [
        {"name": item.name, "a": item.a, "b": item.b, "change": item.change, "direction": item.direction}
        for item in found.metrics
    ]
    parts = {
        part: [{"key": item.key, "a": item.a, "b": item.b, "only": item.only} for item in items]
        for part, items in found.parts().items()
    }
    return {**runs, "differs": found.differs, **parts, "metrics": metrics, "equal_metrics": found.equal_metrics}


def _place(root: Path, view: RunView) -> str:
    path, results = view.path.resolve(), root / "results"
    return path.relative_to(results).as_posix() if path.is_relative_to(results) else str(path)


def _report(found: RunDiff) -> Iterable[str]:
    """The parts that hold something, each under its name, the metrics after what was asked for."""
    if not found.differs:
        yield "nothing differs"
        return
    for name, items in found.parts().items():
        if name == "derived" and found.metrics:
            yield from _metrics(found.metrics, equal=found.equal_metrics)
        if items:
            rest = max(0, len(items) - MOST_FILES) if name == "data" else 0
            yield from _table(name, [_row(item) for item in items[: len(items) - rest]])
            if rest:
                yield f"  and {rest} more files"


def _metrics(items: Sequence[MetricDifference], *, equal: int) -> Iterable[str]:
    rows = [(item.name, *map(_number, (item.a, item.b)), _change(item)) for item in items]
    yield from _table("final metrics", rows, heads=("A", "B", "B - A"))
    if equal:
        yield f"  {equal} more {'is' if equal == 1 else 'are'} equal"


def _change(item: MetricDifference) -> str:
    if item.change is None:
        return _ARROWS[item.direction]
    return f"{item.change:+.4g} {_ARROWS[item.direction]}"


def _table(title: str, rows: Sequence[tuple[str, ...]], *, heads: tuple[str, ...] = ("A", "B")) -> Iterable[str]:
    table = [(title, *heads), *((f"  {key}", *cells) for key, *cells in rows)]
    widths = [max(len(row[place]) for row in table) for place in range(len(heads) + 1)]
    yield ""
    for row in table:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(item: Difference) -> tuple[str, str, str]:
    a, b = (
        "-" if item.only not in (None, side) else _value(value)
        for side, value in zip(SIDES, (item.a, item.b), strict=True)
    )
    return item.key, a, b


def _value(value: Any) -> str:
    from quadrat.analyze.declaration import plain

    text = " ".join(plain(value).split())
    if _HASH.fullmatch(text):
        return text[:12]
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _say(text: str) -> None:
    """Print a line, whatever is in it and whatever the terminal can show."""
    from quadrat.sinks.console import clean

    encoding = sys.stdout.encoding or "utf-8"
    click.echo(clean(text).encode(encoding, "replace").decode(encoding))
