"""The experiment as the instrument sees it: events, resuming to the last byte, evaluating again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from quadrat import Artifact, Checkpoint, Event, Metrics, Note, UsageError
from quadrat.tensor import checkpoint, rng, seeding
from quadrat_studies.etrm.config import Config
from quadrat_studies.etrm.experiment import evaluate, relative_cost, train
from quadrat_studies.etrm.weights_file import read_model

SEED_NAMES = {
    "train/accuracy", "train/exact_accuracy", "train/lm_loss", "train/q_halt_loss", "train/q_halt_accuracy",
    "train/steps", "train/lr", "train/count", "train/decoder_frozen", "train/encoder_cross_sample_var",
    "train/encoder_output_mean",
    "train/encoder_output_norm", "train/encoder_output_std", "train/encoder_token_std", "grad/encoder_norm",
    "grad/inner_norm", "grad/total_norm", "all.accuracy", "all.exact_accuracy", "all.lm_loss", "all.q_halt_accuracy",
    "all.q_halt_loss", "all.steps", "ARC/pass@1", "ARC/pass@2", "ARC/pass@5", "ARC/pass@10", "ARC/pass@100",
    "ARC/pass@1000", "num_params",
}  # fmt: skip
"""The metrics guide of seed 002, but for clocks, which are the instrument's."""


class Run:
    """What a pass over the events left behind."""

    def __init__(self, events: Iterator[Event], folder, *, save_at: int | None = None) -> None:
        self.rows, self.notes, self.artifacts, self.offers = [], {}, {}, []
        self.state = None
        for event in events:
            if isinstance(event, Metrics):
                self.rows.append((event.step, repr(sorted(event.values.items())), dict(event.values)))
            elif isinstance(event, Note):
                self.notes[event.kind] = dict(event.data)
            elif isinstance(event, Artifact):
                self.artifacts[event.name] = event.content
            elif isinstance(event, Checkpoint):
                self.offers.append(event.step)
                if event.step == save_at:
                    folder.mkdir()
                    checkpoint.save(folder, {"state": event.state(), "rng": rng.capture()})
                    break
                if event.step == 20:
                    self.state = checkpoint_copy(event.state())

    @property
    def measured(self):
        return [(step, text) for step, text, _ in self.rows]

    def last(self, name):
        return [values[name] for _, _, values in self.rows if name in values][-1]


def checkpoint_copy(tree):
    if isinstance(tree, torch.Tensor):
        return tree.clone()
    return {key: checkpoint_copy(value) for key, value in tree.items()} if isinstance(tree, dict) else tree


def same(one, two):
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    return torch.equal(one, two) if isinstance(one, torch.Tensor) else one == two


@pytest.mark.parametrize(
    "changes",
    [
        {"arch": {"encoder_type": "recurrent", "halt_exploration_prob": 0.5}},
        {"arch": {"encoder_type": "variational"}, "training": {"dihedral": True, "colour": True, "translation": True}},
        {"arch": {"encoder_type": "cross_attention", "context_mode": "cached"}},
        {"arch": {"conditioning": "embedding_table"}, "training": {"embedding_augmentations": 1}},
    ],
    ids=["recurrent", "variational", "cached", "table"],
)
def test_twenty_steps_are_ten_and_ten_more_to_the_last_byte(tiny, context_of, tmp_path, changes):
    config = tiny(**changes)
    whole = Run(train(config, context_of(config, seed=3)), tmp_path)
    assert whole.offers == list(range(1, 21))
    random_after = rng.capture()
    before = Run(train(config, context_of(config, seed=3)), tmp_path / "saved", save_at=10)
    content = checkpoint.load(tmp_path / "saved")
    context = context_of(config, seed=3)
    seeding.apply(99)  # a new process
    rng.restore(content["rng"])
    after = Run(train(config, replace(context, state=content["state"])), tmp_path)
    assert before.measured + after.measured == whole.measured
    assert whole.state is not None and after.state is not None
    assert same(after.state, whole.state), "weights, moments, averages, carry, sums"
    for name in ("python", "numpy"):
        assert rng.capture()[name] == random_after[name]
    assert torch.equal(rng.capture()["torch"], random_after["torch"])
    assert after.artifacts["eval_predictions.jsonl"] == whole.artifacts["eval_predictions.jsonl"]


