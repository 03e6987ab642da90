"""What takes room and is of no further use, with its bytes; and how it is taken away without breaking a seal.

Nothing a person made is ever listed: only what Quadrat wrote and can write again, or what a process that died left.
"""

from __future__ import annotations

import contextlib
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from filelock import FileLock, Timeout

from quadrat.core.verdicts import Status
from quadrat.journal.atomic import read_mapping
from quadrat.journal.audit import BESIDE, evidence_of
from quadrat.journal.layout import RunFolder, StudyFolder, studies
from quadrat.journal.lock import conductor_of, study_lock
from quadrat.journal.reader import RunView
from quadrat.journal.seal import forget, walk

IDLE_SECONDS: Final = 600.0
"""How long nothing may have been written to a folder without a process before it counts as left behind."""

_SPLIT: Final = "split_manifest.json"
_ENDED: Final = (Status.COMPLETED, Status.STOPPED)


@final
@dataclass(frozen=True, slots=True)
class Heap:
    """One thing that may go.

    Attributes:
        path: a file or a folder inside the project.
        kind: ``checkpoint``, ``partial``, ``jobs``, ``evaluation``, ``rerun`` or ``data``.
        why: why it is of no use.
        size: its bytes.
        study: the study it belongs to; None for data.
        cited: the evidence folder whose manifests name it, or None.
    """

    path: Path
    kind: str
    why: str
    size: int
    study: str | None = None
    cited: str | None = None


def garbage(root: Path, study: str | None = None) -> list[Heap]:
    """Everything of one study, or of all and the data besides, that is of no further use; largest first."""
    names = [study] if study is not None else studies(root)
    found = [heap for name in names for heap in _of_study(root, StudyFolder(root, name))]
    if study is None and not any(_is_conducted(StudyFolder(root, name)) for name in names):
        found += _data(root)
    return sorted(found, key=lambda heap: (-heap.size, heap.path))


def remove(root: Path, heaps: Sequence[Heap]) -> int:
    """Take heaps away and return how many bytes that were. A link is never followed.

    Raises:
        UsageError: a study among them is being run.
        OSError: something cannot be removed; what went before is gone and the seals say so.
    """
    freed = 0
    for name in dict.fromkeys(heap.study for heap in heaps):
        mine = [heap for heap in heaps if heap.study == name]
        with study_lock(StudyFolder(root, name)) if name else contextlib.nullcontext():
            freed += sum(_remove(heap) for heap in mine)
    return freed


def _remove(heap: Heap) -> int:
    if heap.path.is_symlink():
        return 0
    if heap.kind == "checkpoint":
        run = RunFolder(heap.path.parents[1])
        place = heap.path.relative_to(run.path).as_posix()
        # The seal first: a run whose seal names a file that is gone would count as damaged.
        forget(run, [f"{place}/{path}" for path, _ in walk(heap.path)])
    if heap.kind == "data":
        return _remove_data(heap)
    _unlink(heap.path)
    return heap.size


def _remove_data(heap: Heap) -> int:
    lock = _data_lock(heap.path)
    try:
        with FileLock(lock, timeout=0):
            _unlink(heap.path)
            lock.unlink(missing_ok=True)
    except Timeout:
        return 0  # somebody builds or reads it at this moment
    return heap.size


def _unlink(path: Path) -> None:
    if path.is_dir():
        # Out of the way first: half a folder must not look like a whole one.
        gone = path.with_name(f".{path.name.lstrip('.')}.gone")
        path.rename(gone)
        shutil.rmtree(gone)
    else:
        path.unlink(missing_ok=True)


def _of_study(root: Path, folder: StudyFolder) -> Iterator[Heap]:
    cited = _cited(root, folder)
    for run in folder.runs():
        view = RunView(run)
        status = view.status()
        if status is Status.RUNNING:
            continue
        yield from _partial(folder, run)
        if run.manifest.is_file() and status in _ENDED:
            yield from _checkpoints(folder, run, cited)
    if not _is_conducted(folder) and folder.jobs.is_dir() and not folder.jobs.is_symlink():
        yield Heap(folder.jobs, "jobs", "work orders of jobs that have ended", _size(folder.jobs), folder.name)
    yield from _left_beside(folder)


