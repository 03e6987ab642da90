"""What is looked at before the first job starts, so that nobody finds out two days later."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

from quadrat.conduct.jobs import Launch, rules_of
from quadrat.core.errors import StoreError, UsageError
from quadrat.core.spec import RunSpec
from quadrat.health.rules import parse_rules
from quadrat.journal.layout import StudyFolder
from quadrat.journal.reader import RunView
from quadrat.study.load import Study
from quadrat.study.trainable import code_sha256


def writable(folder: StudyFolder) -> None:
    """Make the study's folder and prove that a file can be written there.

    Raises:
        StoreError: it cannot.
    """
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder.path) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
    except OSError as error:
        raise StoreError(
            f"the study's folder cannot be written: {error.strerror or error}.",
            where=f"results/{folder.name}",
            remedy="check its permissions and the free space, or choose another root with --root.",
        ) from error


def remarks(study: Study) -> list[str]:
    """What is right in the study file but will not happen, or may not be meant; one line each."""
    return [problem.line() for problem in study.warnings]


def rules_can_fire(launch: Launch) -> None:
    """Refuse rules that contradict themselves or could never fire.

    Raises:
        StudyError: what is wrong with which rule.
    """
    parse_rules(rules_of(launch.study))


def same_code(launch: Launch, folder: StudyFolder, *, todo: Sequence[RunSpec]) -> None:
    """Refuse, before anything starts, to resume from checkpoints that other code has made.

    Raises:
        UsageError: code changed since; names the runs.
    """
    if launch.allow_drift:
        return
    now = code_sha256(launch.study.trainable)
    changed = [spec.name for spec in todo if _made_by_other_code(folder, spec, now)]
    if changed:
        raise UsageError(
            f"the study's code changed since the checkpoints of {', '.join(changed[:5])}"
            f"{' and others' if len(changed) > 5 else ''} were made.",
            where=f"results/{folder.name}",
            remedy="put the code back, go on with --allow-drift (it is recorded), or move those run folders aside.",
        )


def _made_by_other_code(folder: StudyFolder, spec: RunSpec, now: str) -> bool:
    view = RunView(folder.run_folder(spec))
    if not any(view.folder.checkpoints.glob("step-*")):
        return False
    attempts = view.attempts()
    return bool(attempts) and attempts[-1]["code_sha256"] != now
