"""``quadrat run``: do what is missing or failed of a study."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from quadrat.cli.main import PROGRAM
from quadrat.cli.targets import root_of

if TYPE_CHECKING:
    from pathlib import Path

    from quadrat.journal.layout import StudyFolder
    from quadrat.study.load import Study


@click.command("run")
@click.argument("study", required=False)
@click.argument("overrides", nargs=-1)
@click.option("--launcher", help="Where jobs run: pool (default) or inline.")
@click.option("--workers", type=click.IntRange(min=1), help="How many jobs at once; default: cores over threads.")
@click.option("--allow-drift", is_flag=True, help="Resume although code or data changed; the change is recorded.")
@click.option("--canary/--no-canary", default=True, help="Before a sweep, try its first run for a few seconds.")
@click.option("--override-gate", multiple=True, metavar="STAGE[:ARM]", help="Let it through a gate; needs --because.")
@click.option("--because", metavar="REASON", help="Why a gate is overridden; kept in the lock, shown in the record.")
@click.option("--detach", is_flag=True, help="Go on in the background, also when the terminal is closed.")
@click.pass_context
def command(ctx: click.Context, *, study: str | None, overrides: tuple[str, ...], detach: bool, **how: Any) -> int:
    """Run STUDY (a YAML file, or a name such as fluxem/arithmetic_small) with OVERRIDES such as seeds=[1,2].

    quadrat run [OVERRIDES] -- python train.py --lr 0.1 runs any program, as it is, as a study of its own.

    With --detach the output goes to results/STUDY/conductor.log; watch it with top, end it with stop.
    """
    from quadrat.journal.layout import StudyFolder
    from quadrat.study.load import load_command, load_study

    root = root_of(ctx)
    program = ctx.meta.get(PROGRAM)
    if program is not None:
        loaded = load_command(program, overrides=[*([study] if study else []), *overrides], root=root)
    elif study is None:
        raise click.UsageError(
            "Missing argument 'STUDY'. Try: a study file, or -- and a program with its arguments.", ctx
        )
    else:
        loaded = load_study(study, overrides=overrides, root=root)
    if detach:
        return _detach(StudyFolder(root, loaded.name), told_root=ctx.find_root().params["root"])
    return _conduct(loaded, root, **how)


def _conduct(
    loaded: Study,
    root: Path,
    *,
    launcher: str | None,
    workers: int | None,
    override_gate: tuple[str, ...],
    because: str | None,
    **how: bool,
) -> int:
    from quadrat.conduct.conductor import conduct
    from quadrat.conduct.jobs import Launch
    from quadrat.conduct.overriding import read_overrides
    from quadrat.conduct.placing import is_inline, open_launcher
    from quadrat.sinks.console import ConsoleSink

    overrides = read_overrides(override_gate, because)
    launch = Launch(loaded, root, ("quadrat", *sys.argv[1:]), **how)
    placed = open_launcher(loaded, name=launcher, workers=workers)
    # Inline jobs print to the same terminal: plain lines do not fight with their output.
    sink = ConsoleSink(force_terminal=False if is_inline(loaded, launcher) else None)
    outcome = conduct(launch, launcher=placed, sink=sink, overrides=overrides)
    if outcome.started == 0 and outcome.signal is None:
        click.echo(f"{loaded.name}: nothing to do. {outcome.plan.account()}", err=True)
    if outcome.unmet and outcome.signal is None:
        click.echo(f"{loaded.name}: gate not met: {', '.join(outcome.unmet)}.", err=True)
    return outcome.exit_code


def _detach(folder: StudyFolder, *, told_root: str | None) -> int:
    """Start the same command again without the terminal, and say how to find it."""
    import shlex

    from quadrat.conduct import detached

    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    begun = detached.start([*(word for word in words[:end] if word != "--detach"), *words[end:]], folder)
    if begun.code is not None:
        click.echo(begun.said, err=True, nl=False)
        return begun.code
    quadrat = shlex.join(["quadrat", *(["--root", told_root] if told_root else [])])
    click.echo(f"{folder.name}: running in the background, process {begun.pid}.", err=True)
    click.echo(f"  watch  {quadrat} top {folder.name}", err=True)
    click.echo(f"  stop   {quadrat} stop {folder.name}", err=True)
    click.echo(f"  log    {begun.log}", err=True)
    return 0
