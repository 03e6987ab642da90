"""The comparison's study files: one budget for all arms, seeds, a fair tuning stage, panels that exist."""

from __future__ import annotations

from typing import Any

import pytest

from quadrat.study.load import load_study
from quadrat.tensor.probes import parameter_count
from quadrat_studies.fluxem.config import Config
from quadrat_studies.fluxem.model import Decoder

FILES = ["arms_tuning", "arms_small", "sample_efficiency", "ladders", "tool"]
WITH_A_VOCABULARY = {"chunks"}
"""Arms whose tokens are many by nature; their decoder's blocks are everyone's."""


def configs(name: str) -> list[tuple[str, Config]]:
    return [(str(run.point.arm), Config.model_validate(run.config)) for run in load_study(f"fluxem/{name}").runs]


@pytest.mark.parametrize("name", FILES)
def test_arms_differ_in_representation_readout_and_rate_alone(name):
    free = {"representation", "readout", "answer_order", "number_features"}
    found = {
        (
            frozenset((k, str(v)) for k, v in config.model.model_dump().items() if k not in free),
            config.training.model_dump_json(exclude={"learning_rate"}),
            config.data.model_dump_json(exclude={"train_size"}),
        )
        for _, config in configs(name)
    }
    assert len(found) == 1


@pytest.mark.parametrize("name", ["arms_small", "sample_efficiency"])
def test_parameters_are_equal_within_five_percent_but_for_vocabularies(name):
    sizes = {arm: parameter_count(Decoder(config.model)) for arm, config in dict(configs(name)).items()}
    plain = [size for arm, size in sizes.items() if arm not in WITH_A_VOCABULARY]
    blocks = {parameter_count(Decoder(config.model).blocks) for _, config in dict(configs(name)).items()}
    assert len(blocks) == 1
    mean = sum(plain) / len(plain)
    assert all(abs(size - mean) <= 0.05 * mean for size in plain)


def test_tuning_offers_every_arm_the_same_rates_on_a_seed_of_its_own():
    tuning = load_study("fluxem/arms_tuning")
    offered: dict[Any, set[float]] = {}
    for run in tuning.runs:
        offered.setdefault(run.point.arm, set()).add(Config.model_validate(run.config).training.learning_rate)
    compared = load_study("fluxem/arms_small")
    assert set(map(frozenset, offered.values())) == {frozenset({3e-4, 1e-3, 3e-3})}
    assert set(offered) == {run.point.arm for run in compared.runs}
    assert not {run.seed for run in tuning.runs} & {run.seed for run in compared.runs}
    chosen = {Config.model_validate(run.config).training.learning_rate for run in compared.runs}
    assert chosen <= {3e-4, 1e-3, 3e-3}
    assert len({run.seed for run in compared.runs}) >= 5


def test_the_sample_ladder_has_the_declared_sizes_and_one_number_of_steps():
    found = [config for _, config in configs("sample_efficiency")]
    assert sorted({config.data.train_size for config in found}) == [100, 300, 1000, 3000, 10_000, 30_000]
    assert {config.training.steps for config in found} == {2500}


@pytest.mark.parametrize("name", FILES)
def test_every_panel_shows_metrics_that_some_arm_measures(name, run_arm):
    found = dict(configs(name))
    config = found.get("residues") or next(iter(found.values()))
    tree = config.model_dump()
    shrink = {
        "data": {"train_size": 96, "validation_size": 16, "test_size": 40},
        "model": {"hidden_dim": 16, "num_layers": 1, "num_heads": 2},
        "training": {"steps": 2, "batch_size": 32},
        "ladders": {"magnitude_digits": 0, "operands": 0, "carries": 0},
    }
    small = Config.model_validate({section: {**tree[section], **values} for section, values in shrink.items()})
    measured = {metric for _, values in run_arm(small).metrics for metric in values}
    study = load_study(f"fluxem/{name}").file
    shown = {metric for panel in study.panels for metric in panel.metrics} | set(study.primary)
    assert shown <= measured
