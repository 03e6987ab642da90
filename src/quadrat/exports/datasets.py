"""The data sets that the runs of a study used, as their ``data.json`` name them: files, bytes, rows, hashes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, final

from quadrat.core.errors import UsageError
from quadrat.exports.tables import is_split
from quadrat.journal.atomic import read_mapping
from quadrat.journal.layout import StudyFolder
from quadrat.journal.seal import hash_file

_HASH: Final = re.compile(r"[0-9a-f]{64}")
ABOUT: Final = "dataset.json"
"""A file in which the builder of a data set says how it was made and, under ``splits``, which splits it has."""


@final
@dataclass(frozen=True, slots=True)
class DataFile:
    """One file of a data set. ``path`` is relative to its folder; ``rows`` None where a file has none to count."""

    path: str
    size: int
    rows: int | None
    sha256: str


@final
@dataclass(frozen=True, slots=True)
class DataSet:
    """What some runs were trained and tested on.

    Attributes:
        name: its folder's name; with part of its hash where runs used different contents under one name.
        folder: where it lies, relative to the root.
        sha256: one hash over the hashes of its files.
        files: its files, by path.
        runs: the runs that used it, as ``[<stage>/]<run>``.
    """

    name: str
    folder: str
    sha256: str
    files: tuple[DataFile, ...]
    runs: tuple[str, ...]

    def find(self, root: Path, file: DataFile) -> Path | None:
        """Where a file lies, when it is here and still has the content that the runs used."""
        folder = (root / self.folder).resolve()
        path = folder / file.path
        try:
            is_here = path.resolve().is_relative_to(folder) and folder.is_relative_to(root.resolve())
            return path if is_here and hash_file(path) == file.sha256 else None
        except OSError:
            return None

    def splits(self, root: Path) -> dict[str, tuple[DataFile, ...]]:
        """The files of each split: those that the builder tells, else those named as people name splits."""
        told = self._told(root)
        found: dict[str, list[DataFile]] = {}
        for file in self.files:
            name = PurePosixPath(PurePosixPath(file.path).parts[0]).stem
            if name in told or is_split(name):
                found.setdefault(name, []).append(file)
        return {name: tuple(files) for name, files in found.items()}

    def _told(self, root: Path) -> Mapping[str, Any]:
        about = next((file for file in self.files if file.path == ABOUT), None)
        path = self.find(root, about) if about else None
        splits = read_mapping(path).get("splits") if path else None
        return splits if isinstance(splits, Mapping) else {}


def data_sets(study: StudyFolder) -> tuple[DataSet, ...]:
    """The data sets of a study, in the order in which its runs name them.

    Raises:
        UsageError: no run names any.
    """
    found: dict[tuple[str, str], tuple[tuple[DataFile, ...], list[str]]] = {}
    for run in study.runs():
        told = read_mapping(run.data)
        folder, digest = told.get("folder"), told.get("sha256")
        if not isinstance(folder, str) or not isinstance(digest, str) or not _is_inside(folder):
            continue
        place = run.path.relative_to(study.path).as_posix()
        found.setdefault((folder, digest), (_files(told.get("files")), []))[1].append(place)
    if not found:
        raise UsageError(
            "no run of this study names data that are known by their hashes, so there is nothing to describe.",
            where=study.name,
            remedy="give its trainable a build_data function, and run it.",
        )
    folders = [folder for folder, _ in found]
    return tuple(
        DataSet(_name(folder, digest, several=folders.count(folder) > 1), folder, digest, files, tuple(runs))
        for (folder, digest), (files, runs) in found.items()
    )


def _is_inside(folder: str) -> bool:
    parts = PurePosixPath(folder).parts
    return len(parts) > 1 and parts[0] == "data" and ".." not in parts


def _name(folder: str, digest: str, *, several: bool) -> str:
    name = "-".join(PurePosixPath(folder).parts[1:])
    return f"{name}-{digest[:8]}" if several else name


def _files(told: Any) -> tuple[DataFile, ...]:
    found: list[DataFile] = []
    for entry in told if isinstance(told, Sequence) and not isinstance(told, str) else ():
        if not isinstance(entry, Mapping):
            continue
        path, size, rows, digest = (entry.get(key) for key in ("path", "bytes", "rows", "sha256"))
        if isinstance(path, str) and path and isinstance(size, int) and _HASH.fullmatch(str(digest)):
            found.append(DataFile(path, size, rows if isinstance(rows, int) else None, str(digest)))
    return tuple(found)
