"""``quadrat doctor``: what this machine has, and whether every checkpoint loads."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import click

from quadrat.cli.targets import print_json, root_of, study_of


@click.command("doctor")
@click.argument("study", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def command(ctx: click.Context, study: str | None, as_json: bool) -> int:
    """Say what disk, cores, accelerators and extras there are, and load every checkpoint of STUDY (or of all)."""
    from quadrat.journal.layout import StudyFolder, studies

    root = root_of(ctx)
    folders = [study_of(root, study)] if study else [StudyFolder(root, name) for name in studies(root)]
    machine = _machine(root)
    checkpoints = [row for folder in folders for row in _checkpoints(folder)]
    bad = [row for row in checkpoints if row["problem"]]
    if as_json:
        print_json("doctor", {"machine": machine, "checkpoints": checkpoints})
        return 5 if bad else 0
    for name, value in machine.items():
        click.echo(f"{name:<14} {value}")
    for row in bad:
        click.echo(f"{row['checkpoint']}: {row['problem']}")
    click.echo(f"{'checkpoints':<14} {len(checkpoints) - len(bad)} of {len(checkpoints)} verify and load")
    return 5 if bad else 0


def _machine(root: Path) -> dict[str, Any]:
    from importlib.util import find_spec

    from quadrat.run.capture import accelerators, environment

    disk, env = shutil.disk_usage(root), environment()
    extras = ("torch", "safetensors", "matplotlib")
    gpus = accelerators()
    return {
        "python": env["python"],
        "platform": env["platform"],
        "processor": env["processor"],
        "cores": f"{len(os.sched_getaffinity(0))} usable of {env['cores']}",
        "memory": f"{env['memory_bytes'] / 2**30:.1f} GiB",
        "disk": f"{disk.free / 2**30:.1f} GiB free of {disk.total / 2**30:.1f}",
        "accelerators": ", ".join(gpus) if isinstance(gpus, list) and gpus else gpus or "none",
        "extras": ", ".join(f"{name} {'yes' if find_spec(name) else 'no'}" for name in extras),
    }


def _checkpoints(folder: Any) -> list[dict[str, Any]]:
    from quadrat.run.saving import listing, trial

    rows: list[dict[str, Any]] = []
    for run in folder.runs():
        for path in listing(run.checkpoints):
            name = path.relative_to(folder.path).as_posix()
            rows.append({"checkpoint": f"{folder.name}/{name}", "problem": trial(path)})
    return rows
