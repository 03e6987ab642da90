"""``quadrat export``: a study in one file, or in the words of another program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from quadrat.cli.targets import print_json, root_of, study_of
from quadrat.cli.waiting import waiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quadrat.exports.base import Written
    from quadrat.journal.layout import StudyFolder


@click.command("export")
@click.argument("study", required=False)
@click.option(
    "--format",
    "-f",
    "name",
    default="zip",
    show_default=True,
    metavar="NAME",
    help="zip, csv, parquet, rows, ro-crate, croissant, splits, or one that a package has added.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="The file or folder; STUDY.quadrat.zip or STUDY-FORMAT here if not given.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def command(ctx: click.Context, *, study: str | None, name: str, output: Path | None, as_json: bool) -> None:
    """Put STUDY into one plain zip, or write it for another program.

    zip: runs, evaluations, data, record with evidence, study file; unpacked it is a project of its own, and 'quadrat
    import' checks every byte on the way. csv and parquet: the tables runs and metrics. rows: params.ndjson and
    metrics.ndjson. ro-crate: a Process Run Crate. croissant, splits: the data sets, with the hash of every file.

    Nothing is overwritten. Secrets in text are masked, links are refused.
    """
    from quadrat.core.registry import load

    exporter = load("exports", name)()
    root = root_of(ctx)
    folder = study_of(root, study)
    target = (output or Path(f"{folder.name}{exporter.ending}")).absolute()
    _refuse_inside(folder, target)
    with waiting(f"export {folder.name}", unit="parts") as tick:
        made: Written = exporter.write(folder, target, tick=tick)
    if as_json:
        document = {"study": folder.name, "format": name, "path": str(made.path), "files": made.files}
        document |= {"bytes": made.size, "masked": dict(made.masked), "notes": list(made.notes)}
        print_json("export", document)
    else:
        click.echo(str(made.path))
    for line in _account(made):
        click.echo(line, err=True)
    click.echo(f"{folder.name}: {made.files} files, {made.size:,} bytes.", err=True)


def _account(made: Written) -> Iterator[str]:
    for file, count in made.masked.items():
        yield f"{file}: {count} secrets masked, so it is no longer what its manifest says"
    yield from made.notes


def _refuse_inside(folder: StudyFolder, target: Path) -> None:
    """An export is no result: among the results it would be taken for a study, in a run for a file of it."""
    from quadrat.core.errors import UsageError

    for kept in ("results", "data"):
        if target.resolve().is_relative_to((folder.root / kept).resolve()):
            raise UsageError(
                f"an export does not go into {kept}/.", where=str(target), remedy="another place for --output."
            )
