"""``quadrat init``: a small study of one's own."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("init")
@click.argument("name")
@click.pass_context
def command(ctx: click.Context, name: str) -> None:
    """Write a small study called NAME into a new folder of that name: a trainable, its study file, a smoke run.

    It runs at once. A folder that lies in no project yet becomes one.
    """
    from quadrat.conduct.starter import mark_root, write_starter

    told = ctx.find_root().obj["root"]
    here = Path(told) if told else Path.cwd()
    written = write_starter(here, name)
    marker = mark_root(here.resolve())
    for path in (*written, *([marker] if marker else [])):
        click.echo(str(path.relative_to(here) if path.is_relative_to(here) else path))
    click.echo(f"Try: quadrat run {name}/smoke.yaml, then quadrat run {name}/{name}.yaml", err=True)
