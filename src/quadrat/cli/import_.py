"""``quadrat import``: a study out of one file, or out of what another program has left."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from quadrat.cli.targets import print_json, root_of

if TYPE_CHECKING:
    from quadrat.imports.taking import Taken

_SAID_EVERY = 25
"""Runs between two lines of progress where there is no terminal."""

_MOST_REMARKS = 20


@click.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--format", "format_", metavar="NAME", help="What PATH holds, where its contents do not tell.")
@click.option("--as", "name", metavar="STUDY", help="The study's name; made from PATH if not given.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def command(ctx: click.Context, path: Path, *, format_: str | None, name: str | None, as_json: bool) -> None:
    """Take results into this project: a zip that 'quadrat export' wrote, or what another program has left.

    TensorBoard folders, W&B offline runs, MLflow sqlite stores and CSV tables become a study of sealed runs beside the
    others, with the times, the parameters and the ending that the source tells; what it does not tell stays unknown.
    Told apart by contents. Nothing that is here already is overwritten.
    """
    root = root_of(ctx)
    if format_ is None and path.is_file() and zipfile.is_zipfile(path):
        _bundle(root, path, name, as_json=as_json)
        return
    from quadrat.imports.taking import take_foreign

    with _progress() as step:
        taken = take_foreign(root, path, format_=format_, name=name, progress=step)
    if as_json:
        runs = [{"run": run, "status": status} for run, status in taken.runs]
        document = {"study": taken.study, "format": taken.format, "here_already": taken.is_here_already}
        print_json("import", {**document, "runs": runs, "remarks": list(taken.remarks)})
        return
    _say(taken)


def _bundle(root: Path, path: Path, name: str | None, *, as_json: bool) -> None:
    """A zip that an export wrote."""
    from quadrat.core.errors import UsageError
    from quadrat.journal.unbundle import take_in

    if name is not None:
        raise UsageError("an exported study keeps its name, so --as cannot be used with a zip.", where=str(path))
    found = take_in(root, path)
    if as_json:
        document = {"study": found.study, "files": found.files, "placed": list(found.placed), "kept": list(found.kept)}
        print_json("import", {**document, "masked": dict(found.masked)})
        return
    for piece in found.placed:
        click.echo(piece)
    for piece in found.kept:
        click.echo(f"{piece}: here already, the same", err=True)
    for member, count in found.masked.items():
        click.echo(f"{member}: {count} secrets were masked when it was exported", err=True)
    click.echo(f"{found.study}: {found.files} files. See: quadrat verify {found.study}", err=True)


def _say(taken: Taken) -> None:
    if taken.is_here_already:
        click.echo(f"{taken.study}: these files have been imported already; nothing was changed.", err=True)
        return
    for run, _ in taken.runs:
        click.echo(f"results/{taken.study}/{run}")
    for line in taken.remarks[:_MOST_REMARKS]:
        click.echo(line, err=True)
    if len(taken.remarks) > _MOST_REMARKS:
        more = len(taken.remarks) - _MOST_REMARKS
        click.echo(f"{more} more remarks are kept with the runs: quadrat show {taken.study}/RUN", err=True)
    runs = "1 run" if len(taken.runs) == 1 else f"{len(taken.runs)} runs"
    click.echo(f"{taken.study}: {runs} from {taken.format}. See: quadrat ls {taken.study}", err=True)


@contextmanager
def _progress() -> Generator[Callable[[str, int], None]]:
    """A line that is written anew for each run on a terminal; elsewhere a plain line now and then."""
    if not sys.stderr.isatty():
        yield _say_progress
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status("reading") as status:
        yield lambda run, count: status.update(Text(f"{count} runs, now {run}"))


def _say_progress(run: str, count: int) -> None:
    if count and not count % _SAID_EVERY:
        click.echo(f"{count} runs, now {run}", err=True)
