"""``quadrat sync`` fills a tracker after the fact, once, and again where the tracker has lost something."""

from __future__ import annotations

import json
import shutil

import pytest

RUNS = [f"R{rate}_S{seed}" for rate in ("0.1", "0.5") for seed in (0, 1, 2)]

pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")


@pytest.fixture
def done(lab):
    """A study that has run without any tracker."""
    lab.write(steps=8)
    lab.quadrat("run", "toy.yaml")
    return lab


def files(lab):
    folder = lab.root / "results/toy/.tensorboard"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("events*")}


def steps(lab, run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(lab.root / "results/toy/.tensorboard" / run), size_guidance={"scalars": 0})
    found.Reload()
    return {tag: [event.step for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def journal(lab, run):
    found = {}
    for line in (lab.run_folder(run) / "metrics.ndjson").read_text().splitlines():
        row = json.loads(line)
        for name in row["metrics"]:
            found.setdefault(name, []).append(row["step"])
    return found


def test_a_study_is_sent_after_the_fact_and_only_once(done):
    said = done.quadrat("sync", "toy", "--sink", "tensorboard").stdout
    assert said == "toy: tensorboard: 6 runs sent, 6 of 6 are there\n"
    assert {run: steps(done, run) for run in RUNS} == {run: journal(done, run) for run in RUNS}
    before = files(done)
    assert "0 runs sent, 6 of 6" in done.quadrat("sync").stdout
    assert files(done) == before
    shutil.rmtree(done.root / "results/toy/.tensorboard")
    assert "6 of 6 are there" in done.quadrat("sync", "toy").stdout
    assert steps(done, RUNS[0]) == journal(done, RUNS[0])
    assert "nothing differs" in done.quadrat("verify").stderr


def test_what_it_cannot_do_it_says_in_a_paragraph(done):
    assert "--sink tensorboard" in done.quadrat("sync", "toy", code=2).stderr
    assert "nothing was mirrored before" in done.quadrat("sync", code=2).stderr
    assert "did you mean 'tensorboard'" in done.quadrat("sync", "toy", "--sink", "tensorbord", code=2).stderr
    assert "unknown study" in done.quadrat("sync", "toyy", "--sink", "tensorboard", code=2).stderr


def test_a_run_that_goes_on_is_sent_as_far_as_it_is(done):
    import quadrat

    with quadrat.start_run("own", "one", root=done.root) as run:
        run.log(1, loss=1.0)
        assert "0 of 1 are there" in done.quadrat("sync", "own", "--sink", "tensorboard", code=None).stdout
        run.log(2, loss=0.5)
    assert "1 of 1 are there" in done.quadrat("sync", "own").stdout
