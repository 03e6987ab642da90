"""Tests that a units pipeline which fools itself would fail: scores must come from what was learned."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from quadrat_studies.fluxem.answer import answer, answers_of, decode, load_model_state
from quadrat_studies.fluxem.config import Config
from quadrat_studies.fluxem.data import read_split
from quadrat_studies.fluxem.metrics import prediction_rows, score
from quadrat_studies.fluxem.model import build, restore
from quadrat_studies.fluxem.representations import encode
from quadrat_studies.fluxem.tokens import operand_values
from quadrat_studies.fluxem.training import Samples

SMALL = {
    "data": {
        "domain": "units", "train_size": 1500, "validation_size": 20, "test_size": 120, "significant_digits": 1,
        "unit_types": ["mass", "time"], "heldout_types": ["mass_flow", "area"],
    },
    "model": {
        "alphabet": "units", "hidden_dim": 48, "num_layers": 2, "num_heads": 4, "dropout": 0.0, "answer_order": "plain",
        "max_seq_len": 96,
    },
    "training": {
        "steps": 260, "batch_size": 40, "learning_rate": 5e-3, "warmup_steps": 20, "validate_every": 40,
        "log_every": 100,
    },
}  # fmt: skip
ARMS = {
    "token_only": {},
    "hybrid": {"model": {"representation": "hybrid", "number_features": ["quantity"]}, "training": {"steps": 420}},
}


@pytest.fixture(scope="module")
def trained(run_arm):
    """Masses and times of one digit: which units to write and what can be added is learned in seconds, digits not."""
    return {
        arm: run_arm(Config.model_validate({name: {**keys, **changes.get(name, {})} for name, keys in SMALL.items()}))
        for arm, changes in ARMS.items()
    }


@pytest.fixture(scope="module")
def rows(trained):
    return read_split(trained["token_only"].data, "test_id")


def scores(rows, answers) -> dict[str, float]:
    return score(prediction_rows(rows, answers), "s")


@pytest.mark.parametrize("arm", ARMS)
def test_training_reaches_more_than_any_trivial_answer(trained, arm):
    run = trained[arm]
    for measured in ("exact_match", "boolean_accuracy"):
        best = max(run.last(f"trivial/test_id/{way}_{measured}") for way in ("majority", "copy_input", "mean"))
        assert run.last(f"test_id/{measured}") > best + 0.1
    assert run.last("test_id/boolean_accuracy") > 0.9
    assert run.last("test_id/unit_correct") > 0.9
    assert run.last("test_ood_types/boolean_accuracy_pair") > 0.8, "a pair never seen together, of units that were seen"


@pytest.mark.parametrize("arm", ARMS)
def test_weights_drawn_anew_score_nothing(trained, rows, arm):
    train = read_split(trained[arm].data, "train")
    targets = [row["target_text"] for row in train]
    model = build(trained[arm].config.model, seeds=(0, 1, 2), operands=operand_values(train), answers=targets)
    for answers in answers_of(model, [row["text"] for row in rows]):
        found = scores(rows, answers)
        assert found["s/exact_match"] == found["s/unit_correct"] == found["s/dimension_correct"] == 0.0
        assert found["s/boolean_accuracy"] == 0.0


@pytest.mark.parametrize("arm", ARMS)
def test_a_corrupted_checkpoint_loses_its_score(trained, rows, arm):
    state = load_model_state(trained[arm].weights)
    noise = torch.Generator().manual_seed(0)
    spoilt = {
        name: torch.randn(value.shape, generator=noise) if name.startswith("blocks.") else value
        for name, value in state["model"].items()
    }
    found = scores(rows, answer({**state, "model": spoilt}, [row["text"] for row in rows]))
    assert found["s/exact_match"] < 0.05 and found["s/unit_correct"] < 0.2


def test_permuting_the_codes_changes_nearly_every_conversion(trained, rows):
    model = restore(load_model_state(trained["hybrid"].weights))
    asked = [row["text"] for row in rows if row["task"] == "convert"]
    prompts = encode(asked, model.config)
    assert prompts.features is not None
    before = decode(model, prompts)[0]
    # The same words and units; each question gets the codes of the next one.
    after = decode(model, replace(prompts, features=prompts.features.roll(1, dims=0)))[0]
    assert sum(a == b for a, b in zip(after, before, strict=True)) < 0.1 * len(asked)


def test_gradient_reaches_the_numeric_path_from_the_first_step(trained):
    run = trained["hybrid"]
    train = read_split(run.data, "train")[:64]
    targets = [row["target_text"] for row in train]
    model = build(run.config.model, seeds=(0,), operands=operand_values(train), answers=targets)
    samples = Samples.of(train, run.config, "cpu")
    model.loss(*samples.take(torch.arange(64)[None])).sum().backward()
    named = dict(model.named_parameters())
    path, whole = (
        torch.cat([named[name].grad.flatten() for name in names]).norm() for names in (model.number_path, list(named))
    )
    assert path > 0.01 * whole


def test_coordinates_have_unit_variance_on_the_training_quantities(trained):
    run = trained["hybrid"]
    model = restore(load_model_state(run.weights))
    raw = encode([row["text"] for row in read_split(run.data, "train")], run.config.model).features
    assert raw is not None
    raw = raw.flatten(0, 1)
    seen = model.entry.standardise(raw[None])[0]
    varied = raw.std(0) > 0
    assert varied[[0, 4, 6]].all(), "magnitude, mass and time"
    torch.testing.assert_close(seen[:, varied].mean(0), torch.zeros(int(varied.sum())), atol=1e-3, rtol=0)
    torch.testing.assert_close(seen[:, varied].std(0), torch.ones(int(varied.sum())), atol=1e-3, rtol=0)
    assert (seen[:, ~varied] == 0).all()
