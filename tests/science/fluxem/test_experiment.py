"""The experiment as the instrument sees it: events, resuming, determinism, evaluating again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

import pytest

from quadrat import Artifact, Context, Metrics, Note, UsageError
from quadrat.tensor import seeding
from quadrat.testing.trainables import TrainableCase
from quadrat_studies.fluxem.answer import answer, load_model_state
from quadrat_studies.fluxem.config import Config
from quadrat_studies.fluxem.data import TEST_SPLITS, read_split
from quadrat_studies.fluxem.experiment import evaluate, train
from quadrat_studies.fluxem.metrics import score
from quadrat_studies.fluxem.training import epoch_order

TINY = {
    "data": {"train_size": 60, "validation_size": 10, "test_size": 12},
    "model": {"hidden_dim": 16, "num_layers": 2, "num_heads": 2, "dropout": 0.2},
    "training": {"epochs": 3, "batch_size": 16, "log_every": 3},
}
ARMS = {
    "token_only": {},
    "hybrid": {"representation": "hybrid"},
    "hybrid_number_head": {"representation": "hybrid", "readout": "number_head"},
    "characters_number_head": {"readout": "number_head"},
}


def tiny(arm: str) -> Config:
    return Config.model_validate({**TINY, "model": {**TINY["model"], **ARMS[arm]}})


class TestTokenOnly(TrainableCase):
    trainable = "quadrat_studies.fluxem.experiment:train"
    config: ClassVar[Mapping[str, Any]] = TINY
    resume_at = 5


class TestHybridNumberHead(TrainableCase):
    trainable = "quadrat_studies.fluxem.experiment:train"
    config: ClassVar[Mapping[str, Any]] = {**TINY, "model": {**TINY["model"], **ARMS["hybrid_number_head"]}}
    resume_at = 8


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("cut", [1, 4, 7, 12])
def test_resumed_at_any_step_is_the_same_to_the_last_byte(run_arm, arm, cut):
    whole = run_arm(tiny(arm), seed=5)
    assert whole.checkpoints == 12, "an offer at the end of every optimiser step"
    before = run_arm(tiny(arm), seed=5, save_at=cut)
    after = run_arm(tiny(arm), seed=5, resume=before.weights.parent / "saved")
    assert repr(before.metrics + after.metrics) == repr(whole.metrics)
    assert after.weights.read_bytes() == whole.weights.read_bytes()
    assert after.artifacts == whole.artifacts


@pytest.mark.parametrize("arm", ARMS)
def test_the_weights_file_is_the_seeds_alone(run_arm, arm):
    first, again, other = (run_arm(tiny(arm), seed=seed).weights.read_bytes() for seed in (0, 0, 1))
    assert first == again != other


def test_every_score_is_a_function_of_the_stored_predictions(run_arm):
    run = run_arm(tiny("token_only"))
    predictions = {f"predictions/{split}.jsonl" for split in TEST_SPLITS}
    assert set(run.artifacts) == predictions | {
        "evaluation_results.json", "tables/errors.jsonl", "figures/errors.svg",
    }  # fmt: skip
    for split in TEST_SPLITS:
        stored = json.loads(json.dumps(run.artifacts[f"predictions/{split}.jsonl"]))
        assert len(stored) == 12
        for name, value in score(stored, split).items():
            assert run.last(name) == value


def test_a_program_is_run_and_its_answer_scored(run_arm):
    run = run_arm(Config.model_validate({**TINY, "model": {**TINY["model"], "readout": "program"}}))
    given = [row["prediction"] for row in run.artifacts["predictions/test_id.jsonl"]]
    assert len(given) == 12 and all(text.startswith("?") or int(text) is not None for text in given)
    assert list(run.artifacts["evaluation_results.json"]) == ["token_only_program"]


def test_a_run_draws_its_ladders_and_its_errors(run_arm):
    ladders = {"magnitude_digits": 3, "operands": 3, "carries": 2, "cell_size": 2}
    run = run_arm(Config.model_validate({**TINY, "ladders": ladders}))
    for name in ("ladders", "errors"):
        picture = ElementTree.fromstring(run.artifacts[f"figures/{name}.svg"])
        shown = {part.text for part in picture.iter("{http://www.w3.org/2000/svg}text")}
        assert any((text or "").startswith("token_only") for text in shown)
    rows = run.artifacts["tables/errors.jsonl"]
    assert {f"{row['of_this_kind']} of 12" for row in rows} <= shown
    assert len({name for name in run.artifacts if name.startswith("tables/")}) == 4


def test_stored_predictions_are_what_the_weights_file_answers(trained):
    for run in trained.values():
        rows = read_split(run.data, "test_id")
        stored = [row["prediction"] for row in run.artifacts["predictions/test_id.jsonl"]]
        assert answer(run.weights, [row["text"] for row in rows]) == stored


def test_evaluating_again_gives_the_same_and_another_split_other_scores(trained, tmp_path):
    run = trained["token_only"]
    state = {**load_model_state(run.weights), "step": 760}
    context = Context(seed=0, device="cpu", data=run.data, scratch=tmp_path, state=state)
    again = {k: v for e in evaluate(run.config, context) if isinstance(e, Metrics) for k, v in e.values.items()}
    assert all(run.last(name) == value for name, value in again.items())
    assert "test_id/exact_match" in again
    with pytest.raises(UsageError, match="trained model"):
        next(evaluate(run.config, Context(seed=0, device="cpu", data=run.data, scratch=tmp_path)))


def test_the_derived_parameters_come_first(run_arm, tmp_path):
    config = tiny("hybrid")
    run = run_arm(config)
    event = next(train(config, Context(seed=0, device="cpu", data=run.data, scratch=tmp_path)))
    assert isinstance(event, Note) and event.kind == "derived"
    assert event.data["steps_per_epoch"] == 4
    assert event.data["total_steps"] == 12 == run.metrics[-1][0]


def test_training_needs_data(tmp_path):
    with pytest.raises(UsageError, match="data folder"):
        next(train(tiny("hybrid"), Context(seed=0, device="cpu", data=None, scratch=tmp_path)))


def test_rows_are_as_frequent_as_asked_and_losses_are_means_of_their_steps(run_arm):
    every = run_arm(Config.model_validate({**TINY, "training": {**TINY["training"], "log_every": 1}}))
    third = run_arm(tiny("token_only"))
    fifth = run_arm(Config.model_validate({**TINY, "training": {**TINY["training"], "log_every": 5}}))

    def losses(run):
        return {step: values["train/loss"] for step, values in run.metrics if "train/loss" in values}

    single = losses(every)
    assert list(single) == list(range(1, 13))
    assert list(losses(third)) == [3, 6, 9, 12]
    assert losses(third)[6] == pytest.approx(sum(single[step] for step in (4, 5, 6)) / 3)
    # The last row covers what is left: steps 11 and 12.
    assert losses(fifth)[12] == pytest.approx((single[11] + single[12]) / 2)


def test_the_order_of_an_epoch_needs_no_history():
    orders = [epoch_order(100, seed=seed, epoch=epoch).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert all(sorted(order) == list(range(100)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    seeding.apply(3)
    assert epoch_order(100, seed=0, epoch=1).tolist() == orders[1]


def test_the_oracle_and_the_trivial_answers_stand_apart(run_arm):
    run = run_arm(tiny("token_only"))
    names = {name for _, values in run.metrics for name in values}
    assert run.last("oracle/test_id/exact_match") == 1.0
    assert {name.split("/")[0] for name in names} == {
        "train", "grad", "validation", *TEST_SPLITS, "oracle", "trivial",
    }  # fmt: skip


def test_a_broken_file_is_a_users_error(tmp_path: Path, trained):
    from safetensors.torch import save_file

    with pytest.raises(UsageError, match="no trained model"):
        answer(tmp_path / "model.safetensors", ["1 + 1"])
    foreign = tmp_path / "foreign.safetensors"
    save_file({}, foreign)
    with pytest.raises(UsageError, match="no fluxem model"):
        answer(foreign, ["1 + 1"])
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(trained["token_only"].weights.read_bytes()[:-100])
    with pytest.raises(UsageError, match="damaged"):
        answer(torn, ["1 + 1"])


def test_artifacts_are_json_with_text_answers(run_arm):
    events = []
    run = run_arm(tiny("hybrid"))
    for name, rows in run.artifacts.items():
        if name.startswith("predictions/"):
            events += rows
    assert all(isinstance(row["prediction"], str) and isinstance(row["target"], str) for row in events)
    assert not any(isinstance(event, Artifact) for event in events)
