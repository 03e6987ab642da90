"""Checksums that change when, and only when, data change."""

from __future__ import annotations

import hashlib
import json

from quadrat.exports.datasets import DataFile
from quadrat.exports.splits import SplitsExporter, checksum


def test_a_split_of_one_file_has_the_hash_of_that_file(study, tmp_path, silent):
    SplitsExporter().write(study, tmp_path / "out", tick=silent)
    folder = tmp_path / "out/small-0123456789ab"
    sums = json.loads((folder / "split_checksums.json").read_text())
    lies = study.root / "data/small-0123456789ab"
    assert sums == {
        name: hashlib.sha256((lies / f"{name}.jsonl").read_bytes()).hexdigest() for name in ("train", "test")
    }
    manifest = json.loads((folder / "split_manifest.json").read_text())
    assert manifest["splits"]["train"] == {
        "split": "train",
        "files": ["train.jsonl"],
        "size": 3,
        "bytes": (lies / "train.jsonl").stat().st_size,
        "checksum": sums["train"],
    }
    assert sorted(manifest["dataset"]["runs"]) == ["failed", "fine", "nan"]


def test_a_split_of_several_files_has_the_hash_of_their_lines():
    files = [DataFile("train/b", 1, None, "b" * 64), DataFile("train/a", 1, None, "a" * 64)]
    lines = f"{'a' * 64}  train/a\n{'b' * 64}  train/b\n"
    assert checksum(files) == hashlib.sha256(lines.encode()).hexdigest()
    assert checksum(files[:1]) == "b" * 64
    assert checksum(files) == checksum(files[::-1])


def test_it_needs_no_data_to_be_here(study, tmp_path, silent):
    before = SplitsExporter().write(study, tmp_path / "before", tick=silent)
    (study.root / "data").rename(tmp_path / "gone")
    after = SplitsExporter().write(study, tmp_path / "after", tick=silent)
    names = [path.relative_to(before.path) for path in before.path.rglob("*.json")]
    assert len(names) == 2
    assert all((before.path / name).read_bytes() == (after.path / name).read_bytes() for name in names)
