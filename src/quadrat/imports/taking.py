"""Foreign results taken in: told by their contents, built beside as sealed runs, and put in place in one move."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, final

from quadrat.core.errors import StoreError, UsageError
from quadrat.core.registry import load, members
from quadrat.imports.base import Importer, SourceFile
from quadrat.imports.names import Names, folder_name
from quadrat.imports.writing import UNTOLD, Origin, Written, described, write_run
from quadrat.journal.atomic import read_mapping, sync_folder, write_json
from quadrat.journal.layout import RESULTS, RunFolder, StudyFolder
from quadrat.study.identity import content_hash
from quadrat.study.names import objection, shown

FAMILY: Final = "imports"
MADE_BY: Final = "import"
"""Who declared a study whose runs were made elsewhere."""

_STAGING: Final = ".import-"


@final
@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an import.

    Attributes:
        study: the study's name.
        format: what the source was taken for.
        runs: each run's name and how it ended, in order.
        remarks: sentences about the source, and about its runs with the run's name before them.
        is_here_already: nothing was done, because the same source has been imported before.
    """

    study: str
    format: str
    runs: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]
    is_here_already: bool = False


def recognise(path: Path, *, format_: str | None = None) -> tuple[str, Importer]:
    """The format of ``path`` and who reads it, told from contents; ``format_`` decides where a person knows better.

    Raises:
        UsageError: nobody recognises it, or several do.
    """
    if not path.exists():
        raise UsageError("there is no such file or folder.", where=str(path))
    if format_ is not None:
        return format_, load(FAMILY, format_)()
    known = {name: _made(name) for name in sorted(members(FAMILY))}
    found = [name for name, importer in known.items() if importer.recognises(path)]
    if len(found) == 1:
        return found[0], known[found[0]]
    if found:
        raise UsageError(
            f"it holds results in several formats: {', '.join(found)}.", where=str(path), remedy="--format with one."
        )
    looked = "; ".join(importer.what for importer in known.values())
    raise UsageError(
        f"nothing in it is known. Looked for: a zip that 'quadrat export' wrote; {looked}.",
        where=str(path),
        remedy="the folder or file that holds the results itself, or --format NAME.",
    )


def take_foreign(
    root: Path,
    path: Path,
    *,
    format_: str | None = None,
    name: str | None = None,
    progress: Callable[[str, int], None] = lambda run, count: None,
) -> Taken:
    """Make a study under ``results/`` of what lies at ``path``. It is there as a whole, or nothing is.

    Args:
        root: the folder that holds ``results/``.
        path: a file or a folder.
        format_: the name of the format; told from contents when not given.
        name: the study's name; made from the path when not given.
        progress: hears of every run before it is written: its name, and how many were before it.

    Raises:
        UsageError: it is not known, cannot be read as what it is, or its study's name is taken.
        StoreError: it is damaged, it changed while it was read, or the disk takes no more.
    """
    chosen, importer = recognise(path, format_=format_)
    study = StudyFolder(root, _study_name(path, name))
    sources = importer.sources(path)
    if not sources:
        raise UsageError(f"there is nothing to import. Looked for: {importer.what}.", where=str(path))
    told = _fingerprint(chosen, sources)
    if study.path.exists() or study.path.is_symlink():
        return _known(study, chosen, told)
    origin = Origin(study.name, chosen, path.resolve().name, f"quadrat {version('quadrat')}")
    try:
        return _build(study, importer, origin, path=path, sources=sources, progress=progress)
    except OSError as error:
        what = f"the study cannot be written ({error.strerror or error}); nothing was imported."
        raise StoreError(what, where=f"{RESULTS}/{study.name}") from error


def _made(name: str) -> Importer:
    importer: Importer = load(FAMILY, name)()
    return importer


def _study_name(path: Path, name: str | None) -> str:
    if name is None:
        real = path.resolve()
        return folder_name(real.name if real.is_dir() else real.stem, otherwise="imported")
    reason = objection(name)
    if reason:
        raise UsageError(f"the study name {shown(name)} cannot be used: {reason}.", where="--as")
    return name


