"""Which files of a study go into its crate, and which are only named there by their hash."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, final

from quadrat.core.errors import StoreError
from quadrat.exports.datasets import DataSet
from quadrat.journal.atomic import open_regular, read_mapping
from quadrat.journal.audit import evidence_of
from quadrat.journal.layout import RunFolder, StudyFolder
from quadrat.journal.seal import hash_file, walk

LARGEST: Final = 1 << 20
"""Bytes. A larger file of a run is named with its hash and stays where it is."""

_INPUTS: Final = ("config.yaml", "data.json", "env.json", "git.json", "git.diff")
"""What a run began with; everything else in its folder came of it."""


@final
@dataclass(frozen=True, slots=True)
class Piece:
    """One file of the project. ``path`` is relative to the root; ``why`` says why it stays out, empty if it goes in.

    ``size`` and ``sha256`` are known of pieces that stay out.
    """

    path: str
    why: str = ""
    size: int = 0
    sha256: str = ""

    @property
    def is_input(self) -> bool:
        """Whether a run began with it."""
        return PurePosixPath(self.path).name in _INPUTS


def pieces_of_run(root: Path, run: RunFolder) -> list[Piece]:
    """The files of a run, by path; those that ``quadrat gc`` took away are named from its seal.

    Raises:
        StoreError: a link, pipe or device is among them.
    """
    manifest = read_mapping(run.manifest)
    sealed = {str(entry["path"]): entry for entry in _entries(manifest.get("files"))}
    place = run.path.relative_to(root).as_posix()
    found: list[Piece] = []
    for name, mode in walk(run.path):
        path = _checked(root, run.path / name, mode)
        size, first = path.stat().st_size, PurePosixPath(name).parts[0]
        why = "a checkpoint" if first == "checkpoints" else "of an earlier attempt" if first == "attempts" else ""
        why = why or ("too large" if size > LARGEST else "")
        if not why:
            found.append(Piece(f"{place}/{name}"))
        elif first != "attempts":
            told = sealed.get(name, {})
            found.append(Piece(f"{place}/{name}", why, size, str(told.get("sha256") or hash_file(path))))
    for entry in _entries(manifest.get("removed")):
        found.append(Piece(f"{place}/{entry['path']}", "removed since", int(entry["bytes"]), str(entry["sha256"])))
    return sorted(found, key=lambda piece: piece.path)


def pieces_of_data(data: DataSet) -> list[Piece]:
    """The files of a data set: all of them stay where they are."""
    return [Piece(f"{data.folder}/{file.path}", "data", file.size, file.sha256) for file in data.files]


def pieces_of_study(study: StudyFolder) -> list[Piece]:
    """Declaration, gates, study file, and the records with their evidence.

    Raises:
        StoreError: a link, pipe or device is among them.
    """
    root = study.root
    told = [study.lock_json, study.gates_json, *_source(study)]
    for kept in evidence_of(root, study.name):
        told += [kept.with_name(f"{kept.name}.md"), *(kept / name for name, _ in walk(kept))]
    found: list[Piece] = []
    for path in told:
        if path.is_symlink() or path.exists():
            _checked(root, path, path.lstat().st_mode)
            size = path.stat().st_size
            large = size > LARGEST and path.suffix not in (".md", ".json")
            name = path.relative_to(root).as_posix()
            found.append(Piece(name, "too large", size, hash_file(path)) if large else Piece(name))
    return found


def read_piece(root: Path, piece: Piece) -> bytes:
    """The content of a file that goes in."""
    with open_regular(root / piece.path) as file:
        return file.readall()


def _source(study: StudyFolder) -> Iterator[Path]:
    """The study file, when it is one of this project and not the name of a built-in one."""
    source = read_mapping(study.lock_json).get("source")
    name = source.get("file") if isinstance(source, Mapping) else None
    if isinstance(name, str) and PurePosixPath(name).suffix in (".yaml", ".yml"):
        path = study.root / name
        if path.is_file() and path.resolve().is_relative_to(study.root.resolve()) and ".." not in Path(name).parts:
            yield path


def _entries(told: Any) -> list[Mapping[str, Any]]:
    """The entries of a seal that name a file with its size and hash."""
    listed = told if isinstance(told, Sequence) and not isinstance(told, str) else ()
    return [
        entry
        for entry in listed
        if isinstance(entry, Mapping)
        and isinstance(entry.get("path"), str)
        and isinstance(entry.get("bytes"), int)
        and isinstance(entry.get("sha256"), str)
    ]


def _checked(root: Path, path: Path, mode: int) -> Path:
    if not stat.S_ISREG(mode):
        raise StoreError(
            "a link, pipe or device is not exported.",
            where=path.relative_to(root).as_posix(),
            remedy="put a copy of the file in its place.",
        )
    return path
