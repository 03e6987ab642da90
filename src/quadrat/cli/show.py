"""``quadrat show``: one run, whole."""

from __future__ import annotations

from typing import Any

import click

from quadrat.cli.targets import print_json, root_of, run_of


@click.command("show")
@click.argument("run")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def command(ctx: click.Context, run: str, as_json: bool) -> None:
    """Show RUN (study/run, a path, or a name that only one run has): config, verdict, error, metrics."""
    from quadrat.journal.reader import RunView

    root = root_of(ctx)
    view = RunView(run_of(root, run))
    facts: dict[str, Any] = {
        "run": view.name,
        "status": str(view.status()),
        "path": view.path.relative_to(root).as_posix() if view.path.is_relative_to(root) else view.name,
        "seed": view.seed(),
        "arm": view.arm(),
        "point": view.point(),
        "attempts": len(view.attempts()),
        "config": view.config(),
        "derived": view.derived(),
        "final": view.final(),
        "verdict": view.verdict(),
        "damage": view.damage(),
    }
    if as_json:
        print_json("show", facts)
        return
    for key in ("run", "status", "path", "seed", "arm", "attempts"):
        click.echo(f"{key:<9} {facts[key]}")
    for title in ("config", "derived", "final"):
        click.echo(f"\n{title}")
        for name, value in _flat(facts[title]).items():
            click.echo(f"  {name}: {value}")
    _explain(view, facts)


def _explain(view: Any, facts: dict[str, Any]) -> None:
    error = view.error()
    if error:
        click.echo(f"\nerror\n{error['traceback']}")
    found = (facts["verdict"] or {}).get("diagnosis")
    if found:
        click.echo(f"\ndiagnosis\n  {found['rule']} at step {found['step']}: {found['metric']} = {found['value']}")
        click.echo(f"  threshold {found['threshold']}. {found['diagnosis']} {found['remedy']}".rstrip())
    for line in facts["damage"]:
        click.echo(f"damage: {line}")


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = f"{value:.6g}" if isinstance(value, float) else value
    return flat
