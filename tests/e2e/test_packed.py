"""Packed runs: one journal each, the same bytes as alone, one sick member hurts no other."""

from __future__ import annotations

import json
import signal

import pytest

RUNS = [f"R{rate}_S{seed}" for rate in ("0.1", "0.5") for seed in (0, 1, 2)]
SAME = ("metrics.ndjson", "metrics.json", "artifacts/predictions.jsonl", "config.yaml")


@pytest.fixture(scope="module")
def alone(tmp_path_factory, make_lab):
    """Every run by itself."""
    lab = make_lab(tmp_path_factory.mktemp("alone"))
    lab.quadrat("run", "toy.yaml")
    return lab


def _bytes(lab):
    return {f"{run}/{name}": (lab.run_folder(run) / name).read_bytes() for run in RUNS for name in SAME}


def _jobs(lab):
    return {path.parent.name for path in (lab.root / "results/toy/.jobs").glob("*/job.json")}


@pytest.mark.parametrize("pack", ["auto", "{max: 2}", "{max: 6}"])
def test_packed_and_alone_give_the_same_bytes(lab, alone, pack):
    lab.write(more=f"pack: {pack}")
    lab.quadrat("run", "toy.yaml")
    assert _bytes(lab) == _bytes(alone)
    wanted = {"auto": 2, "{max: 2}": 3, "{max: 6}": 2}[pack]
    assert len(_jobs(lab)) == wanted
    assert "nothing differs" in lab.quadrat("verify").stderr


def test_a_member_that_a_rule_stops_or_that_crashes_ends_alone(lab, alone):
    rule = "{id: nan, metric: train/loss, fail: nonfinite, action: stop}"
    lab.write(more=f"pack: {{max: 8}}\nrules: [{rule}]\narms: {{sick: {{nan_at: 4}}}}")
    lab.quadrat("run", "toy.yaml", "workers=1", code=4)
    assert _bytes(lab) == _bytes(alone)
    sick = json.loads(next((lab.root / "results/toy").glob("sick*0/verdict.json")).read_text())
    assert (sick["status"], sick["step"]) == ("stopped", 4)


def test_a_pack_that_does_not_fit_into_memory_is_split(lab, alone):
    lab.write(more="pack: {max: 6}")
    said = lab.quadrat("run", "toy.yaml", "memory_for=2", "workers=1")
    assert "did not fit into memory" in said.stderr
    assert {f: b for f, b in _bytes(lab).items() if "config" not in f} == {
        f: b for f, b in _bytes(alone).items() if "config" not in f
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_pack_goes_on_to_the_same_bytes(lab, alone, eventually, number):
    lab.write(more="pack: {max: 6}")
    words = ("run", "toy.yaml", "seconds_per_step=0.01", "workers=1")
    process = lab.start(*words)
    metrics = lab.run_folder("R0.5_S2") / "metrics.ndjson"
    eventually(lambda: metrics.exists() and metrics.read_bytes().count(b"\n") >= 9)
    process.send_signal(number)
    process.communicate(timeout=60)
    eventually(lambda: "running" not in lab.quadrat("ls", "toy").stdout)
    lab.quadrat(*words)
    rows = [json.loads(line) for line in (lab.run_folder("R0.5_S2") / "params.ndjson").read_text().splitlines()]
    assert rows[-1]["resumed_from"]
    for run in RUNS:
        for name in SAME[:3]:
            assert (lab.run_folder(run) / name).read_bytes() == (alone.run_folder(run) / name).read_bytes(), run


def test_the_plan_says_what_is_packed(lab):
    lab.write(more="pack: {max: 3}")
    said = lab.quadrat("plan", "toy.yaml").stdout
    assert "2 jobs" in said
    assert "6 runs packed" in said
    assert len(lab.quadrat("plan", "toy.yaml", "--commands").stdout.splitlines()) == 2
