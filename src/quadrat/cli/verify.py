"""``quadrat verify``: read everything again, hash it, name what differs."""

from __future__ import annotations

import click

from quadrat.cli.targets import print_json, root_of, study_of


@click.command("verify")
@click.argument("study", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def command(ctx: click.Context, study: str | None, as_json: bool) -> int:
    """Verify every sealed run of STUDY (default: of all studies), its data and its evidence, by content."""
    from quadrat.journal.audit import studies_with_evidence, verify_study
    from quadrat.journal.layout import StudyFolder

    root = root_of(ctx)
    known = studies_with_evidence(root)
    folders = [study_of(root, study, known=known)] if study else [StudyFolder(root, name) for name in known]
    reports = [verify_study(root, folder) for folder in folders]
    damages = [damage for report in reports for damage in report.damages]
    checked = sum(report.files for report in reports)
    if as_json:
        rows = [{"path": damage.path, "what": damage.what} for damage in damages]
        print_json("verify", {"files": checked, "runs": sum(r.runs for r in reports), "damages": rows})
    else:
        for damage in damages:
            click.echo(f"{damage.path}: {damage.what}")
        for report in reports:
            click.echo(
                f"{report.study}: {report.runs} sealed runs, {report.files} files hashed, {report.account}.", err=True
            )
    return 5 if damages else 0
