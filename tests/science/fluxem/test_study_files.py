"""The study files: the seed's own values, fair arms, and panels that show what is measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from quadrat.study.load import load_study
from quadrat.tensor.probes import parameter_count
from quadrat_studies.fluxem.config import Config
from quadrat_studies.fluxem.data import draw_splits
from quadrat_studies.fluxem.model import Decoder

STUDIES = ["smoke", "arithmetic_small", "arithmetic_learned", "arithmetic_full"]
SEED = {  # seed 004, configuration reference; the full one from its data section
    "arithmetic_small": {
        "data": {
            "train_size": 1000, "test_size": 200, "id_range": (0, 99), "ood_magnitude_range": (10_000, 99_999),
            "ood_max_ops": 5, "operations": ("+", "-", "*"),
        },
        "model": {"hidden_dim": 128, "num_layers": 2, "num_heads": 4, "dropout": 0.1},
        "training": {"epochs": 20, "batch_size": 32, "learning_rate": 0.001},
    },
    "arithmetic_full": {
        "data": {
            "train_size": 10_000, "test_size": 1000, "id_range": (0, 999),
            "ood_magnitude_range": (1_000_000, 999_999_999), "ood_max_ops": 7, "operations": ("+", "-", "*", "/"),
        },
        "model": {"hidden_dim": 256, "num_layers": 4, "num_heads": 8, "dropout": 0.1},
        "training": {"epochs": 50, "batch_size": 64, "learning_rate": 0.0005},
    },
}  # fmt: skip


def configs(name: str) -> dict[str, Config]:
    """One config of each arm."""
    return {str(run.point.arm): Config.model_validate(run.config) for run in load_study(f"fluxem/{name}").runs}


@pytest.mark.parametrize("name", STUDIES)
def test_it_is_a_study_with_a_question_seeds_and_a_baseline(name):
    study = load_study(f"fluxem/{name}")
    arms = 2 if name == "smoke" else 3
    assert len(study.runs) == arms * (2 if name == "smoke" else 3)
    assert study.file.question and study.file.hypothesis
    assert study.file.baseline == {"arm": "token_only"}
    assert [rule.id for rule in study.file.rules] == ["nonfinite_loss"]


@pytest.mark.parametrize("name", SEED)
def test_the_seeds_keys_hold_the_seeds_values(name):
    for config in configs(name).values():
        for section, values in SEED[name].items():
            held = getattr(config, section).model_dump()
            assert {key: held[key] for key in values} == values


@pytest.mark.parametrize("name", STUDIES)
def test_arms_differ_in_the_model_alone_and_have_one_budget(name):
    found = configs(name)
    assert len({config.data.model_dump_json() for config in found.values()}) == 1
    steps = {(config.training.epochs, config.training.batch_size) for config in found.values()}
    assert len(steps) == 1
    counts = [parameter_count(Decoder(config.model)) for config in found.values()]
    assert max(counts) <= 1.05 * min(counts) or name == "smoke"


@pytest.mark.parametrize("name", STUDIES)
def test_the_asked_number_of_problems_exists(name):
    data = next(iter(configs(name).values())).data
    assert len(draw_splits(data)["train"]) == data.train_size


@pytest.mark.parametrize("name", STUDIES)
def test_every_panel_shows_metrics_that_some_arm_measures(name, run_arm):
    measured: set[str] = set()
    for config in configs(name).values():
        tree: dict[str, Any] = config.model_dump()
        shrink: Mapping[str, Mapping[str, Any]] = {
            "data": {"train_size": 64, "validation_size": 16, "test_size": 40},
            "model": {"hidden_dim": 16, "num_layers": 1, "num_heads": 2},
            "training": {"epochs": 1, "batch_size": 32},
        }
        small = Config.model_validate({section: {**tree[section], **values} for section, values in shrink.items()})
        measured |= {metric for _, values in run_arm(small).metrics for metric in values}
    study = load_study(f"fluxem/{name}").file
    shown = {metric for panel in study.panels for metric in panel.metrics} | set(study.primary)
    assert shown <= measured
