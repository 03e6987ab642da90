"""``quadrat plan``: what is still to do, and the command of each job."""

from __future__ import annotations

import shlex
import sys

import click

from quadrat.cli.targets import print_json, root_of


@click.command("plan")
@click.argument("study")
@click.argument("overrides", nargs=-1)
@click.option("--commands", is_flag=True, help="One job a line, as a command for a shell; writes the job folders.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def command(ctx: click.Context, *, study: str, overrides: tuple[str, ...], commands: bool, as_json: bool) -> None:
    """List the runs of STUDY that are still to do."""
    from quadrat.conduct.conductor import prepare, survey
    from quadrat.conduct.jobs import Launch
    from quadrat.study.load import load_study

    root = root_of(ctx)
    loaded = load_study(study, overrides=overrides, root=root)
    launch = Launch(loaded, root, ("quadrat", *sys.argv[1:]))
    plan = survey(launch)
    if commands:
        for job in prepare(launch):
            click.echo(shlex.join(job.command))
        return
    if as_json:
        todo = [{"name": spec.name, "stage": spec.stage, "seed": spec.seed, "path": spec.path} for spec in plan.todo]
        print_json("plan", {"study": loaded.name, "account": plan.account(), "todo": todo})
        return
    click.echo(plan.account())
    for spec in plan.todo:
        click.echo(f"  {spec.path}")
