"""A study that names a tracker: the tracker holds what the journal holds, whatever happened on the way."""

from __future__ import annotations

import json
import signal

import pytest

RUNS = [f"R{rate}_S{seed}" for rate in ("0.1", "0.5") for seed in (0, 1, 2)]

pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")


def _journal(lab, run):
    found = {}
    for line in (lab.run_folder(run) / "metrics.ndjson").read_text().splitlines():
        row = json.loads(line)
        for name, value in row["metrics"].items():
            found.setdefault(name, []).append((row["step"], pytest.approx(value, rel=1e-6)))
    return found


def _tensorboard(lab, run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(lab.root / "results/toy/.tensorboard" / run), size_guidance={"scalars": 0})
    found.Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_tensorboard_holds_what_the_journal_holds(lab):
    lab.write(more="sinks: [console, tensorboard]")
    done = lab.quadrat("run", "toy.yaml")
    assert "mirror" not in done.stderr
    for run in RUNS:
        assert _tensorboard(lab, run) == _journal(lab, run)
    assert "nothing differs" in lab.quadrat("verify").stderr


def test_a_study_killed_and_run_again_leaves_every_row_once(lab, eventually):
    lab.write(steps=30, more="sinks: [tensorboard]")
    process = lab.start("run", "toy.yaml", "seconds_per_step=0.02")
    eventually(lambda: any((lab.root / "results/toy/.tensorboard").glob("*/events*")))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    lab.quadrat("run", "toy.yaml", "seconds_per_step=0.02")
    for run in RUNS:
        assert _tensorboard(lab, run) == _journal(lab, run)
