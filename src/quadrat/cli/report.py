"""``quadrat report``: the study's page, one self-contained HTML file."""

from __future__ import annotations

from pathlib import Path

import click

from quadrat.cli.targets import root_of, study_of


@click.command("report")
@click.argument("study", required=False)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the page there instead.")
@click.pass_context
def command(ctx: click.Context, study: str | None, output: Path | None) -> None:
    """Write the page of STUDY and print its path."""
    from quadrat.report.page import write_page

    root = root_of(ctx)
    path = write_page(root, study_of(root, study).name, output=output)
    click.echo(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
