"""The study files: what they declare, and that the small one runs."""

from __future__ import annotations

from collections import defaultdict
from importlib.resources import files

import pytest

from quadrat import Checkpoint, Context, Metrics
from quadrat.study.load import load_study
from quadrat_studies.symmetry.config import Config
from quadrat_studies.symmetry.experiment import build_data, pack_key, train_pack

HOME = files("quadrat_studies.symmetry")


def study(name):
    return load_study(HOME / f"{name}.yaml")


def configs(name):
    return [Config.model_validate(dict(run.config)) for run in study(name).runs]


@pytest.mark.parametrize(
    ("name", "runs", "first", "last"),
    [
        ("phase_diagram", 90, "L2_G0.5_S42", "L6_G1.0_S456"),
        ("phase_diagram_cpu", 90, "L2_G0.5_S42", "L6_G1.0_S456"),
        ("paper", 216, "L2_G0.1_S42", "L7_G2.0_S456"),
        ("ablations", 21, "standard_S42", "transformer_S456"),
        ("inverse_task", 12, "mamba_S42", "mamba_gate_S456"),
        ("fully_symmetric", 9, "L2_S42", "L4_S456"),
        ("open_readings", 48, "Ptrue_gamma_fan_in_vocabulary_G0.5_S1", "Pfalse_default_uniform_width_G1.0_S2"),
        ("open_readings_duel", 24, "vocabulary_G0.5_S3", "width_G1.0_S8"),
    ],
)
def test_declared_runs(name, runs, first, last):
    declared = study(name).runs
    assert len(declared) == runs
    assert (declared[0].name, declared[-1].name) == (first, last)


def test_the_seeds_sweep_is_the_seeds():
    for about in configs("phase_diagram"):
        assert (about.epochs, about.learning_rate, about.batch_size, about.schedule) == (210, 1e-3, 32, "constant")
        assert (about.data.train_rows, about.eval_every, about.model_type) == (10_000, 10, "mamba_standard")


def test_the_published_sweep_is_the_papers():
    for about in configs("paper"):
        assert (about.epochs, about.learning_rate, about.batch_size, about.steps_in_epoch) == (210, 2.5e-4, 2048, 123)


@pytest.mark.parametrize("name", ["phase_diagram", "phase_diagram_cpu", "paper"])
def test_a_sweep_packs_by_depth(name):
    keys = defaultdict(set)
    for about in configs(name):
        keys[pack_key(about)].add(about.n_layers)
    assert all(len(depths) == 1 for depths in keys.values())
    assert len(keys) == len({about.n_layers for about in configs(name)})


def test_every_ablation_has_a_standard_model_of_its_own_depth_and_gamma():
    by_arm = {run.point.arm: Config.model_validate(dict(run.config)) for run in study("ablations").runs}
    standards = {(c.n_layers, c.gamma) for c in by_arm.values() if c.model_type == "mamba_standard"}
    assert all((c.n_layers, c.gamma) in standards for c in by_arm.values())


def test_smoke_runs_to_the_end_in_packs(tmp_path):
    packs = defaultdict(list)
    for run in study("smoke").runs:
        about = Config.model_validate(dict(run.config))
        packs[pack_key(about)].append((about, run.seed))
    assert len(packs) == 10
    for key, members in packs.items():
        folder = tmp_path / str(abs(hash(key)))
        folder.mkdir()
        build_data(members[0][0], folder)
        contexts = [Context(seed=seed, device="cpu", data=folder, scratch=folder) for _, seed in members]
        rows = list(train_pack([about for about, _ in members], contexts))
        for place in range(len(members)):
            events = [row[place] for row in rows if row[place] is not None]
            assert max(event.step for event in events if isinstance(event, Checkpoint)) == 40
            losses = [e.values["train/loss"] for e in events if isinstance(e, Metrics) and "train/loss" in e.values]
            assert len(losses) == 10
            assert losses[-1] < losses[0]
