"""The study holds the contract of trainables: steps in order, seeds that matter, resumption to the last bit."""

from __future__ import annotations

from quadrat.testing.trainables import TrainableCase

SMALL = {"epochs": 2, "steps_per_epoch": 3, "batch_size": 8, "eval_every": 1, "eval_rows": 30, "final_eval_rows": 40}


class TestComposite(TrainableCase):
    trainable = "quadrat_studies.symmetry.experiment:train"
    config = {**SMALL, "data": {"train_rows": 300, "test_rows": 10}}
    resume_at = 4


class TestOnesConvolution(TestComposite):
    config = {**TestComposite.config, "model_type": "mamba_ones_conv"}


class TestTransformerOnInverseSequences(TestComposite):
    config = {
        **SMALL,
        "model_type": "transformer",
        "data": {"task": "inverse", "train_rows": 300, "test_rows": 50},
    }
    resume_at = 2
