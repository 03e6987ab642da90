"""The study files: what they declare, and that every config in them is valid."""

from __future__ import annotations

from importlib.resources import files

import pytest

from quadrat.study.load import load_study
from quadrat_studies.bilevel.config import Config

HOME = files("quadrat_studies.bilevel")


@pytest.mark.parametrize(("name", "runs", "first", "last"), [
    ("smoke", 3, "envelope_S0", "mix_S0"),
    ("small_cpu", 3, "S0", "S2"),
    ("ste_ablation", 24, "no_physics_S0", "envelope_skip_rule_S2"),
    ("inner_solver", 24, "R0_K1_S0", "R30_K3_S2"),
    ("real_wave", 15, "ideal_S0", "real_s11_S2"),
    ("full", 3, "S0", "S2"),
])  # fmt: skip
def test_declared_runs(name, runs, first, last):
    declared = load_study(HOME / f"{name}.yaml").runs
    assert len(declared) == runs
    assert (declared[0].name, declared[-1].name) == (first, last)
    circuits = {Config.model_validate(dict(run.config)).data.model_dump_json() for run in declared}
    assert len(circuits) == 1, "all seeds and arms see the same circuits"


def test_the_arms_of_the_ablation_differ_in_one_thing():
    arms = {r.point.arm: Config.model_validate(dict(r.config)) for r in load_study(HOME / "ste_ablation.yaml").runs}
    ways = {(c.ste_phys, c.matrix_mix, c.inner_solver, c.phys_weight > 0) for c in arms.values()}
    assert ways == {(False, False, "lm", False), (False, False, "lm", True), (False, False, "unroll", True),
                    (True, False, "unroll", True), (False, True, "unroll", True)}  # fmt: skip
    assert len({c.data.model_dump_json() for c in arms.values()}) == 1
