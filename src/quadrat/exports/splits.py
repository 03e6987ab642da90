"""What each split of the data holds, in the files of seed 003: ``split_manifest.json``, ``split_checksums.json``.

One folder for each data set. The manifest names every file with bytes, rows and the SHA-256 of its content, and for
each split its files, rows and checksum; the other file is only split to checksum. The checksum of a split of one file
is that file's (``sha256sum train.jsonl``); of several, it is the hash of their lines as ``sha256sum`` writes them,
sorted by path. So a checksum changes when and only when data change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

from quadrat.exports.base import Tick, Written, staged
from quadrat.exports.datasets import DataFile, DataSet, data_sets
from quadrat.exports.secrecy import shielded
from quadrat.journal.atomic import dumps
from quadrat.journal.layout import StudyFolder


@final
class SplitsExporter:
    """A folder with ``<data set>/split_manifest.json`` and ``<data set>/split_checksums.json``."""

    @property
    def ending(self) -> str:
        """The folder's ending."""
        return "-splits"

    def write(self, study: StudyFolder, target: Path, *, tick: Tick) -> Written:
        """Write two files for each data set.

        Raises:
            UsageError: no run names data, beside the reasons of every export.
        """
        found = data_sets(study)
        notes: list[str] = []
        with staged(target) as stage:
            for done, data in enumerate(found, 1):
                splits = data.splits(study.root)
                told, masked = shielded(manifest(data, splits))
                stage.put(f"{data.name}/split_manifest.json", dumps(told))
                stage.count(f"{data.name}/split_manifest.json", masked)
                stage.put(f"{data.name}/split_checksums.json", dumps({name: checksum(splits[name]) for name in splits}))
                if not splits:
                    notes.append(f"{data.name}: no file is named as a split, so only the files are listed.")
                tick(done, len(found))
        return stage.written(target, *notes)


def manifest(data: DataSet, splits: dict[str, tuple[DataFile, ...]]) -> dict[str, Any]:
    """The content of ``split_manifest.json``."""
    return {
        "schema": 1,
        "dataset": {"name": data.name, "folder": data.folder, "sha256": data.sha256, "runs": list(data.runs)},
        "files": [_entry(file) for file in data.files],
        "splits": {
            name: {
                "split": name,
                "files": [file.path for file in files],
                "size": _rows(files),
                "bytes": sum(file.size for file in files),
                "checksum": checksum(files),
            }
            for name, files in splits.items()
        },
    }


def checksum(files: Sequence[DataFile]) -> str:
    """The checksum of a split; see the top of this page."""
    if len(files) == 1:
        return files[0].sha256
    lines = "".join(f"{file.sha256}  {file.path}\n" for file in sorted(files, key=lambda file: file.path))
    return hashlib.sha256(lines.encode()).hexdigest()


def _rows(files: Sequence[DataFile]) -> int | None:
    """How many rows a split has; None where some file has none to count."""
    counted = [file.rows for file in files if file.rows is not None]
    return sum(counted) if len(counted) == len(files) else None


def _entry(file: DataFile) -> dict[str, Any]:
    return {"path": file.path, "bytes": file.size, "rows": file.rows, "sha256": file.sha256}
