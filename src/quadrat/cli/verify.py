"""``quadrat verify``: read everything again, hash it, name what differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from quadrat.cli.targets import print_json, root_of, run_of, study_of
from quadrat.cli.waiting import waiting

if TYPE_CHECKING:
    from pathlib import Path

    from quadrat.analyze.verification import Verification
    from quadrat.cli.waiting import Tell


@click.command("verify")
@click.argument("target", required=False, metavar="[STUDY|RUN|RECORD]")
@click.option("--fast", is_flag=True, help="Trust files by size and time instead of hashing them; it says so.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def command(ctx: click.Context, target: str | None, fast: bool, as_json: bool) -> int:
    """Verify a study, a run or a record (default: all studies) by content: runs, data, evaluations, evidence.

    Every byte is hashed again, whatever size and time say. The files of a run must also bear each other out: sums
    follow from rows, the run is the one its folder is named after, its config is the one that was hashed.
    """
    root = root_of(ctx)
    with waiting("verify", unit="runs") as tell:
        reports = _verify(root, target, fast=fast, tell=tell)
    damages = [damage for report in reports for damage in report.found.damages]
    if as_json:
        document = {
            "fast": fast,
            "files": sum(report.found.files for report in reports),
            "trusted": sum(report.found.trusted for report in reports),
            "runs": sum(report.found.runs for report in reports),
            "beside": sum(report.found.beside for report in reports),
            "unsealed": [name for report in reports for name in report.unsealed],
            "absent": [name for report in reports for name in report.absent],
            "damages": [{"path": damage.path, "what": damage.what} for damage in damages],
        }
        print_json("verify", document)
    else:
        for damage in damages:
            click.echo(f"{damage.path}: {damage.what}")
        for report in reports:
            click.echo(report.account(fast=fast), err=True)
    return 5 if damages else 0


def _verify(root: Path, target: str | None, *, fast: bool, tell: Tell) -> list[Verification]:
    """The reports on what a person named: a record by its file, else a study, else a run."""
    from pathlib import Path

    from quadrat.analyze.verification import verify_record, verify_run, verify_study
    from quadrat.core.errors import UsageError
    from quadrat.journal.audit import studies_with_evidence
    from quadrat.journal.layout import StudyFolder

    known = studies_with_evidence(root)
    if target is None:
        return [verify_study(root, StudyFolder(root, name), fast=fast, tell=tell) for name in known]
    record = next((path for path in (Path(target), root / "experiments" / f"{target}.md") if path.is_file()), None)
    if record is not None and record.suffix == ".md":
        return [verify_record(root, record, fast=fast, tell=tell)]
    try:
        folder = study_of(root, target, known=known)
    except UsageError as no_study:
        try:
            return [verify_run(root, run_of(root, target), fast=fast)]
        except UsageError as no_run:
            raise (no_run if "/" in target else no_study) from None
    return [verify_study(root, folder, fast=fast, tell=tell)]
