"""``quadrat record``: the experiment record, filled by machine where facts exist, owned by people where they do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from quadrat.cli.targets import print_json, root_of, study_of


@click.group("record")
def command() -> None:
    """Draft, fill and check the experiment record of a study."""


@command.command("draft")
@click.argument("study", required=False)
@click.option("--force", is_flag=True, help="Regenerate auto blocks that were edited by hand, too.")
@click.pass_context
def draft(ctx: click.Context, study: str | None, force: bool) -> int:
    """Write the record of STUDY with its evidence, or fill its auto blocks anew. Prose is never touched."""
    from quadrat.report.record import write_record

    root = root_of(ctx)
    written = write_record(root, study_of(root, study).name, force=force)
    for line in written.conflicts:
        click.echo(f"{_shown(root, written.path)}:{line}", err=True)
    click.echo(_shown(root, written.path))
    return 1 if written.conflicts else 0


@command.command("check")
@click.argument("records", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def check(ctx: click.Context, records: tuple[Path, ...], as_json: bool) -> int:
    """Hold RECORDS (default: all under experiments/) against their evidence; print file:line: FIELD: reason."""
    from quadrat.report.record import check_record, records_of

    root = root_of(ctx)
    paths = list(records) or records_of(root)
    rows: list[dict[str, Any]] = []
    for path in paths:
        for finding in check_record(root, path):
            place = {"file": _shown(root, path), "line": finding.line}
            rows.append({**place, "field": finding.field, "reason": finding.reason, "rule": finding.rule})
    if as_json:
        print_json("record-check", {"records": [_shown(root, path) for path in paths], "findings": rows})
        return 1 if rows else 0
    for row in rows:
        click.echo(f"{row['file']}:{row['line']}: {row['field']}: {row['reason']}")
    click.echo(f"{len(paths)} records, {len(rows)} findings.", err=True)
    return 1 if rows else 0


def _shown(root: Path, path: Path) -> str:
    path = path.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
