"""``quadrat ls``: studies, or the runs of one, with the coverage account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from quadrat.cli.targets import print_json, root_of, study_of

MOST: Final = 40
"""Lines of the board that fit on a screen."""

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quadrat.analyze.board import Line


@click.command("ls")
@click.argument("study", required=False)
@click.option("--failed", is_flag=True, help="Only failed and lost runs, with their errors.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def command(ctx: click.Context, study: str | None, failed: bool, as_json: bool) -> None:
    """List the studies under results/, or the runs of STUDY with the board of its arms."""
    from quadrat.analyze import board
    from quadrat.analyze.table import load_study_table
    from quadrat.journal.layout import StudyFolder, studies

    root = root_of(ctx)
    if study is None and not failed:
        tables = [load_study_table(StudyFolder(root, name)) for name in studies(root)]
        if as_json:
            print_json("ls", {"studies": [{"study": t.study, "account": t.coverage().text} for t in tables]})
            return
        for table in tables:
            click.echo(f"{table.study}: {table.coverage().text}")
        if not tables:
            click.echo("no studies here yet. Try: quadrat run fluxem/smoke", err=True)
        return
    table = load_study_table(study_of(root, study))
    rows = [row for row in table.rows if not failed or row.status in ("failed", "lost")]
    if as_json:
        found = {"study": table.study, "account": table.coverage().text, "runs": [_plain(row) for row in rows]}
        print_json("ls", {**found, "board": [board.plain(line) for line in table.board()]})
        return
    click.echo(table.coverage().text)
    width = max((len(row.declared.place) for row in rows), default=0)
    for row in rows:
        click.echo(f"  {row.declared.place:<{width}}  {row.status:<10} {_remark(row, failed=failed)}".rstrip())
    if not failed:
        _show_board(table.board())


def _show_board(lines: Sequence[Line]) -> None:
    """One line an arm: what is known about it, and what that rests on."""
    if not lines:
        return
    from quadrat.analyze.board import counts

    click.echo(f"\nboard: {', '.join(f'{count} {mark}' for mark, count in counts(lines).items())}")
    width = max(len(line.label) for line in lines)
    for line in lines[:MOST]:
        click.echo(f"  {line.label:<{width}}  {line.mark:<10}  {line.why}")
    if len(lines) > MOST:
        click.echo(f"  ... and {len(lines) - MOST} more; --json and the page have all of them")


def _plain(row: Any) -> dict[str, Any]:
    return {
        "name": row.name,
        "stage": row.stage,
        "arm": row.arm,
        "seed": row.seed,
        "status": str(row.status),
        "final": dict(row.final),
        "gate": row.barred,
        "error": row.error,
        "diagnosis": row.diagnosis,
    }


def _remark(row: Any, *, failed: bool) -> str:
    if row.error:
        text = f"{row.error['type']}: {row.error['message']}"
        return f"{text}\n{row.error['traceback']}" if failed else text
    if row.barred:
        return str(row.barred)
    if row.diagnosis:
        return f"{row.diagnosis['rule']} at step {row.diagnosis['step']}"
    return ""
