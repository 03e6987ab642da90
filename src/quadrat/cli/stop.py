"""``quadrat stop``: ask a running study to checkpoint and stop."""

from __future__ import annotations

import os
import signal
import time

import click

from quadrat.cli.targets import root_of, study_of


@click.command("stop")
@click.argument("study", required=False)
@click.option("--now", is_flag=True, help="Do not wait for checkpoints.")
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to wait for the study to end.")
@click.pass_context
def command(ctx: click.Context, study: str | None, now: bool, timeout: float) -> None:
    """Ask the process that runs STUDY to checkpoint its runs and stop; wait until it has."""
    from quadrat.core.errors import QuadratError
    from quadrat.journal.lock import conductor_of

    folder = study_of(root_of(ctx), study)
    conductor = conductor_of(folder)
    if conductor is None or not conductor.is_alive():
        click.echo(f"{folder.name}: nobody is running it.", err=True)
        return
    os.kill(conductor.pid, signal.SIGTERM)
    if now:
        time.sleep(0.2)
        os.kill(conductor.pid, signal.SIGTERM)
    until = time.monotonic() + timeout
    while conductor.is_alive():
        if time.monotonic() > until:
            raise QuadratError(
                f"still running after {timeout:g} s.", where=folder.name, remedy="quadrat stop --now, or wait longer."
            )
        time.sleep(0.1)
    click.echo(f"{folder.name}: stopped.", err=True)
