"""Two processes over gloo do what one does on the joined batch: one sum of gradients, then clipping."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from quadrat import Checkpoint, Metrics, UsageError
from quadrat_studies.etrm import ranks
from quadrat_studies.etrm.examining import Examination
from quadrat_studies.etrm.experiment import train
from quadrat_studies.etrm.training import Training

STEPS = 6
CLIP = 0.5


def walk(config, context, tasks, folder):
    """A few steps, an evaluation, and what is left behind in ``folder`` under this process's number."""
    run = Training(config, context, tasks=tasks)
    gradients = []
    for _ in range(STEPS):
        run.update()
        gradients.append(run.weights.gradient.clone())
    exam = Examination(config, tasks, device="cpu")
    values, _ = exam.measure(run.solver)
    name = f"{ranks.rank()}of{ranks.world()}"
    state = run.state()
    np.savez(
        folder / f"{name}.npz", gradients=torch.stack(gradients).numpy(), values=run.weights.values.numpy(),
        steps=state["carry"]["steps"].numpy(), drawn=state["carry"]["drawn"].numpy(),
        labels=state["carry"]["batch"]["labels"].numpy(),
    )  # fmt: skip
    (folder / f"{name}.json").write_text(json.dumps(run.row() | values))


def member(number, folder, work, arguments):
    """One of two processes at ``work``."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=number, world_size=2, timeout=timedelta(seconds=120)
    )
    work(*arguments, folder)
    dist.destroy_process_group()


def followed(config, context, folder):
    """Train as the instrument does it: the first process alone asks for a state, and only at step 10."""
    rows = []
    for event in train(config, context):
        if isinstance(event, Metrics):
            rows.append([event.step, dict(event.values)])
        if isinstance(event, Checkpoint) and event.step in (10, 20) and ranks.rank() == 0:
            torch.save(event.state(), folder / f"step{event.step}.pt")
    (folder / f"{ranks.rank()}.json").write_text(json.dumps(rows))


@pytest.fixture(scope="module")
def walked(tiny, context_of, tasks_of, tmp_path_factory):
    """What one process and two processes left behind."""
    folder = tmp_path_factory.mktemp("ranks")
    config = tiny(
        arch={"encoder_type": "variational", "halt_exploration_prob": 0.5},
        training={"grad_clip_norm": CLIP, "dihedral": True, "colour": True},
    )
    context, tasks = context_of(config), tasks_of(config)
    torch.set_num_threads(1)
    mp.start_processes(member, (folder, walk, (config, context, tasks)), nprocs=2, start_method="fork")
    walk(config, context, tasks, folder)
    files = {name: np.load(folder / f"{name}.npz") for name in ("0of1", "0of2", "1of2")}
    rows = {name: json.loads((folder / f"{name}.json").read_text()) for name in files}
    return files, rows


def test_both_processes_take_the_same_steps(walked):
    files, rows = walked
    for name in ("gradients", "values", "labels", "drawn"):
        assert np.array_equal(files["0of2"][name], files["1of2"][name])
    assert rows["0of2"] == rows["1of2"]


def test_two_processes_do_what_one_does(walked):
    files, rows = walked
    one, two = files["0of1"], files["0of2"]
    for name in ("steps", "drawn", "labels"):
        assert np.array_equal(one[name], two[name])
    assert np.allclose(one["gradients"][0], two["gradients"][0], atol=1e-6)
    assert np.allclose(one["values"], two["values"], atol=5e-4)
    assert rows["0of1"].keys() == rows["0of2"].keys()
    apart = {k for k, v in rows["0of1"].items() if v != pytest.approx(rows["0of2"][k], rel=2e-2, abs=2e-3)}
    assert apart == set()


def test_norms_are_of_the_sum_and_clipping_comes_after_it(walked):
    files, rows = walked
    for name in ("0of1", "0of2"):
        norms = np.linalg.norm(files[name]["gradients"], axis=1)
        assert rows[name]["grad/total_norm"] > 2 * CLIP, "or nothing would have been clipped"
        assert norms == pytest.approx(np.full(STEPS, CLIP), rel=1e-3), "clipped per process, two would sum to more"
        assert rows[name]["origin/grad/total_norm"] == pytest.approx(CLIP, rel=1e-3)


def same(one, two):
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    return torch.equal(one, two) if isinstance(one, torch.Tensor) else one == two


def test_a_run_of_two_processes_goes_on_from_what_the_first_alone_was_asked_for(tiny, context_of, tmp_path):
    config = tiny(arch={"encoder_type": "recurrent", "halt_exploration_prob": 0.5})
    context = context_of(config)
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    for folder, state in ((whole, None), (halves, "step10.pt")):
        folder.mkdir()
        before = None if state is None else torch.load(whole / state)
        work = (folder, followed, (config, replace(context, state=before)))
        mp.start_processes(member, work, nprocs=2, start_method="fork")
    carry = torch.load(whole / "step10.pt")["carry"]
    assert len(carry["steps"]) == 4 and carry["drawn"].min() > 0, "the slots of both processes"
    assert carry["encoder_state"].flatten(1).any(1).any()
    assert same(torch.load(whole / "step20.pt"), torch.load(halves / "step20.pt"))
    first, again = (json.loads((folder / "0.json").read_text()) for folder in (whole, halves))
    assert [row for row in first if row[0] > 10] == again
    assert first == json.loads((whole / "1.json").read_text())


def test_alone_everything_is_the_identity():
    x = torch.arange(4.0)
    ranks.average_gradients(x)
    assert x.tolist() == [0, 1, 2, 3]
    assert ranks.sum_over_ranks(x) is x and ranks.gather_rows(x) is x
    assert ranks.gather_lists([1, 2]) == [1, 2]
    assert ranks.asked_of_all(x.sum)() == 6
    ranks.answer(x.sum)
    assert (ranks.rank(), ranks.world(), list(ranks.shard(3))) == (0, 1, [0, 1, 2])
    with ranks.joined("cpu"):
        assert not dist.is_initialized()


def test_a_batch_that_cannot_be_dealt_out_is_refused(monkeypatch):
    monkeypatch.setattr(ranks, "world", lambda: 3)
    with pytest.raises(UsageError, match="dealt out to 3"):
        ranks.shard(4)
