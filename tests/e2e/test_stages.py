"""Stages are read, kept and shown; what needs a gate waits."""

from __future__ import annotations

import json

STAGES = """
stages:
  - {name: overfit, config: {noise: 0.0}, gate: {metric: test/gap, pass: "< 1.0"}}
  - {name: generalize, needs: overfit, gate: {metric: test/gap, pass: "< 0.5"}}
"""


def test_only_the_first_stage_runs_and_the_rest_is_kept(lab):
    lab.write(more=STAGES)
    said = lab.quadrat("run", "toy.yaml", "seeds=[0]")
    assert "generalize" in said.stderr
    listing = json.loads(lab.quadrat("ls", "toy", "--json").stdout)
    assert {(run["stage"], run["status"]) for run in listing["runs"]} == {
        ("overfit", "completed"),
        ("generalize", "pending"),
    }
    assert (lab.root / "results/toy/overfit/R0.1_S0/verdict.json").exists()
    lock = json.loads((lab.root / "results/toy/study.lock.json").read_text())
    assert [stage["name"] for stage in lock["stages"]] == ["overfit", "generalize"]
    assert lock["stages"][1]["needs"] == ["overfit"]
    assert "nothing to do" in lab.quadrat("run", "toy.yaml", "seeds=[0]").stderr
    page = lab.root / lab.quadrat("report", "toy").stdout.strip()
    assert "generalize" in page.read_text(encoding="utf-8")
