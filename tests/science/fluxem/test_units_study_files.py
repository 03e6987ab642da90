"""The units studies: the seed's own values, fair arms, and panels that show what is measured."""

from __future__ import annotations

from typing import Any

import pytest

from quadrat.study.load import load_study
from quadrat.tensor.probes import parameter_count
from quadrat_studies.fluxem.config import Config
from quadrat_studies.fluxem.model import Decoder
from quadrat_studies.fluxem.tokens import encode_prompts
from quadrat_studies.fluxem.units_data import draw_splits

STUDIES = ["units_smoke", "units_small", "units_full"]
SEED = {  # seed 004, configuration reference
    "data": {
        "train_size": 5000, "test_size": 500, "include_can_add": True,
        "unit_types": ("length", "mass", "time", "temperature", "velocity"),
    },
    "model": {"hidden_dim": 256, "num_layers": 3, "num_heads": 8, "dropout": 0.1},
    "training": {"epochs": 30, "batch_size": 64, "learning_rate": 0.0005},
}  # fmt: skip


def configs(name: str) -> dict[str, Config]:
    """One config of each arm."""
    return {str(run.point.arm): Config.model_validate(run.config) for run in load_study(f"fluxem/{name}").runs}


@pytest.mark.parametrize("name", STUDIES)
def test_it_is_a_study_with_a_question_seeds_and_a_baseline(name):
    study = load_study(f"fluxem/{name}")
    assert len(study.runs) == (4 if name == "units_smoke" else 9)
    assert study.file.question and study.file.hypothesis
    assert study.file.baseline == {"arm": "token_only"}
    assert [rule.id for rule in study.file.rules] == ["nonfinite_loss"]


def test_the_seeds_keys_hold_the_seeds_values():
    for config in configs("units_full").values():
        for section, values in SEED.items():
            held = getattr(config, section).model_dump()
            assert {key: held[key] for key in values} == values


def test_the_small_study_has_every_key_of_the_full_one():
    full, small = (load_study(f"fluxem/{name}").file for name in ("units_full", "units_small"))
    assert full.panels == small.panels and full.primary == small.primary
    assert set(configs("units_full")) == set(configs("units_small"))


@pytest.mark.parametrize("name", STUDIES)
def test_arms_differ_in_the_model_alone_and_have_one_budget(name):
    found = configs(name)
    assert len({config.data.model_dump_json() for config in found.values()}) == 1
    assert len({config.training.model_dump_json() for config in found.values()}) == 1
    counts = [parameter_count(Decoder(config.model)) for config in found.values()]
    assert max(counts) <= 1.05 * min(counts) or name == "units_smoke"


@pytest.mark.parametrize("name", STUDIES)
def test_the_asked_number_of_questions_exists_and_fits_the_position_table(name):
    for config in configs(name).values():
        splits = draw_splits(config.data.model_copy(update={"train_size": 300}))
        questions = [question for found in splits.values() for question in found]
        columns = encode_prompts([question.text() for question in questions], config.model).tokens.shape[1]
        assert columns + max(len(question.answer()) for question in questions) <= config.model.max_seq_len


@pytest.mark.parametrize("name", ["units_smoke", "units_small"])
def test_every_panel_shows_metrics_that_some_arm_measures(name, run_arm):
    measured: set[str] = set()
    for config in configs(name).values():
        tree: dict[str, Any] = config.model_dump(mode="json")
        shrink: dict[str, dict[str, Any]] = {
            "data": {"train_size": 32, "validation_size": 4, "test_size": 24},
            "model": {"hidden_dim": 16, "num_layers": 1, "num_heads": 2},
            "training": {"epochs": 1, "batch_size": 16},
        }
        small = Config.model_validate({section: {**tree[section], **values} for section, values in shrink.items()})
        measured |= {metric for _, values in run_arm(small).metrics for metric in values}
    study = load_study(f"fluxem/{name}").file
    shown = {metric for panel in study.panels for metric in panel.metrics} | set(study.primary)
    assert shown <= measured
