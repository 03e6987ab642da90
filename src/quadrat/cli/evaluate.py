"""``quadrat evaluate``: measure a finished model again."""

from __future__ import annotations

import sys

import click

from quadrat.cli.targets import print_json, root_of, run_of


@click.command("evaluate")
@click.argument("run")
@click.argument("overrides", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def command(ctx: click.Context, run: str, overrides: tuple[str, ...], as_json: bool) -> int:
    """Measure the model of RUN again, with OVERRIDES of its config such as evaluation.sequences=480.

    The run itself is not touched: what is measured goes to a folder beside it, which is named at the end. Asked for
    a second time with the same code and data, it is read from there.
    """
    from quadrat.core.verdicts import Status
    from quadrat.journal.reader import RunView
    from quadrat.run.evaluation import evaluate

    root = root_of(ctx)
    found = evaluate(run_of(root, run), overrides, root=root, argv=sys.argv)
    view = RunView(found.folder)
    where = found.folder.path.relative_to(root).as_posix()
    artifacts = sorted(
        path.relative_to(found.folder.path).as_posix() for path in found.folder.artifacts.rglob("*") if path.is_file()
    )
    if as_json:
        told = {"folder": where, "status": str(found.status), "step": found.step, "again": found.again}
        print_json("evaluate", {**told, "final": view.final(), "artifacts": artifacts})
    else:
        for name, value in view.final().items():
            click.echo(f"{name}: {value:.6g}")
        for name in artifacts:
            click.echo(f"{where}/{name}")
        measured = "measured before" if found.again else "measured"
        click.echo(f"{view.name}: {measured}, {found.status}; all of it in {where}", err=True)
    return 0 if found.status is Status.COMPLETED else 1 if found.status is Status.FAILED else 75
