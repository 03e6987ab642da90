"""``quadrat check``: validate a study file whole, before anything runs."""

from __future__ import annotations

import click

from quadrat.cli.targets import print_json, root_of


@click.command("check")
@click.argument("study")
@click.argument("overrides", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def command(ctx: click.Context, study: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Validate STUDY (a YAML file, or a name such as fluxem/smoke) with OVERRIDES such as training.epochs=2."""
    from quadrat.conduct import preflight
    from quadrat.conduct.jobs import Launch
    from quadrat.study.load import load_study

    loaded = load_study(study, overrides=overrides, root=root_of(ctx))
    preflight.rules_can_fire(Launch(loaded, root_of(ctx), ()))
    remarks = preflight.remarks(loaded)
    arms = sorted({spec.point.arm for spec in loaded.runs if spec.point.arm})
    seeds = sorted({spec.seed for spec in loaded.runs})
    if as_json:
        names = [spec.name for spec in loaded.runs]
        print_json("check", {"study": loaded.name, "runs": names, "arms": arms, "seeds": seeds, "remarks": remarks})
        return
    click.echo(f"{loaded.name}: ok. {len(loaded.runs)} runs, seeds {', '.join(map(str, seeds))}.")
    if arms:
        click.echo(f"arms: {', '.join(arms)}")
    for name in loaded.file.axes:
        click.echo(f"axis {name}: {', '.join(map(str, loaded.file.axes[name]))}")
    for remark in remarks:
        click.echo(f"note: {remark}")
