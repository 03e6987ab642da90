"""``quadrat import``: a study out of one file."""

from __future__ import annotations

from pathlib import Path

import click

from quadrat.cli.targets import print_json, root_of


@click.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def command(ctx: click.Context, file: Path, as_json: bool) -> None:
    """Take the study in FILE, which 'quadrat export' wrote, into this project.

    Every byte is hashed before anything is put in place. What is here already is never overwritten; data of the same
    content are shared.
    """
    from quadrat.journal.unbundle import take_in

    root = root_of(ctx)
    found = take_in(root, file)
    if as_json:
        document = {"study": found.study, "files": found.files, "placed": list(found.placed), "kept": list(found.kept)}
        print_json("import", {**document, "masked": dict(found.masked)})
        return
    for piece in found.placed:
        click.echo(piece)
    for piece in found.kept:
        click.echo(f"{piece}: here already, the same", err=True)
    for name, count in found.masked.items():
        click.echo(f"{name}: {count} secrets were masked when it was exported", err=True)
    click.echo(f"{found.study}: {found.files} files. See: quadrat verify {found.study}", err=True)
