"""Two processes over gloo do what one does on the joined batch: one sum of gradients, then clipping."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from quadrat import UsageError
from quadrat_studies.etrm import ranks
from quadrat_studies.etrm.examining import Examination
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


def member(number, config, context, tasks, folder):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=number, world_size=2, timeout=timedelta(seconds=120)
    )
    walk(config, context, tasks, folder)
    dist.destroy_process_group()


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
    mp.start_processes(member, (config, context, tasks, folder), nprocs=2, start_method="fork")
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


def test_alone_everything_is_the_identity():
    x = torch.arange(4.0)
    ranks.average_gradients(x)
    assert x.tolist() == [0, 1, 2, 3]
    assert ranks.sum_over_ranks(x) is x and ranks.gather_rows(x) is x
    assert ranks.gather_lists([1, 2]) == [1, 2]
    assert (ranks.rank(), ranks.world(), list(ranks.shard(3))) == (0, 1, [0, 1, 2])
    with ranks.joined("cpu"):
        assert not dist.is_initialized()


def test_a_batch_that_cannot_be_dealt_out_is_refused(monkeypatch):
    monkeypatch.setattr(ranks, "world", lambda: 3)
    with pytest.raises(UsageError, match="dealt out to 3"):
        ranks.shard(4)
