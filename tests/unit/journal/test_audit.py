"""One pass over a project: what is hashed, what is taken on trust, what is named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from quadrat.core.errors import StoreError
from quadrat.journal.audit import Audit, beside, links, verify_study
from quadrat.journal.layout import RunFolder, StudyFolder
from quadrat.journal.seal import forget, hash_file, seal, verify


@pytest.fixture
def root(finished: RunFolder) -> Path:
    """A project with one sealed run and a data folder that it names."""
    root = finished.path.parents[2]
    data = root / "data" / "demo-1"
    data.mkdir(parents=True)
    (data / "train.txt").write_text("one\ntwo\n")
    (data / "split_manifest.json").write_text("{}")
    entry = {"path": "train.txt", "bytes": 8, "sha256": hash_file(data / "train.txt")}
    finished.data.write_text(json.dumps({"folder": "data/demo-1", "files": [entry]}))
    seal(finished)
    return root


def found(root: Path, *, fast: bool = False) -> list[tuple[str, str]]:
    audit = Audit(root, fast=fast)
    for run in StudyFolder(root, "demo").runs():
        audit.run(run)
    return [(damage.path, damage.what) for damage in audit.report("demo").damages]


def rewrite(path: Path, text: str, *, later: int | None = None) -> None:
    """Put other contents into a file, with the times it had, or so many seconds later."""
    before = path.stat()
    path.write_text(text)
    moved = 0 if later is None else later * 10**9
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + moved))


def test_a_byte_flipped_in_a_data_file_is_found_though_size_and_time_are_as_before(root: Path) -> None:
    assert found(root) == []
    rewrite(root / "data/demo-1/train.txt", "one\ntwp\n")
    assert found(root) == [("data/demo-1/train.txt", "has other contents than its manifest says")]


def test_a_fast_look_trusts_size_and_time_and_counts_what_it_trusts(root: Path) -> None:
    data = root / "data/demo-1"
    rewrite(data / "train.txt", "one\ntwp\n", later=-60)
    assert found(root, fast=True) == []
    audit = Audit(root, fast=True)
    for run in StudyFolder(root, "demo").runs():
        audit.run(run)
    assert audit.trusted == audit.files > 5
    rewrite(data / "train.txt", "one\ntwq\n", later=120)
    assert found(root, fast=True) == [("data/demo-1/train.txt", "has other contents than its manifest says")]


def test_a_fast_look_hashes_what_was_written_after_the_seal(root: Path, finished: RunFolder) -> None:
    rewrite(finished.config, finished.config.read_text(), later=3600)
    assert found(root, fast=True) == []
    rewrite(finished.config, finished.config.read_text().replace("2", "3"), later=0)
    assert [path for path, _ in found(root, fast=True)] == ["results/demo/L2_S0/config.yaml"]


def test_a_file_added_to_the_data_is_named(root: Path) -> None:
    (root / "data/demo-1/extra.txt").write_text("leak")
    assert found(root) == [("data/demo-1/extra.txt", "is not in the manifest of the data")]


def test_data_that_lead_out_of_the_project_are_named_and_not_read(root: Path, tmp_path_factory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "demo-1"
    (root / "data/demo-1").rename(outside)
    (root / "data/demo-1").symlink_to(outside)
    assert found(root) == [("data/demo-1/train.txt", "is a link or leads out of the project")]


def test_two_runs_that_name_other_files_of_one_data_folder_are_both_heard(root: Path, finished: RunFolder) -> None:
    other = RunFolder(finished.path.with_name("L3_S0"))
    other.path.mkdir()
    for name in ("config.yaml", "params.ndjson"):
        (other.path / name).write_bytes((finished.path / name).read_bytes())
    entry = {"path": "train.txt", "bytes": 8, "sha256": "0" * 64}
    other.data.write_text(json.dumps({"folder": "data/demo-1", "files": [entry]}))
    seal(other)
    assert found(root) == [("data/demo-1/train.txt", "has other contents than its manifest says")]


def test_a_link_where_a_run_should_be_is_listed(root: Path, finished: RunFolder, tmp_path: Path) -> None:
    folder = StudyFolder(root, "demo")
    elsewhere = tmp_path / "elsewhere"
    finished.path.rename(elsewhere)
    finished.path.symlink_to(elsewhere)
    assert links(folder) == [finished.path]
    assert verify_study(root, folder).runs == 0


def test_sealed_folders_beside_the_runs_are_found(root: Path, finished: RunFolder) -> None:
    folder = StudyFolder(root, "demo")
    place = folder.path / ".evaluations" / "L2_S0" / "abc"
    place.mkdir(parents=True)
    for path in finished.path.glob("*.*"):
        (place / path.name).write_bytes(path.read_bytes())
    seal(RunFolder(place))
    assert [item.path for item in beside(folder)] == [place]
    (place / "metrics.ndjson").write_text("")
    assert [damage.path for damage in verify_study(root, folder).damages] == [
        "results/demo/.evaluations/L2_S0/abc/metrics.ndjson"
    ]


def test_a_file_that_was_forgotten_may_go_and_is_still_named(finished: RunFolder) -> None:
    answers = finished.artifacts / "answers.jsonl"
    digest = hash_file(answers)
    forget(finished, ["artifacts/answers.jsonl"])
    assert [damage.what for damage in verify(finished)] == ["a file that is not in the manifest"]
    answers.unlink()
    assert verify(finished) == []
    assert json.loads(finished.manifest.read_text())["removed"] == [
        {"path": "artifacts/answers.jsonl", "bytes": 9, "sha256": digest}
    ]


def test_an_unsealed_run_has_nothing_to_forget(finished: RunFolder) -> None:
    finished.manifest.unlink()
    with pytest.raises(StoreError):
        forget(finished, ["config.yaml"])
