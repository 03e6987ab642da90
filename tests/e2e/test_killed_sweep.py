"""A sweep whose scheduler is killed again and again ends as if nobody had touched it."""

from __future__ import annotations

import json
import os
import random
import signal
import time

import pytest

KILLS = 5
RUNS = 90
GRID = (f"seeds={list(range(RUNS // 2))}", "steps=12")


def _finished(lab) -> int:
    return sum(1 for _ in (lab.root / "results/toy").glob("*/manifest.json"))


def _rows(folder, name) -> list[dict]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


@pytest.fixture(scope="module", params=["off", "{max: 6}"], ids=["alone", "packed"])
def swept(request, tmp_path_factory, make_lab, eventually):
    """A lab whose 90-run sweep was started six times and killed with SIGKILL five times, and which runs had sealed."""
    lab = make_lab(tmp_path_factory.mktemp("killed"))
    lab.write(more=f"pack: {request.param}")
    words = ("run", "toy.yaml", *GRID, "seconds_per_step=0.004", "--no-canary")
    sealed: dict[str, float] = {}
    for _ in range(KILLS):
        before = _finished(lab)
        process = lab.start(*words)
        eventually(lambda before=before: _finished(lab) >= before + 3)
        time.sleep(random.uniform(0.0, 0.2))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        # The workers die with their conductor, and what they sealed by then stays sealed.
        eventually(lambda: "running" not in lab.quadrat("ls", "toy").stdout)
        for manifest in (lab.root / "results/toy").glob("*/manifest.json"):
            if json.loads((manifest.parent / "verdict.json").read_text())["status"] == "completed":
                sealed.setdefault(manifest.parent.name, manifest.stat().st_mtime)
    assert len(sealed) < RUNS, "the sweep was over before the last kill"
    lab.quadrat(*words)
    return lab, sealed


def test_exactly_the_declared_folders_are_there(swept):
    lab, _ = swept
    folders = {path.name for path in (lab.root / "results/toy").iterdir() if (path / "params.ndjson").exists()}
    assert folders == {f"R{rate}_S{seed}" for rate in ("0.1", "0.5") for seed in range(RUNS // 2)}
    assert lab.quadrat("ls", "toy").stdout.startswith(f"{RUNS} planned = {RUNS} completed")
    assert "nothing differs" in lab.quadrat("verify").stderr


def test_no_row_is_there_twice_and_none_is_missing(swept):
    lab, _ = swept
    for folder in (lab.root / "results/toy").glob("R*"):
        steps = [row["step"] for row in _rows(folder, "metrics.ndjson") if "train/loss" in row["metrics"]]
        assert steps == list(range(1, 13)), folder.name


def test_no_run_came_to_its_end_twice(swept):
    lab, sealed = swept
    for folder in (lab.root / "results/toy").glob("R*"):
        ended = [row["status"] for row in _rows(folder, "events.ndjson") if row["event"] == "finished"]
        assert ended.count("completed") == 1, folder.name
        assert set(ended) <= {"completed", "preempted"}, folder.name
    for name, moment in sealed.items():
        assert (lab.root / "results/toy" / name / "manifest.json").stat().st_mtime == moment, name
