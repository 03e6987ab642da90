"""Units through the same trainable: events, resuming, scores from stored predictions, each beside its trivial one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar
from xml.etree import ElementTree

import pytest

from quadrat import Context, Metrics
from quadrat.testing.trainables import TrainableCase
from quadrat_studies.fluxem.answer import answer, load_model_state
from quadrat_studies.fluxem.config import Config
from quadrat_studies.fluxem.data import read_split
from quadrat_studies.fluxem.experiment import evaluate
from quadrat_studies.fluxem.metrics import score
from quadrat_studies.fluxem.units_data import TEST_SPLITS

TINY: dict[str, dict[str, Any]] = {
    "data": {"domain": "units", "train_size": 60, "validation_size": 8, "test_size": 24},
    "model": {
        "alphabet": "units", "hidden_dim": 16, "num_layers": 1, "num_heads": 2, "dropout": 0.2, "answer_order": "plain",
        "max_seq_len": 128,
    },
    "training": {"epochs": 2, "batch_size": 16, "log_every": 3, "validate_every": 2},
}  # fmt: skip
HYBRID = {"representation": "hybrid", "number_features": ["quantity", "phases"]}
ARMS: dict[str, dict[str, Any]] = {"token_only": {}, "hybrid": HYBRID}
SCORES = ("exact_match", "value_within_one_percent", "unit_correct", "dimension_correct", "boolean_accuracy")


def tree(arm: str) -> dict[str, Any]:
    return {**TINY, "model": {**TINY["model"], **ARMS[arm]}}


class TestTokenOnly(TrainableCase):
    trainable = "quadrat_studies.fluxem.experiment:train"
    config: ClassVar[Mapping[str, Any]] = tree("token_only")
    resume_at = 3


class TestHybrid(TrainableCase):
    trainable = "quadrat_studies.fluxem.experiment:train"
    config: ClassVar[Mapping[str, Any]] = tree("hybrid")
    resume_at = 6


@pytest.fixture(scope="module")
def runs(run_arm):
    return {arm: run_arm(Config.model_validate(tree(arm))) for arm in ARMS}


@pytest.mark.parametrize("arm", ARMS)
def test_every_score_is_a_function_of_the_stored_predictions(runs, arm):
    for split in TEST_SPLITS:
        stored = json.loads(json.dumps(runs[arm].artifacts[f"predictions/{split}.jsonl"]))
        assert len(stored) == 24
        for name, value in score(stored, split).items():
            assert runs[arm].last(name) == value


def test_a_run_draws_its_errors_and_no_ladder(runs):
    run = runs["hybrid"]
    assert [name for name in run.artifacts if name.startswith("figures/")] == ["figures/errors.svg"]
    shown = {part.text for part in ElementTree.fromstring(run.artifacts["figures/errors.svg"]).iter() if part.text}
    rows = run.artifacts["tables/errors.jsonl"]
    assert rows and {row["kind"] for row in rows} <= shown and {row["target"] for row in rows} <= shown


@pytest.mark.parametrize("arm", ARMS)
def test_every_score_stands_beside_its_trivial_one_and_the_oracle_apart(runs, arm):
    names = {name for _, values in runs[arm].metrics for name in values}
    for split in TEST_SPLITS:
        for measured in SCORES:
            assert f"{split}/{measured}" in names
            for way in ("majority", "copy_input", "mean"):
                assert 0 <= runs[arm].last(f"trivial/{split}/{way}_{measured}") <= 1
        assert f"{split}/value_error_median" in names
        assert runs[arm].last(f"trivial/{split}/copy_input_value_error_median") > 0
        assert runs[arm].last(f"oracle/{split}/exact_match") > 0.9
        assert runs[arm].last(f"{split}/exact_match") < 0.5, "nothing is learned in eight steps"
    for novelty in ("pair", "compound", "symbol"):
        assert f"test_ood_types/boolean_accuracy_{novelty}" in names


@pytest.mark.parametrize("arm", ARMS)
def test_stored_predictions_are_what_the_weights_file_answers(runs, arm):
    for split in TEST_SPLITS:
        texts = [row["text"] for row in read_split(runs[arm].data, split)]
        stored = [row["prediction"] for row in runs[arm].artifacts[f"predictions/{split}.jsonl"]]
        assert answer(runs[arm].weights, texts) == stored


@pytest.mark.parametrize("arm", ARMS)
def test_evaluating_again_gives_the_same(runs, arm, tmp_path):
    run = runs[arm]
    state = {**load_model_state(run.weights), "step": 8}
    context = Context(seed=0, device="cpu", data=run.data, scratch=tmp_path, state=state)
    again = {k: v for e in evaluate(run.config, context) if isinstance(e, Metrics) for k, v in e.values.items()}
    assert "test_ood_types/exact_match" in again
    assert all(run.last(name) == value for name, value in again.items())


def test_a_bf16_run_and_an_arm_without_can_add_work(run_arm):
    config = tree("hybrid")
    config = {
        **config,
        "data": {**config["data"], "include_can_add": False},
        "training": {**config["training"], "epochs": 1, "precision": "bfloat16"},
    }
    run = run_arm(Config.model_validate(config))
    names = {name for _, values in run.metrics for name in values}
    assert not any("boolean" in name for name in names)
    assert "test_id/unit_correct" in names
