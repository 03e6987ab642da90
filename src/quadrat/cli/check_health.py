"""``quadrat check-health``: other rules, or the same ones again, over the stored rows of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quadrat.cli.targets import print_json, root_of, run_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quadrat.health.replay import Replay
    from quadrat.health.rules import Written
    from quadrat.journal.layout import RunFolder


@click.command("check-health")
@click.argument("run")
@click.option("--rules", "chosen", multiple=True, metavar="FILE|NAME", help="Other rules than the study's own.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def command(ctx: click.Context, *, run: str, chosen: tuple[str, ...], as_json: bool) -> int:
    """Hold the rows of RUN against rules: those of its study, a YAML file of rules, or sets known by name.

    Nothing of the run is changed. Ends with 4 when a rule would have stopped it.
    """
    from quadrat.health.replay import replay
    from quadrat.journal.ndjson import read_rows

    folder = run_of(root_of(ctx), run)
    rules = _rules(chosen) if chosen else _declared(folder)
    stored = read_rows(folder.metrics)
    rows = [row for row in stored.rows if isinstance(row.get("step"), int) and isinstance(row.get("metrics"), dict)]
    if stored.torn or stored.damaged or len(rows) < len(stored.rows):
        click.echo(f"note: {folder.name}: metrics.ndjson is damaged; what can be read is judged", err=True)
    seen = replay(rules, rows)
    live = None if chosen else _as_live(folder, seen)
    if as_json:
        print_json("check-health", _plain(folder.name, seen, live))
    else:
        _show(folder.name, seen, live)
    return 4 if seen.stop else 0


def _rules(chosen: Sequence[str]) -> list[Written]:
    """A file by its path, everything else by name."""
    from quadrat.health.sets import SUFFIXES, read_set

    found: list[Written] = []
    for text in chosen:
        if text.endswith(SUFFIXES) or "/" in text:
            found += read_set(Path(text))
        else:
            found.append(text)
    return found


def _declared(folder: RunFolder) -> list[Written]:
    """The rules in the lock of the study that the run belongs to."""
    from quadrat.core.errors import StoreError
    from quadrat.journal.atomic import read_json

    for above in (folder.path.parent, folder.path.parent.parent):
        try:
            lock = read_json(above / "study.lock.json")
        except StoreError:
            continue
        found = lock.get("rules") if isinstance(lock, dict) else None
        return [rule for rule in found if isinstance(rule, dict | str)] if isinstance(found, list) else []
    raise StoreError("the run's study has no lock.", where=str(folder.path), remedy="name rules with --rules.")


def _as_live(folder: RunFolder, seen: Replay) -> bool | None:
    """Whether ``health.json`` says the same; None when there is none."""
    from quadrat.core.errors import StoreError
    from quadrat.journal.atomic import dumps, read_json

    try:
        told = read_json(folder.health)
    except StoreError:
        return None
    rows = told.get("rules") if isinstance(told, dict) else None
    return dumps(rows) == dumps([dict(row) for row in seen.report])


def _show(name: str, seen: Replay, live: bool | None) -> None:
    click.echo(f"{name}: {seen.label}")
    if seen.stop is not None:
        click.echo(f"{seen.stop.rule} would have stopped it at step {seen.stop.step} of {seen.last_step}")
    width = max((len(row["id"]) for row in seen.report), default=0)
    for row in seen.report:
        step = "" if row["first_step"] is None else f"at step {row['first_step']}: "
        value = "" if row["value"] is None else f"{row['metric']} = {row['value']}, bar {row['threshold']}"
        click.echo(f"  {row['id']:<{width}}  {row['state']:<12}  {step}{value}".rstrip())
        for words in (row["diagnosis"], row["remedy"]):
            if words:
                click.echo(f"  {'':<{width}}  {'':<12}  {words}")
    if live is not None:
        click.echo("health.json says the same" if live else "health.json says something else", err=not live)


def _plain(name: str, seen: Replay, live: bool | None) -> dict[str, Any]:
    return {
        "run": name,
        "label": seen.label,
        "last_step": seen.last_step,
        "stop": seen.stop.as_dict() if seen.stop else None,
        "findings": [found.as_dict() for found in seen.findings],
        "rules": [dict(row) for row in seen.report],
        "equals_live": live,
    }