@pytest.fixture(scope="module")
def finished(tiny, context_of, tmp_path_factory):
    config = tiny(evaluation={"on": "heldout"})
    run = Run(train(config, context_of(config)), tmp_path_factory.mktemp("run"))
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    run.artifacts["model.safetensors"](path)
    return config, run, path


def test_every_metric_of_the_seed_is_there_by_its_name(finished):
    _, run, _ = finished
    measured = {name for _, _, values in run.rows for name in values}
    assert measured >= SEED_NAMES
    tables = {name.partition(".")[0] for name in run.artifacts}
    assert {"eval_predictions", "train_predictions", "submission"} <= tables
    for name in ("eval", "train"):
        rows, picture = run.artifacts[f"{name}_predictions.jsonl"], run.artifacts[f"figures/{name}_gallery.svg"]
        assert picture.count(">prediction</text>") == len(rows) > 0
        assert f"{sum(row['correct'] for row in rows)} of {len(rows)} right" in picture
    assert {name for name in measured if name.startswith("origin/")} >= {
        "origin/train/exact_accuracy", "origin/train/steps", "origin/all.exact_accuracy", "origin/ARC/pass@1",
        "origin/grad/total_norm",
    }  # fmt: skip


def test_rows_come_at_the_first_step_and_every_so_often(finished):
    _, run, _ = finished
    assert [step for step, _, values in run.rows if "train/loss" in values] == [1, 5, 10, 15, 20]
    assert [step for step, _, values in run.rows if "all.accuracy" in values] == [10, 20]


def test_the_notes_say_what_was_derived_and_what_was_seen(finished):
    _, run, _ = finished
    assert run.notes["derived"]["evaluated_on"] == "heldout"
    assert run.notes["derived"]["total_steps"] == 20
    assert run.notes["derived"]["parameter_count"] == run.last("num_params")
    assert run.notes["contamination"]["clean"]
    assert run.last("all.n_contaminated") == 0


def test_the_overfit_number_is_the_smaller_of_both(tiny, context_of, tmp_path):
    config = tiny(max_train_groups=1, training={"lr": 5e-3, "max_steps": 80, "query": "test_only", "log_every": 20})
    run = Run(train(config, context_of(config)), tmp_path)
    _, _, last = run.rows[-1]
    recent = run.last("train/exact_accuracy_recent")
    assert last["overfit/exact_accuracy"] == min(recent, last["all.exact_accuracy"])
    assert "all.n_contaminated" not in last


def test_evaluating_again_gives_the_same_and_voting_more(finished, context_of):
    config, run, _ = finished
    context = replace(context_of(config), state=run.state)
    (again,) = [event for event in evaluate(config, context) if isinstance(event, Metrics)]
    _, _, last = run.rows[-1]
    assert again.step == 20
    assert all(last[name] == value for name, value in again.values.items())
    more = Config.model_validate({**config.model_dump(), "evaluation": {"on": "train", "versions": 3}})
    values = {k: v for e in evaluate(more, context) if isinstance(e, Metrics) for k, v in e.values.items()}
    assert values["all.n_evaluated"] == 18
    with pytest.raises(UsageError, match="trained solver"):
        next(evaluate(config, context_of(config)))
    other = Config.model_validate({**config.model_dump(), "arch": {**config.arch.model_dump(), "L_cycles": 5}})
    with pytest.raises(UsageError, match="another arch"):
        next(evaluate(other, context))


def test_the_model_file_holds_both_weights_and_says_what_they_have_seen(finished, tasks_of):
    config, run, path = finished
    tensors, header = read_model(path)
    assert run.state is not None
    flat = torch.cat([tensors["averaged.encoder.queries"].flatten(), tensors["live.encoder.queries"].flatten()])
    assert len(flat.unique()) > 2
    assert header["trained_on"] == [task.id for task in tasks_of(config).train]
    assert header["arch"] == config.arch.model_dump(mode="json")


def test_training_needs_data_and_longer_runs_cost_more(tiny, context_of):
    config = tiny()
    with pytest.raises(UsageError, match="data folder"):
        next(train(config, replace(context_of(config), data=None)))
    assert relative_cost(tiny(training={"max_steps": 40})) == 2 * relative_cost(config)
