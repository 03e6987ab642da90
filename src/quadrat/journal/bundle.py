"""A study in one plain zip: runs, data, record and study file, each member named with its hash.

Unpacked with any zip program it is a project of its own. What is text is searched for secrets on its way in.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from quadrat.core.errors import StoreError, UsageError
from quadrat.core.secrets import mask
from quadrat.core.verdicts import Status
from quadrat.journal.atomic import dumps, open_regular, read_mapping
from quadrat.journal.audit import beside, evidence_of
from quadrat.journal.layout import MARKER, StudyFolder
from quadrat.journal.reader import RunView

MANIFEST: Final = "quadrat-export.json"
LEFT_OUT: Final = (".lock", ".conductor.json", ".jobs", ".mirror", ".tensorboard", ".wandb", ".mlflow")
"""What a study's folder holds for its conductor and its sinks."""

LARGEST_TEXT: Final = 64 * 2**20
"""Bytes. A larger text is not searched for secrets, and the export says so."""

_CHUNK: Final = 1 << 20
_STORED: Final = (".pt", ".safetensors", ".npz", ".png", ".zip", ".gz")
_SCRAPS: Final = (".partial", ".tmp", ".gone")
_MODE: Final = (stat.S_IFREG | 0o644) << 16


@final
@dataclass(frozen=True, slots=True)
class Exported:
    """What an export holds.

    Attributes:
        path: the zip.
        files: how many members, its own manifest not counted.
        size: their bytes.
        masked: text files in which secrets were masked, and how many; the hash of such a file is no longer what its
            run's manifest says.
        unsearched: texts too large to be searched for secrets.
    """

    path: Path
    files: int
    size: int
    masked: dict[str, int]
    unsearched: tuple[str, ...]


def export(root: Path, folder: StudyFolder, *, target: Path) -> Exported:
    """Write a study into a new zip file.

    Raises:
        UsageError: the file exists, or a run of the study is at work.
        StoreError: a link, pipe or device is among the files, or something leads out of the project.
        OSError: the file cannot be written; nothing of it is left then.
    """
    if os.path.lexists(target):
        raise UsageError("the file exists already.", where=str(target), remedy="another name, or move it aside.")
    working = [run.name for run in folder.runs() if RunView(run).status() is Status.RUNNING]
    if working:
        raise UsageError(
            f"{len(working)} runs are at work ({working[0]}).", where=folder.name, remedy=f"quadrat stop {folder.name}."
        )
    names = sorted(dict.fromkeys(_members(root, folder)))
    scratch = target.with_name(f".{target.name}.partial")
    try:
        with zipfile.ZipFile(scratch, "x", allowZip64=True) as archive:
            entries = [_add(archive, root, name) for name in names]
            masked = {entry["path"]: entry.pop("masked") for entry in entries if entry["masked"]}
            unsearched = [entry["path"] for entry in entries if entry.pop("unsearched", False)]
            for entry in entries:
                entry.pop("masked", None)
            about: dict[str, Any] = {"schema": 1, "study": folder.name, "files": entries}
            about |= {"masked": masked, "unsearched": unsearched}
            archive.writestr(_info(MANIFEST), dumps(about))
        scratch.rename(target)
    finally:
        scratch.unlink(missing_ok=True)
    return Exported(target, len(entries), sum(entry["bytes"] for entry in entries), masked, tuple(unsearched))


def _members(root: Path, folder: StudyFolder) -> Iterator[str]:
    """The files that belong to a study, relative to the root."""
    for path in _inside(root, folder.path, without=LEFT_OUT):
        yield path.relative_to(root).as_posix()
    for name in sorted(_data(folder)):
        if (root / name).is_dir():
            yield from (path.relative_to(root).as_posix() for path in _inside(root, root / name))
    for kept in evidence_of(root, folder.name):
        yield from (path.relative_to(root).as_posix() for path in _inside(root, kept))
        record = kept.with_name(f"{kept.name}.md")
        if os.path.lexists(record):
            yield _regular(root, record).relative_to(root).as_posix()
    source = root / _source(folder)
    if (
        source.suffix in (".yaml", ".yml")
        and os.path.lexists(source)
        and source.resolve().is_relative_to(root.resolve())
    ):
        yield _regular(root, source).relative_to(root).as_posix()
    if (root / MARKER).is_file():
        yield MARKER


def _data(folder: StudyFolder) -> set[str]:
    """The data folders that runs, evaluations and re-runs name."""
    found: set[str] = set()
    for run in (*folder.runs(), *beside(folder)):
        name = read_mapping(run.data).get("folder")
        if isinstance(name, str) and Path(name).parts[:1] == ("data",) and ".." not in Path(name).parts:
            found.add(name)
    return found


def _source(folder: StudyFolder) -> str:
    source = read_mapping(folder.lock_json).get("source")
    return str(source.get("file", "")) if isinstance(source, dict) else ""


def _inside(root: Path, folder: Path, *, without: Sequence[str] = ()) -> Iterator[Path]:
    """Every file under a folder, but in those ``without``. A link, pipe or device anywhere else ends the export."""
    if folder.is_symlink() or not folder.resolve().is_relative_to(root.resolve()):
        raise _refusal(root, folder)
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if parts[0] in without or any(part.endswith(_SCRAPS) and part.startswith(".") for part in parts):
            continue
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise _refusal(root, path)
        if path.is_file():
            yield path


def _regular(root: Path, path: Path) -> Path:
    if path.is_symlink() or not path.is_file():
        raise _refusal(root, path)
    return path


def _refusal(root: Path, path: Path) -> StoreError:
    return StoreError(
        "a link, pipe or device is not exported.",
        where=path.relative_to(root).as_posix(),
        remedy="put a copy of the file in its place.",
    )


def _add(archive: zipfile.ZipFile, root: Path, name: str) -> dict[str, Any]:
    """Put one file into the archive; its entry for the manifest."""
    path = root / name
    size = path.stat().st_size
    is_text = _is_text(path)
    if is_text and size <= LARGEST_TEXT:
        with open_regular(path) as file:
            content = file.readall()
        text, found = mask(content.decode("utf-8", "surrogateescape"))
        content = text.encode("utf-8", "surrogateescape") if found else content
        archive.writestr(_info(name), content)
        return {"path": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "masked": found}
    digest, written = hashlib.sha256(), 0
    with open_regular(path) as file, archive.open(_info(name), "w", force_zip64=True) as member:
        while chunk := file.read(_CHUNK):
            member.write(chunk)
            digest.update(chunk)
            written += len(chunk)
    return {"path": name, "bytes": written, "sha256": digest.hexdigest(), "masked": 0, "unsearched": is_text}


def _is_text(path: Path) -> bool:
    if path.suffix in _STORED:
        return False
    with open_regular(path) as file:
        return b"\0" not in file.read(8192)


def _info(name: str) -> zipfile.ZipInfo:
    """A member with the same bytes whenever it is written: no time of today, no rights of this machine."""
    info = zipfile.ZipInfo(name)
    info.external_attr = _MODE
    info.compress_type = zipfile.ZIP_STORED if name.endswith(_STORED) else zipfile.ZIP_DEFLATED
    return info
