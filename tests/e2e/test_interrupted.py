"""Killed at a bad moment, taken up again: the same bytes as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal

import pytest

SAME = ("metrics.ndjson", "metrics.json", "artifacts/predictions.jsonl")
SLOW = ("seconds_per_step=0.02", "axes.rate=[0.5]", "seeds=[7]", "steps=60")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, make_lab):
    """The bytes of the run never interrupted."""
    lab = make_lab(tmp_path_factory.mktemp("whole"))
    lab.quadrat("run", "toy.yaml", *SLOW)
    return {name: (lab.run_folder("R0.5_S7") / name).read_bytes() for name in SAME}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_interrupted_then_run_again_gives_the_same_bytes(lab, eventually, whole, number):
    metrics = lab.run_folder("R0.5_S7") / "metrics.ndjson"
    wanted = random.randrange(8, 50)
    process = lab.start("run", "toy.yaml", *SLOW)
    eventually(lambda: metrics.exists() and metrics.read_bytes().count(b"\n") >= wanted)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGKILL: -9}[number]
    eventually(lambda: _status(lab) in ("preempted", "lost"))
    lab.quadrat("run", "toy.yaml", *SLOW)
    folder = lab.run_folder("R0.5_S7")
    assert {name: (folder / name).read_bytes() for name in SAME} == whole
    rows = [json.loads(line) for line in (folder / "params.ndjson").read_text().splitlines()]
    assert len(rows) == 2
    assert rows[1]["resumed_from"].startswith("checkpoints/step-")


def test_killing_the_worker_alone_shows_the_run_as_lost(lab, whole):
    lab.quadrat("run", "toy.yaml", *SLOW, "kill_at=30", code=1)
    assert _status(lab) == "lost"
    assert (lab.run_folder("R0.5_S7") / "metrics.ndjson").read_bytes().count(b"\n") == 29


@pytest.mark.parametrize("event_too", [False, True])
def test_a_run_killed_between_its_verdict_and_its_seal_is_sealed_and_not_trained_again(lab, event_too):
    lab.quadrat("run", "toy.yaml", "axes.rate=[0.5]", "seeds=[7]")
    folder = lab.run_folder("R0.5_S7")
    (folder / "manifest.json").unlink()
    if event_too:
        kept = [line for line in (folder / "events.ndjson").read_text().splitlines() if '"finished"' not in line]
        (folder / "events.ndjson").write_text("".join(f"{line}\n" for line in kept))
    assert _status(lab) == "lost"
    lab.quadrat("run", "toy.yaml", "axes.rate=[0.5]", "seeds=[7]")
    assert _status(lab) == "completed"
    assert (folder / "events.ndjson").read_text().count('"finished"') == 1
    assert len((folder / "params.ndjson").read_text().splitlines()) == 1
    assert "nothing differs" in lab.quadrat("verify").stderr


def test_a_damaged_checkpoint_falls_back_to_the_one_before(lab, eventually, whole):
    folder = lab.run_folder("R0.5_S7")
    process = lab.start("run", "toy.yaml", *SLOW)
    eventually(lambda: len(list(folder.glob("checkpoints/step-*"))) >= 2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    newest = sorted(folder.glob("checkpoints/step-*"))[-1]
    (newest / "state.json").write_bytes(b"{}")
    lab.quadrat("run", "toy.yaml", *SLOW)
    assert {name: (folder / name).read_bytes() for name in SAME} == whole
    assert "falling back" in (folder / "events.ndjson").read_text()


def test_stop_ends_a_running_study_from_another_terminal(lab, eventually):
    metrics = lab.run_folder("R0.5_S7") / "metrics.ndjson"
    process = lab.start("run", "toy.yaml", *SLOW)
    eventually(lambda: metrics.exists() and metrics.read_bytes().count(b"\n") >= 5)
    lab.quadrat("stop", "toy")
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert _status(lab) == "preempted"


def test_a_second_conductor_is_refused(lab, eventually):
    metrics = lab.run_folder("R0.5_S7") / "metrics.ndjson"
    process = lab.start("run", "toy.yaml", *SLOW)
    eventually(lambda: metrics.exists() and metrics.stat().st_size > 0)
    said = lab.quadrat("run", "toy.yaml", *SLOW, code=2)
    assert str(process.pid) in said.stderr
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)


def test_changed_data_is_refused_by_name(lab, eventually):
    folder = lab.run_folder("R0.5_S7")
    process = lab.start("run", "toy.yaml", *SLOW)
    eventually(lambda: list(folder.glob("checkpoints/step-*")))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    data = next((lab.root / "data").glob("*/points.txt"))
    data.write_text(data.read_text().replace("0.5", "0.6"))
    lab.quadrat("run", "toy.yaml", *SLOW, code=1)
    assert "points.txt" in lab.quadrat("ls", "toy", "--failed").stdout


def _status(lab) -> str:
    runs = json.loads(lab.quadrat("ls", "toy", "--json").stdout)["runs"]
    return next(run["status"] for run in runs if run["name"] == "R0.5_S7")


def test_children_die_with_a_killed_conductor(lab, eventually):
    metrics = lab.run_folder("R0.5_S7") / "metrics.ndjson"
    process = lab.start("run", "toy.yaml", *SLOW, "seconds_per_step=0.2")
    eventually(lambda: metrics.exists() and metrics.stat().st_size > 0)
    started = json.loads((metrics.parent / "events.ndjson").read_text().splitlines()[0])
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    eventually(lambda: not _alive(started["process"]["pid"]))


def _alive(pid: int) -> bool:
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
