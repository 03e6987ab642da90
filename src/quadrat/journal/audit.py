"""Verification of a whole study: runs, data and evidence, every file hashed again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from quadrat.core.errors import StoreError
from quadrat.journal.atomic import read_json
from quadrat.journal.layout import RunFolder, StudyFolder, studies
from quadrat.journal.seal import Damage, hash_file, is_untouched, read_manifest, verify, walk

EVIDENCE: Final = "evidence.json"
"""The manifest of an evidence folder under ``experiments/``."""

BESIDE: Final = (".evaluations", ".reruns")
"""Folders of a study that hold sealed run folders which are no runs of its plan."""

_SPLIT: Final = "split_manifest.json"


@final
@dataclass(frozen=True, slots=True)
class Verified:
    """What was hashed and what differs. Paths are relative to the root.

    Attributes:
        study: the study.
        runs: sealed runs of the plan that were read.
        files: files that were looked at.
        damages: what differs.
        beside: sealed folders of evaluations and re-runs that were read.
        trusted: files that were not hashed, because a fast look was asked for.
    """

    study: str
    runs: int
    files: int
    damages: Sequence[Damage]
    beside: int = 0
    trusted: int = 0

    @property
    def account(self) -> str:
        """The result in words."""
        return "nothing differs" if not self.damages else f"{len(self.damages)} differ"


@final
class Audit:
    """One pass over files of a project; each data file is hashed once however many runs name it.

    Args:
        root: the folder that holds ``results/``, ``data/`` and ``experiments/``.
        fast: take files on trust by size and time where that is possible.
    """

    def __init__(self, root: Path, *, fast: bool = False) -> None:
        self.root = root
        self.fast = fast
        self.damages: list[Damage] = []
        self.files = self.runs = self.beside = self.trusted = 0
        self._hashes: dict[Path, str] = {}
        self._data: set[tuple[str, str]] = set()

    def run(self, folder: RunFolder, *, is_beside: bool = False) -> bool:
        """Hash a sealed run and the data it names; False when it is not sealed, so that nothing can be said."""
        if not os.path.lexists(folder.manifest):
            return False
        self.beside += is_beside
        self.runs += not is_beside
        prefix = self._place(folder.path)
        self.damages += [Damage(f"{prefix}/{item.path}", item.what) for item in verify(folder, fast=self.fast)]
        self.files += self._count(folder)
        if folder.data.is_file() and not folder.data.is_symlink():
            self.data(self._mapping(folder.data))
        return True

    def data(self, manifest: Mapping[str, Any]) -> None:
        """Hash the files of a data folder against the manifest that a run kept of it."""
        name, told = str(manifest.get("folder")), _entries(manifest)
        key = (name, repr(told))
        if key in self._data:
            return
        self._data.add(key)
        self._listed(name, told, since=self.root / name / _SPLIT)
        folder = self.root / name
        if not folder.is_dir() or not folder.resolve().is_relative_to(self.root.resolve()):
            return
        known = {str(entry["path"]) for entry in told} | {_SPLIT}
        self.damages += [
            Damage(f"{name}/{path}", "is not in the manifest of the data")
            for path, _ in walk(folder)
            if path not in known
        ]

    def evidence(self, folder: Path) -> None:
        """Hash the evidence of a record against its manifest."""
        manifest = folder / EVIDENCE
        self._listed(self._place(folder), _entries(self._mapping(manifest)), since=manifest)

    def report(self, study: str) -> Verified:
        """What was found."""
        damages = sorted(set(self.damages), key=lambda item: (item.path, item.what))
        return Verified(study, self.runs, self.files, damages, self.beside, self.trusted)

    def _listed(self, folder: str, told: Sequence[Mapping[str, Any]], *, since: Path) -> None:
        """Hold the files of a manifest against the disk: absent, leading elsewhere, or with other contents."""
        self.files += len(told)
        for entry in told:
            name = f"{folder}/{entry['path']}"
            path = self.root / name
            if path.is_symlink() or not path.resolve().is_relative_to(self.root.resolve()):
                self.damages.append(Damage(name, "is a link or leads out of the project"))
            elif not path.is_file():
                self.damages.append(Damage(name, "is missing"))
            elif self.fast and self._is_trusted(path, entry, since):
                self.trusted += 1
            elif self._hash(path) != entry.get("sha256"):
                self.damages.append(Damage(name, "has other contents than its manifest says"))

    def _is_trusted(self, path: Path, entry: Mapping[str, Any], since: Path) -> bool:
        size = entry.get("bytes")
        return (
            isinstance(size, int) and since.is_file() and is_untouched(path, size=size, since=since.stat().st_mtime_ns)
        )

    def _hash(self, path: Path) -> str | None:
        if path not in self._hashes:
            try:
                self._hashes[path] = hash_file(path)
            except OSError:
                return None
        return self._hashes[path]

    def _count(self, folder: RunFolder) -> int:
        try:
            told = read_manifest(folder)
        except StoreError:
            return 0
        if self.fast:
            since = folder.manifest.stat().st_mtime_ns
            held = ((folder.path / path, int(entry["bytes"])) for path, entry in told.items())
            self.trusted += sum(is_untouched(path, size=size, since=since) for path, size in held)
        return len(told)

    def _mapping(self, path: Path) -> dict[str, Any]:
        try:
            value = read_json(path)
        except StoreError as error:
            self.damages.append(Damage(self._place(path), error.what))
            return {}
        return value if isinstance(value, dict) else {}

    def _place(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)


def studies_with_evidence(root: Path) -> list[str]:
    """Every study that has results or committed evidence, by name."""
    kept = (path.parent.name.partition("_")[2] for path in (root / "experiments").glob(f"*_*/{EVIDENCE}"))
    return sorted({*studies(root), *kept})


def evidence_of(root: Path, study: str) -> list[Path]:
    """The evidence folders of a study's records."""
    return sorted(path.parent for path in (root / "experiments").glob(f"????-??-??_{study}/{EVIDENCE}"))


def beside(folder: StudyFolder) -> Iterator[RunFolder]:
    """The sealed folders of evaluations and re-runs of a study, in the order of their paths."""
    for name in BESIDE:
        for manifest in sorted((folder.path / name).rglob("manifest.json")):
            if (manifest.parent / "params.ndjson").is_file():
                yield RunFolder(manifest.parent)


def links(folder: StudyFolder) -> list[Path]:
    """Links where runs or stages should be: they are not followed, so nothing behind them was looked at."""
    found: list[Path] = []
    for parent in (folder.path, *_inner(folder.path)):
        found += [path for path in _listing(parent) if path.is_symlink()]
    return found


def verify_study(root: Path, folder: StudyFolder) -> Verified:
    """Hash every file of every sealed run, evaluation and re-run, the data they name, the evidence of the study."""
    audit = Audit(root)
    for run in folder.runs():
        audit.run(run)
    for run in beside(folder):
        audit.run(run, is_beside=True)
    for kept in evidence_of(root, folder.name):
        audit.evidence(kept)
    return audit.report(folder.name)


def _entries(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = manifest.get("files")
    found = listed if isinstance(listed, list) else []
    return [item for item in found if isinstance(item, dict) and isinstance(item.get("path"), str)]


def _inner(folder: Path) -> list[Path]:
    return [path for path in _listing(folder) if path.is_dir() and not path.is_symlink() and path.name[0] != "."]


def _listing(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
