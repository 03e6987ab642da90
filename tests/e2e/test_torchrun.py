"""One run trained by two processes under torchrun: the same result as one process on the joined batch."""

from __future__ import annotations

import json

import pytest

JOINT = '''\
"""Linear regression on a global batch that is dealt out over the processes of the run."""

import os

import torch
import torch.distributed as dist
from pydantic import BaseModel, ConfigDict

from quadrat import Artifact, Checkpoint, Metrics, Note


class Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    steps: int = 12
    batch: int = 8
    rate: float = 0.1
    fail_rank: int = -1
    fail_step: int = 5
    seconds: float = 0.0


def train(config: Config, context):
    world = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    if world > 1:
        dist.init_process_group("gloo")
    try:
        yield from steps(config, context, rank=rank, world=world)
    finally:
        if world > 1:
            dist.destroy_process_group()


def steps(config, context, *, rank, world):
    import time

    draw = torch.Generator().manual_seed(context.seed)
    weight = torch.zeros(3, dtype=torch.float64)
    first = 0
    if context.state is not None:
        weight, first = context.state["weight"], context.state["step"]
        draw.set_state(context.state["draw"])
    yield Note("derived", {"total_steps": config.steps})
    mine = slice(rank * config.batch // world, (rank + 1) * config.batch // world)
    for step in range(first + 1, config.steps + 1):
        if rank == config.fail_rank and step == config.fail_step:
            raise RuntimeError("this process was told to fail")
        x = torch.randn(config.batch, 3, generator=draw, dtype=torch.float64)
        y = x @ torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
        error = x[mine] @ weight - y[mine]
        both = torch.cat(((x[mine] * error[:, None]).sum(0), error.square().sum()[None])) / config.batch
        if world > 1:
            dist.all_reduce(both)
        weight = weight - config.rate * both[:3]
        yield Metrics(step, {"train/loss": both[3].item(), "grad/total_norm": both[:3].norm().item()})
        yield Checkpoint(step, lambda: {"weight": weight, "step": step, "draw": draw.get_state()}, epoch=step)
        time.sleep(config.seconds)
    yield Artifact("weight.json", [{"weight": weight.tolist(), "world": world}])
'''

STUDY = """\
study: joint
question: Do two processes do what one does?
trainable: joint:train
config: {{steps: 12{config}}}
seeds: [0]
resources: {{processes: {processes}, threads: 1}}
checkpoint: {{every: 3 steps, keep: [last]}}
{more}
"""


@pytest.fixture
def together(lab):
    (lab.root / "joint.py").write_text(JOINT, encoding="utf-8")

    def run(processes, *, config="", more="", code=0, study="joint"):
        text = STUDY.format(processes=processes, config=config, more=more).replace("study: joint", f"study: {study}")
        (lab.root / f"{study}.yaml").write_text(text, encoding="utf-8")
        said = lab.quadrat("run", f"{study}.yaml", code=code, timeout=600)
        return lab.root / f"results/{study}/S0", said

    return run


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.ndjson").read_text(encoding="utf-8").splitlines()]


def weight(folder):
    (row,) = [json.loads(line) for line in (folder / "artifacts/weight.json").read_text(encoding="utf-8").splitlines()]
    return row


@pytest.mark.timeout(900)
def test_two_processes_do_what_one_does_on_the_joined_batch(together):
    alone, _ = together(1, study="alone")
    joint, _ = together(2)
    assert (weight(alone)["world"], weight(joint)["world"]) == (1, 2)
    assert weight(joint)["weight"] == pytest.approx(weight(alone)["weight"], rel=1e-12)
    one, two = rows(alone), rows(joint)
    assert [row["step"] for row in two] == [row["step"] for row in one] == list(range(1, 13))
    for left, right in zip(one, two, strict=True):
        assert right["metrics"] == pytest.approx(left["metrics"], rel=1e-12)
    assert len((joint / "params.ndjson").read_text(encoding="utf-8").splitlines()) == 1


@pytest.mark.timeout(900)
def test_a_rule_that_stops_the_run_ends_every_process(together):
    rule = 'rules: [{id: low, metric: train/loss, fail: ">= 0", from_step: 4, action: stop}]'
    joint, _ = together(2, more=rule, code=4)
    assert json.loads((joint / "verdict.json").read_text(encoding="utf-8"))["status"] == "stopped"
    assert rows(joint)[-1]["step"] == 4


@pytest.mark.timeout(900)
def test_the_failure_of_another_process_is_the_failure_of_the_run(together):
    joint, said = together(2, config=", fail_rank: 1", code=1)
    error = json.loads((joint / "verdict.json").read_text(encoding="utf-8"))["error"]
    assert error["message"] == "rank 1: this process was told to fail"
    assert "told to fail" in said.stderr
    # What was saved before is taken up by all of them, and comes out as if nothing had happened.
    text = (joint.parents[2] / "joint.yaml").read_text(encoding="utf-8")
    assert "fail_rank" in text


@pytest.mark.timeout(900)
def test_an_interrupted_run_goes_on_with_all_its_processes(together, lab, eventually):
    whole, _ = together(1, config=", seconds: 0.01", study="whole")
    text = STUDY.format(processes=2, config=", seconds: 0.15", more="")
    (lab.root / "joint.yaml").write_text(text, encoding="utf-8")
    process = lab.start("run", "joint.yaml")
    joint = lab.run_folder("S0", study="joint")
    eventually(lambda: any((joint / "checkpoints").glob("step-*")))
    process.terminate()
    process.communicate(timeout=300)
    assert process.returncode == 143
    assert rows(joint)[-1]["step"] < 12
    lab.quadrat("run", "joint.yaml", timeout=600)
    assert weight(joint)["weight"] == pytest.approx(weight(whole)["weight"], rel=1e-12)
    assert [row["step"] for row in rows(joint)] == list(range(1, 13))


def test_only_the_pool_gives_a_run_several_processes(together, lab):
    assert "cannot give a run several processes" in together(2, more="launcher: inline", code=2)[1].stderr
