"""``quadrat export``: a study in one file."""

from __future__ import annotations

from pathlib import Path

import click

from quadrat.cli.targets import print_json, root_of, study_of


@click.command("export")
@click.argument("study", required=False)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file; STUDY.quadrat.zip here if not given.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def command(ctx: click.Context, study: str | None, output: Path | None, as_json: bool) -> None:
    """Put STUDY into one plain zip: runs, evaluations, data, record with evidence, study file.

    Every member is listed with its hash. Secrets in text are masked, links are refused. Unpacked by any zip program it
    is a project of its own; 'quadrat import' checks every byte on the way.
    """
    from quadrat.journal.bundle import export

    root = root_of(ctx)
    folder = study_of(root, study)
    made = export(root, folder, target=(output or Path(f"{folder.name}.quadrat.zip")).absolute())
    if as_json:
        document = {"study": folder.name, "path": str(made.path), "files": made.files, "bytes": made.size}
        print_json("export", {**document, "masked": made.masked, "unsearched": list(made.unsearched)})
    else:
        click.echo(str(made.path))
    for name, count in made.masked.items():
        click.echo(f"{name}: {count} secrets masked, so it is no longer what its manifest says", err=True)
    for name in made.unsearched:
        click.echo(f"{name}: too large to be searched for secrets", err=True)
    click.echo(f"{folder.name}: {made.files} files, {made.size:,} bytes.", err=True)
