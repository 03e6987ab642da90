"""What may go is listed with its reason; what goes leaves good seals behind."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from quadrat.core.errors import UsageError
from quadrat.journal.garbage import garbage, remove
from quadrat.journal.layout import RunFolder, StudyFolder
from quadrat.journal.lock import study_lock
from quadrat.journal.seal import seal, verify


def checkpoint(run: RunFolder, step: int) -> Path:
    place = run.checkpoints / f"step-{step:08d}"
    place.mkdir(parents=True)
    (place / "state.bin").write_bytes(b"x" * 1000)
    return place


@pytest.fixture
def root(finished: RunFolder) -> Path:
    """A sealed run with three checkpoints, the first of them the best."""
    for step in (10, 20, 30):
        checkpoint(finished, step)
    (finished.checkpoints / "best.json").write_text(json.dumps({"folder": "step-00000010", "metric": "m", "value": 1}))
    seal(finished)
    return finished.path.parents[2]


def told(root: Path, study: str | None = None) -> list[tuple[str, str]]:
    return [(heap.kind, heap.path.relative_to(root).as_posix()) for heap in garbage(root, study)]


def old(path: Path) -> Path:
    """As if nothing had been written there for an hour."""
    for item in (path, *path.rglob("*")):
        os.utime(item, (1e9, 1e9))
    return path


def test_last_and_best_checkpoints_stay_and_the_seal_is_good_without_the_others(
    root: Path, finished: RunFolder
) -> None:
    heaps = garbage(root, "demo")
    assert [(heap.kind, heap.path.name, heap.size) for heap in heaps] == [("checkpoint", "step-00000020", 1000)]
    assert remove(root, heaps) == 1000
    assert sorted(path.name for path in finished.checkpoints.iterdir()) == [
        "best.json",
        "step-00000010",
        "step-00000030",
    ]
    assert verify(finished) == []
    assert [entry["path"] for entry in json.loads(finished.manifest.read_text())["removed"]] == [
        "checkpoints/step-00000020/state.bin"
    ]
    assert garbage(root, "demo") == []


def test_a_run_that_has_not_ended_keeps_all_of_them(root: Path, finished: RunFolder) -> None:
    finished.manifest.unlink()
    finished.verdict.unlink()
    finished.events.write_text(finished.events.read_text().replace('"event":"finished"', '"event":"left"'))
    assert told(root, "demo") == []


def test_what_a_record_cites_is_said(root: Path, finished: RunFolder) -> None:
    kept = root / "experiments/2026-11-21_demo"
    (kept / "runs/L2_S0").mkdir(parents=True)
    (kept / "evidence.json").write_text("{}")
    (kept / "runs/L2_S0/manifest.json").write_bytes(finished.manifest.read_bytes())
    assert [heap.cited for heap in garbage(root)] == ["2026-11-21_demo"]


def test_work_orders_scraps_and_what_was_left_behind_are_listed(root: Path, finished: RunFolder) -> None:
    study = StudyFolder(root, "demo")
    (study.jobs / "L2_S0").mkdir(parents=True)
    (finished.checkpoints / ".step-00000040.partial").mkdir()
    (finished.path / ".quadrat-abc.tmp").write_text("half")
    evaluation = study.path / ".evaluations/L2_S0/abc"
    evaluation.mkdir(parents=True)
    (evaluation / "config.yaml").write_text("a: 1")
    work = study.path / ".reruns/L2_S0/1/work"
    work.mkdir(parents=True)
    assert {kind for kind, _ in told(root, "demo")} == {"checkpoint", "partial", "jobs"}  # the others may be at work
    old(evaluation), old(work.parent)
    remove(root, garbage(root, "demo"))
    assert told(root, "demo") == []
    assert not evaluation.exists()
    assert not work.parent.exists()
    assert not study.jobs.exists()
    assert verify(finished) == []


def test_data_that_nobody_names_go_and_a_persons_own_stay(root: Path, finished: RunFolder) -> None:
    for name in ("used-1", "unused-1", "mine"):
        (root / "data" / name).mkdir(parents=True)
        if name != "mine":
            (root / "data" / name / "split_manifest.json").write_text("{}")
    (root / "data/.half-1-abc").mkdir()
    old(root / "data/.half-1-abc")
    finished.data.write_text(json.dumps({"folder": "data/used-1", "files": []}))
    seal(finished)
    assert ("data", "data/unused-1") in told(root)
    remove(root, garbage(root))
    assert sorted(path.name for path in (root / "data").iterdir()) == ["mine", "used-1"]
    assert ("data", "data/unused-1") not in told(root, "demo")


def test_nothing_goes_while_the_study_is_conducted(root: Path) -> None:
    heaps = garbage(root, "demo")
    with study_lock(StudyFolder(root, "demo")), pytest.raises(UsageError, match="is being run"):
        remove(root, heaps)
    assert told(root, "demo")


def test_a_link_is_not_followed(root: Path, finished: RunFolder, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (root / "data").mkdir()
    (root / "data/linked").symlink_to(outside)
    (outside / "split_manifest.json").write_text("{}")
    (finished.checkpoints / "step-00000005").symlink_to(outside)
    remove(root, garbage(root))
    assert (outside / "precious").exists()
