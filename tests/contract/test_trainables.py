"""Every trainable that comes with Quadrat holds the contract."""

from __future__ import annotations

from quadrat.testing.trainables import TrainableCase


class TestToy(TrainableCase):
    trainable = "quadrat.testing.toy:train"
    config = {"steps": 6}


class TestFluxemTokenOnly(TrainableCase):
    trainable = "quadrat_studies.fluxem.experiment:train"
    config = {
        "data": {"train_size": 64, "test_size": 16, "validation_size": 16},
        "model": {"hidden_dim": 16, "num_layers": 1, "num_heads": 2},
        "training": {"epochs": 2, "batch_size": 16},
    }
    resume_at = 3


class TestFluxemHybrid(TestFluxemTokenOnly):
    config = {
        **TestFluxemTokenOnly.config,
        "model": {**TestFluxemTokenOnly.config["model"], "representation": "hybrid"},
    }
