"""``quadrat verify`` behind the command: a study, one run, or a record with everything it rests on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias, final

from quadrat.analyze.testimony import contradictions
from quadrat.core.errors import UsageError
from quadrat.core.verdicts import Status
from quadrat.journal import audit
from quadrat.journal.atomic import read_mapping
from quadrat.journal.audit import EVIDENCE, Audit, Verified
from quadrat.journal.layout import RESULTS, RunFolder, StudyFolder
from quadrat.journal.seal import Damage

SETTLED: Final = (str(Status.COMPLETED), str(Status.STOPPED))
"""How a run ended when no later attempt may change it."""

Tell: TypeAlias = Callable[[int, int], None]
"""Called with how many runs were read and how many there are."""


def _silent(done: int, total: int) -> None:
    del done, total


@final
@dataclass(frozen=True, slots=True)
class Verification:
    """What was read of one target, and what differs.

    Attributes:
        found: counts and damages.
        unsealed: runs that are not sealed, so that nothing can be said about them.
        absent: runs that the evidence holds and that are not in ``results/``: known by hash only.
    """

    found: Verified
    unsealed: Sequence[str] = ()
    absent: Sequence[str] = ()

    def account(self, *, fast: bool) -> str:
        """The result in one line."""
        found = self.found
        parts = [f"{found.runs} sealed runs"]
        if found.beside:
            parts.append(f"{found.beside} evaluations and re-runs")
        if fast:
            parts.append(f"fast: {found.trusted} of {found.files} files taken on trust by size and time, not hashed")
        else:
            parts.append(f"{found.files} files hashed")
        parts += [f"{len(self.unsealed)} runs not sealed"] if self.unsealed else []
        parts += [f"{len(self.absent)} runs not here, known by hash"] if self.absent else []
        return f"{found.study}: {', '.join(parts)}, {found.account}."


def verify_study(root: Path, folder: StudyFolder, *, fast: bool = False, tell: Tell = _silent) -> Verification:
    """Everything a study holds: runs, evaluations, re-runs, their data, and the evidence of its records."""
    work = Audit(root, fast=fast)
    unsealed = _runs(work, folder, folder.runs(), tell=tell)
    for link in audit.links(folder):
        work.damages.append(Damage(link.relative_to(root).as_posix(), "is a link, which is not followed"))
    _beside(work, audit.beside(folder))
    absent: list[str] = []
    for kept in audit.evidence_of(root, folder.name):
        work.evidence(kept)
        absent += _absent(work, folder, kept)
    return Verification(work.report(folder.name), unsealed, absent)


def verify_run(root: Path, run: RunFolder, *, fast: bool = False) -> Verification:
    """One run or evaluation, its data, what was measured of it, and what records kept of it.

    Raises:
        UsageError: it lies outside ``results/``.
    """
    results = root / RESULTS
    if not run.path.is_relative_to(results):
        raise UsageError("the run lies outside results/.", where=str(run.path), remedy="--root with its project.")
    below = run.path.relative_to(results)
    folder = StudyFolder(root, below.parts[0])
    work = Audit(root, fast=fast)
    if any(part.startswith(".") for part in below.parts):
        _beside(work, [run])
        return Verification(work.report(below.as_posix()), () if work.beside else (below.as_posix(),))
    unsealed = _runs(work, folder, [run])
    own = below.relative_to(folder.name).as_posix()
    about = [
        item for item in audit.beside(folder) if f"/{own}/" in f"/{item.path.relative_to(folder.path).as_posix()}/"
    ]
    _beside(work, about)
    for kept in audit.evidence_of(root, folder.name):
        _absent(work, folder, kept, only=own)
    return Verification(work.report(below.as_posix()), unsealed)


def verify_record(root: Path, path: Path, *, fast: bool = False, tell: Tell = _silent) -> Verification:
    """A record: its evidence, and the runs and data that the evidence was taken from, as far as they are here.

    Raises:
        UsageError: there is no evidence beside it.
    """
    kept = path.resolve().with_suffix("")
    if not (kept / EVIDENCE).is_file() or not kept.is_relative_to(root):
        raise UsageError(
            f"there is no {kept.name}/{EVIDENCE} beside the record.",
            where=path.as_posix(),
            remedy="draft the record of its study: quadrat record draft STUDY.",
        )
    study = str(read_mapping(kept / EVIDENCE).get("study") or kept.name.partition("_")[2])
    folder = StudyFolder(root, study)
    work = Audit(root, fast=fast)
    work.evidence(kept)
    absent = _absent(work, folder, kept)
    here = [folder.path / place for place in _places(kept) if place not in absent]
    unsealed = _runs(work, folder, map(RunFolder, here), tell=tell)
    return Verification(work.report(path.stem), unsealed, absent)


def _runs(work: Audit, folder: StudyFolder, runs: Iterable[RunFolder], *, tell: Tell = _silent) -> list[str]:
    """Hash runs and hold their files against each other; the names of those that are not sealed."""
    declared = _declared(folder)
    unsealed: list[str] = []
    listed = list(runs)
    for done, run in enumerate(listed, start=1):
        tell(done, len(listed))
        place = run.path.relative_to(folder.path).as_posix()
        if work.run(run):
            _contradictions(work, run, declared.get(f"{folder.name}/{place}"))
        else:
            unsealed.append(place)
    return unsealed


def _beside(work: Audit, runs: Iterable[RunFolder]) -> None:
    for run in runs:
        if work.run(run, is_beside=True):
            _contradictions(work, run, None)


def _contradictions(work: Audit, run: RunFolder, declared: Mapping[str, Any] | None) -> None:
    prefix = run.path.relative_to(work.root).as_posix()
    found = contradictions(run, place=prefix.partition("/")[2], declared=declared)
    work.damages += [Damage(f"{prefix}/{item.path}", item.what) for item in found]


def _declared(folder: StudyFolder) -> dict[str, Mapping[str, Any]]:
    listed = read_mapping(folder.lock_json).get("declared")
    rows = listed if isinstance(listed, list) else []
    return {str(row.get("path")): row for row in rows if isinstance(row, dict)}


def _places(kept: Path) -> list[str]:
    """The runs that an evidence folder holds, as paths inside their study."""
    runs = kept / "runs"
    return sorted(path.parent.relative_to(runs).as_posix() for path in runs.rglob("manifest.json"))


def _absent(work: Audit, folder: StudyFolder, kept: Path, *, only: str | None = None) -> list[str]:
    """Hold each run against the manifest that the evidence keeps of it; the runs that are not here."""
    absent: list[str] = []
    for place in _places(kept):
        if only not in (None, place):
            continue
        run = RunFolder(folder.path / place)
        then = kept / "runs" / place
        if not run.manifest.is_file():
            if not run.path.is_dir():
                absent.append(place)
            continue
        # A run that failed may be tried again; one that came to its end stays as it was.
        if read_mapping(then / "verdict.json").get("status") not in SETTLED:
            continue
        other = _other(_held(then / "manifest.json"), _held(run.manifest))
        if other is not None:
            prefix = run.path.relative_to(work.root).as_posix()
            what = f"is not what the evidence in experiments/{kept.name} was taken from: the run was sealed anew"
            work.damages.append(Damage(f"{prefix}/{other}", what))
    return absent


def _held(manifest: Path) -> dict[str, str]:
    """Every file that a manifest names, those removed since among them, with its hash."""
    content = read_mapping(manifest)
    entries = [*_listed(content, "files"), *_listed(content, "removed")]
    return {str(entry["path"]): str(entry.get("sha256")) for entry in entries if "path" in entry}


def _other(then: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    return next((path for path in sorted(then) if now.get(path) != then[path] and path != "train.log"), None)


def _listed(content: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    listed = content.get(key)
    return [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
