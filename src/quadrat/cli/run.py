"""``quadrat run``: do what is missing or failed of a study."""

from __future__ import annotations

import sys

import click

from quadrat.cli.targets import root_of


@click.command("run")
@click.argument("study")
@click.argument("overrides", nargs=-1)
@click.option("--launcher", help="Where jobs run: pool (default) or inline.")
@click.option("--workers", type=click.IntRange(min=1), help="How many jobs at once; default: cores over threads.")
@click.option("--allow-drift", is_flag=True, help="Resume although code or data changed; the change is recorded.")
@click.option("--canary/--no-canary", default=True, help="Before a sweep, try its first run for a few seconds.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    study: str,
    overrides: tuple[str, ...],
    launcher: str | None,
    workers: int | None,
    allow_drift: bool,
    canary: bool,
) -> int:
    """Run STUDY (a YAML file, or a name such as fluxem/arithmetic_small) with OVERRIDES such as seeds=[1,2]."""
    from quadrat.conduct.conductor import conduct
    from quadrat.conduct.jobs import Launch
    from quadrat.conduct.placing import is_inline, open_launcher
    from quadrat.sinks.console import ConsoleSink
    from quadrat.study.load import load_study

    root = root_of(ctx)
    loaded = load_study(study, overrides=overrides, root=root)
    launch = Launch(loaded, root, ("quadrat", *sys.argv[1:]), allow_drift=allow_drift, canary=canary)
    placed = open_launcher(loaded, name=launcher, workers=workers)
    # Inline jobs print to the same terminal: plain lines do not fight with their output.
    sink = ConsoleSink(force_terminal=False if is_inline(loaded, launcher) else None)
    outcome = conduct(launch, launcher=placed, sink=sink)
    if outcome.started == 0 and outcome.signal is None:
        click.echo(f"{loaded.name}: nothing to do. {outcome.plan.account()}", err=True)
    return outcome.exit_code
