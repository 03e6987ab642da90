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
    from quadrat.conduct.conductor import prepare
    from quadrat.conduct.jobs import Launch
    from quadrat.conduct.packing import pack
    from quadrat.conduct.placing import slots_for
    from quadrat.conduct.surveying import survey
    from quadrat.study.load import load_study

    root = root_of(ctx)
    loaded = load_study(study, overrides=overrides, root=root)
    launch = Launch(loaded, root, ("quadrat", *sys.argv[1:]))
    seen = survey(launch)
    plan = seen.plan
    packing = pack(loaded, seen.startable, slots=slots_for(loaded, None))
    if commands:
        for task in prepare(launch, slots=slots_for(loaded, None)):
            click.echo(shlex.join(task.job.command))
        return
    if as_json:
        todo = [{"name": spec.name, "stage": spec.stage, "seed": spec.seed, "path": spec.path} for spec in plan.todo]
        print_json(
            "plan", {"study": loaded.name, "account": plan.account(), "jobs": len(packing.batches), "todo": todo}
        )
        return
    click.echo(plan.account())
    if packing.batches:
        click.echo(f"{len(packing.batches)} jobs to start, {packing.packed} runs packed")
    for remark in packing.remarks:
        click.echo(f"note: {remark}")
    for batch in packing.batches:
        click.echo("  " + "  ".join(spec.path for spec in batch))
