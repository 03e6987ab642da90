"""Verification of a whole study: runs, data and evidence, every file hashed again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from quadrat.core.errors import StoreError
from quadrat.journal.atomic import read_json
from quadrat.journal.layout import RunFolder, StudyFolder, studies
from quadrat.journal.seal import Damage, hash_file, verify

EVIDENCE: Final = "evidence.json"
"""The manifest of an evidence folder under ``experiments/``."""


@final
@dataclass(frozen=True, slots=True)
class Verified:
    """What was hashed and what differs. Paths are relative to the root."""

    study: str
    runs: int
    files: int
    damages: Sequence[Damage]

    @property
    def account(self) -> str:
        """The result in words."""
        return "nothing differs" if not self.damages else f"{len(self.damages)} differ"


def studies_with_evidence(root: Path) -> list[str]:
    """Every study that has results or committed evidence, by name."""
    kept = (path.parent.name.partition("_")[2] for path in (root / "experiments").glob(f"*_*/{EVIDENCE}"))
    return sorted({*studies(root), *kept})


def verify_study(root: Path, folder: StudyFolder) -> Verified:
    """Hash every file of every sealed run, the data they name and the evidence kept for the study."""
    damages: list[Damage] = []
    runs = files = 0
    data: dict[str, Sequence[Any]] = {}
    for run in folder.runs():
        if not run.manifest.exists():
            continue
        runs += 1
        prefix = run.path.relative_to(root).as_posix()
        damages += [Damage(f"{prefix}/{damage.path}", damage.what) for damage in verify(run)]
        files += _count(run)
        if run.data.exists():
            manifest = _read(run.data, damages, root)
            data[str(manifest.get("folder"))] = manifest.get("files", ())
    for name, told in sorted(data.items()):
        files += len(told)
        damages += _differing(root, name, told)
    for manifest in sorted((root / "experiments").glob(f"????-??-??_{folder.name}/{EVIDENCE}")):
        told = _read(manifest, damages, root).get("files", ())
        files += len(told)
        damages += _differing(root, manifest.parent.relative_to(root).as_posix(), told)
    return Verified(folder.name, runs, files, damages)


def _count(run: RunFolder) -> int:
    try:
        return len(read_json(run.manifest)["files"])
    except (StoreError, KeyError, TypeError):
        return 0


def _read(path: Path, damages: list[Damage], root: Path) -> dict[str, Any]:
    try:
        value = read_json(path)
    except StoreError as error:
        damages.append(Damage(path.relative_to(root).as_posix(), error.what))
        return {}
    return value if isinstance(value, dict) else {}


def _differing(root: Path, folder: str, told: Sequence[Any]) -> list[Damage]:
    """The files of a manifest that are absent, lead elsewhere or have other contents."""
    found: list[Damage] = []
    for entry in told:
        name = f"{folder}/{entry['path']}"
        path = root / name
        if path.is_symlink() or not path.resolve().is_relative_to(root.resolve()):
            found.append(Damage(name, "is a link or leads out of the project"))
        elif not path.is_file():
            found.append(Damage(name, "is missing"))
        elif hash_file(path) != entry["sha256"]:
            found.append(Damage(name, "has other contents than its manifest says"))
    return found