def _fingerprint(format_: str, sources: Sequence[SourceFile]) -> str:
    """The same for the same contents under any name and at any place."""
    return content_hash({"format": format_, "files": sorted(source.sha256 for source in sources)})


def _known(study: StudyFolder, format_: str, told: str) -> Taken:
    lock = read_mapping(study.lock_json)
    imported = lock.get("imported")
    if lock.get("made_by") == MADE_BY and isinstance(imported, dict) and imported.get("sha256") == told:
        return Taken(study.name, format_, (), (), is_here_already=True)
    raise UsageError(
        f"a study called {study.name!r} is here already, and it was not made from these files; nothing is overwritten.",
        where=f"{RESULTS}/{study.name}",
        remedy="another name: quadrat import PATH --as NAME.",
    )


def _build(
    study: StudyFolder,
    importer: Importer,
    origin: Origin,
    *,
    path: Path,
    sources: Sequence[SourceFile],
    progress: Callable[[str, int], None],
) -> Taken:
    results = study.path.parent
    results.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=results))
    remarks: list[str] = []
    try:
        building = staging / study.name
        building.mkdir()
        written = _write_runs(building, importer, origin, path=path, sources=sources, progress=progress, tell=remarks)
        changed = [source.name for source in sources if not source.is_as_it_was()]
        if changed:
            raise StoreError(
                f"{changed[0]} changed while it was read; nothing was imported.",
                where=origin.label,
                remedy="wait until nobody writes to it any longer.",
            )
        write_json(building / study.lock_json.name, _lock(origin, written, sources=sources, remarks=remarks))
        if study.path.exists():
            raise UsageError("the study has appeared meanwhile; nothing is overwritten.", where=study.name)
        building.rename(study.path)
        sync_folder(results)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    runs = tuple((str(run.declared["name"]), str(run.status)) for run in written)
    said = [f"{run.declared['name']}: {line}" for run in written for line in run.remarks if line != UNTOLD]
    untold = sum(run.is_untold for run in written)
    if untold:
        said.append(f"{untold} of {len(written)} runs: {UNTOLD[0].lower()}{UNTOLD[1:]}")
    return Taken(study.name, origin.format, runs, (*remarks, *said))


def _write_runs(
    building: Path,
    importer: Importer,
    origin: Origin,
    *,
    path: Path,
    sources: Sequence[SourceFile],
    progress: Callable[[str, int], None],
    tell: list[str],
) -> list[Written]:
    names = Names(otherwise="run")
    written: list[Written] = []
    for run in importer.read(path, sources, tell=tell.append):
        name = names.another(run.name)
        progress(name, len(written))
        written.append(write_run(RunFolder(building / name), run, origin=origin))
    if not written:
        raise UsageError(f"there are no runs in it. Looked for: {importer.what}.", where=origin.label)
    for ours, theirs in names.changed.items():
        if ours in names.collided:
            tell.append(f"another run would be called {theirs!a}, so this one is {ours}.")
    return written


def _lock(
    origin: Origin, written: Sequence[Written], *, sources: Sequence[SourceFile], remarks: Sequence[str]
) -> dict[str, Any]:
    """What the study declares: the runs that there are. That it was made elsewhere is said in it."""
    declared = [run.declared for run in written]
    told = _fingerprint(origin.format, sources)
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {
        "schema": 1,
        "study": origin.study,
        "made_by": MADE_BY,
        "trainable": f"imported ({origin.format}: {origin.label})",
        "source": {"file": origin.label, "sha256": told},
        "imported": {
            "format": origin.format,
            "source": origin.label,
            "sha256": told,
            "files": described(tuple(sources)),
            "importer": origin.importer,
            "time": now,
            "remarks": list(remarks),
        },
        "begun": now,
        "amendments": [],
        "declared": declared,
        "plan_sha256": content_hash({"declared": declared}),
    }
