"""Presets fill what is not given, and what cannot work is refused before anything runs."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from quadrat_studies.symmetry.config import Config, DataConfig


def config(**values):
    return Config.model_validate(values)


def test_paper_preset_is_the_published_recipe():
    paper = config(preset="paper")
    assert (paper.batch_size, paper.learning_rate, paper.floor_ratio) == (2048, 2.5e-4, 0.04)
    assert (paper.epochs, paper.warmup_epochs, paper.weight_decay, paper.gradient_clip) == (210, 10, 0.01, 1.0)
    assert (paper.data.train_rows, paper.data.test_rows) == (15 * 16_875, 1_875)
    assert paper.steps_in_epoch == 123
    assert paper.d_model == 32


def test_paper_preset_of_the_other_tasks():
    inverse = config(preset="paper", data={"task": "inverse"})
    assert (inverse.batch_size, inverse.d_model, inverse.steps_in_epoch) == (1024, 128, 78)
    assert (inverse.data.train_rows, inverse.data.test_rows) == (80_000, 10_000)
    symmetric = config(preset="paper", data={"task": "fully_symmetric"})
    assert (symmetric.batch_size, symmetric.d_model) == (2048, 128)
    assert (symmetric.data.train_rows, symmetric.data.test_rows) == (19 * 13_500, 1_500)


def test_seed_literal_and_cpu_presets():
    seed = config(preset="seed_literal")
    assert (seed.batch_size, seed.learning_rate, seed.schedule, seed.data.train_rows) == (32, 1e-3, "constant", 10_000)
    cpu = config()
    assert (cpu.batch_size, cpu.learning_rate, cpu.schedule, cpu.total_steps) == (64, 1e-3, "cosine", 3360)


def test_what_is_given_wins_over_a_preset():
    given = config(preset="paper", batch_size=64, data={"train_rows": 640})
    assert (given.batch_size, given.data.train_rows, given.data.test_rows) == (64, 640, 1_875)
    assert given.steps_in_epoch == 10


@pytest.mark.parametrize("preset", ["cpu", "seed_literal", "paper"])
def test_a_resolved_config_resolves_to_itself(preset):
    once = config(preset=preset, data={"task": "inverse"})
    assert Config.model_validate(once.model_dump(mode="json")) == once
    assert Config.model_validate(once.model_dump()) == once


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"data": {"task": "inverse", "layers": 3}}, "must be n_layers"),
        ({"batch_size": 64, "data": {"train_rows": 63}}, "exceeds data.train_rows"),
        ({"data": {"vocabulary": 105}}, "must exceed the highest token or answer, 109"),
        ({"data": {"task": "inverse", "vocabulary": 180}}, "must exceed 200"),
        ({"data": {"key_range": [2, 99]}}, "clear of the anchors"),
        ({"data": {"key_slot": 7}}, "leaves no room"),
        ({"data": {"tassk": "inverse"}}, "Extra inputs"),
        ({"model_type": "mamba_standart"}, "model_type"),
    ],
)
def test_what_cannot_work_is_refused(values, complaint):
    with pytest.raises(ValidationError, match=complaint):
        config(**values)


def test_sequence_lengths():
    assert DataConfig.model_validate({}).tokens == 9
    assert [DataConfig.model_validate({"task": "inverse", "layers": n}).tokens for n in (2, 3, 4, 5)] == [
        29,
        32,
        35,
        38,
    ]