def _checkpoints(folder: StudyFolder, run: RunFolder, cited: dict[str, str]) -> Iterator[Heap]:
    """Checkpoints of a run that has come to its end, but for the last and the best."""
    steps = sorted(path for path in run.checkpoints.glob("step-*") if path.is_dir() and not path.is_symlink())
    kept = {path.name for path in steps[-1:]} | {str(read_mapping(run.checkpoints / "best.json").get("folder"))}
    for path in steps:
        if path.name not in kept:
            place = path.relative_to(folder.path).as_posix()
            why = "the run has ended; neither its last checkpoint nor its best"
            yield Heap(path, "checkpoint", why, _size(path), folder.name, cited.get(place))


def _partial(folder: StudyFolder, run: RunFolder) -> Iterator[Heap]:
    scraps = [
        *run.checkpoints.glob(".step-*.partial"),
        *run.path.glob(".quadrat-*.tmp"),
        *run.checkpoints.glob(".*.gone"),
    ]
    for path in sorted(scraps):
        yield Heap(path, "partial", "half written by a process that has gone", _size(path), folder.name)


def _left_beside(folder: StudyFolder) -> Iterator[Heap]:
    """Evaluations and re-runs that were never brought to an end."""
    evaluations, again = (folder.path / name for name in BESIDE)
    for config in sorted(evaluations.rglob("config.yaml")):
        run = RunFolder(config.parent)
        is_left = not run.manifest.exists() and RunView(run).status() is not Status.RUNNING
        if is_left and _is_idle(run.path):
            yield Heap(run.path, "evaluation", "never brought to its end", _size(run.path), folder.name)
    for work in sorted(again.rglob("work")):
        place = work.parent
        is_left = work.is_dir() and place.name.isdigit() and not (place / "rerun.json").exists()
        if is_left and _is_idle(place):
            yield Heap(place, "rerun", "never brought to its end", _size(place), folder.name)


def _data(root: Path) -> Iterator[Heap]:
    """Data folders that Quadrat built and that no run, evaluation, re-run or record names."""
    named = {
        str(read_mapping(path).get("folder")) for part in ("results", "experiments") for path in _manifests(root / part)
    }
    for path in sorted((root / "data").glob("*")):
        is_ours = path.is_dir() and not path.is_symlink() and (path / _SPLIT).is_file()
        if is_ours and path.relative_to(root).as_posix() not in named:
            yield Heap(path, "data", "no run and no record names it; it is built again when asked for", _size(path))
    for path in sorted((root / "data").glob(".*-*")):
        if path.is_dir() and not path.is_symlink() and _is_idle(path):
            yield Heap(path, "data", "half built by a process that has gone", _size(path))


def _manifests(folder: Path) -> Iterator[Path]:
    return folder.rglob("data.json") if folder.is_dir() else iter(())


def _data_lock(path: Path) -> Path:
    name = path.name.removeprefix(".").rsplit("-", 1)[0] if path.name.startswith(".") else path.name
    return path.parent / f".{name}.lock"


def _cited(root: Path, folder: StudyFolder) -> dict[str, str]:
    """Every checkpoint that the evidence of a record names, as a path inside the study, and which evidence."""
    found: dict[str, str] = {}
    for kept in evidence_of(root, folder.name):
        for manifest in (kept / "runs").rglob("manifest.json"):
            place = manifest.parent.relative_to(kept / "runs").as_posix()
            listed = read_mapping(manifest).get("files")
            for entry in listed if isinstance(listed, list) else []:
                path = str(entry.get("path"))
                if path.startswith("checkpoints/step-"):
                    found[f"{place}/{path.rpartition('/')[0]}"] = kept.name
    return found


def _is_conducted(folder: StudyFolder) -> bool:
    holder = conductor_of(folder)
    return holder is not None and (holder.is_alive() or not holder.is_here())


def _is_idle(folder: Path) -> bool:
    times = [path.lstat().st_mtime for path in (folder, *folder.rglob("*"))]
    return time.time() - max(times) > IDLE_SECONDS


def _size(path: Path) -> int:
    paths = [path, *path.rglob("*")] if path.is_dir() and not path.is_symlink() else [path]
    found = [item.lstat() for item in paths]
    return sum(item.st_size for item in found if stat.S_ISREG(item.st_mode))
