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
@click.option(
    "--template",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Fill this Markdown file, too: a page of your own form beside the record.",
)
@click.pass_context
def draft(ctx: click.Context, study: str | None, force: bool, template: Path | None) -> int:
    """Write the record of STUDY with its evidence, or fill its auto blocks anew. Prose is never touched."""
    from quadrat.report.changes import record_facts
    from quadrat.report.own_pages import write_page
    from quadrat.report.record import write_record

    root = root_of(ctx)
    written = write_record(root, study_of(root, study).name, force=force)
    for line in written.conflicts:
        click.echo(f"{_shown(written.path)}:{line}", err=True)
    click.echo(_shown(written.path))
    if template is not None:
        folder = written.path.with_suffix("")
        page = write_page(root, folder, facts=record_facts(folder), template=template, force=force)
        click.echo(_shown(page))
    return 1 if written.conflicts else 0


@command.command("check")
@click.argument("records", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def check(ctx: click.Context, records: tuple[Path, ...], as_json: bool) -> int:
    """Hold RECORDS (default: all under experiments/) against their evidence; print file:line: FIELD: reason."""
    from quadrat.core.errors import UsageError
    from quadrat.report.record import check_record, records_of
    from quadrat.report.rehash import Rehash

    root = root_of(ctx)
    paths = [path.absolute() for path in records] or records_of(root)
    rows: list[dict[str, Any]] = []
    unread: list[str] = []
    rehash = Rehash(root)
    for path in paths:
        try:
            found = check_record(root, path, rehash=rehash)
        except UsageError as error:
            unread.append(error.paragraph())
            continue
        for finding in found:
            place = {"file": _shown(path), "line": finding.line}
            rows.append({**place, "field": finding.field, "reason": finding.reason, "rule": finding.rule})
    if as_json:
        names = [_shown(path) for path in paths]
        print_json("record-check", {"records": names, "findings": rows, "unread": unread})
    else:
        for row in rows:
            click.echo(f"{row['file']}:{row['line']}: {row['field']}: {row['reason']}")
        click.echo(f"{len(paths)} records, {len(rows)} findings.", err=True)
    for line in unread:
        click.echo(f"quadrat: {line}", err=True)
    return 2 if unread else 1 if rows else 0


@command.command("followups")
@click.option("--all", "everything", is_flag=True, help="Those that are done, too.")
@click.option("--stub", metavar="ID", help="Write a study file for this follow-up instead of the list.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Where --stub writes.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def followups(ctx: click.Context, *, everything: bool, stub: str | None, output: Path | None, as_json: bool) -> None:
    """List the open follow-ups of all records as record:line: id text, or write a study file for one."""
    from quadrat.report.record import followups_of, write_stub

    root = root_of(ctx)
    if stub is not None:
        click.echo(_shown(write_stub(root, stub, output=output)))
        return
    found = [item for item in followups_of(root) if everything or not item.done]
    if as_json:
        print_json("record-followups", {"followups": [item.as_dict() for item in found]})
        return
    for item in found:
        mark = "[x] " if item.done else ""
        click.echo(f"experiments/{item.record}.md:{item.line}: {item.id} {mark}{item.text}")
    click.echo(f"{len(found)} follow-ups. A study file for one: quadrat record followups --stub ID", err=True)


@command.command("index")
@click.pass_context
def index(ctx: click.Context) -> None:
    """Write experiments/index.md anew: every record with its verdict and its open follow-ups."""
    from quadrat.report.record import write_index

    root = root_of(ctx)
    click.echo(_shown(write_index(root)))


def _shown(path: Path) -> str:
    """A path as one would type it from here."""
    path, here = path.resolve(), Path.cwd().resolve()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else str(path)
