"""The study holds the contract of trainables, in each way of the physics loss: resumption is to the last bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from quadrat.testing.trainables import TrainableCase

TINY: dict[str, Any] = {
    "data": {"train_samples": 20, "validation_samples": 2, "test_samples": 4, "points": 16, "types": ["lowpass"],
             "orders": [2, 3]},
    "k_min": 3, "d_model": 8, "epochs": 2, "batch_size": 8, "phys_start": 0.0, "log_steps": 1, "save_steps": 1,
    "refine_steps": 3, "snap": False, "baselines": False, "dropout": 0.1, "lm_iterations": 2,
}  # fmt: skip


class TestEnvelope(TrainableCase):
    trainable = "quadrat_studies.bilevel.experiment:train"
    config: ClassVar[Mapping[str, Any]] = TINY
    resume_at = 4


class TestStraightThroughInFloat64(TestEnvelope):
    config: ClassVar[Mapping[str, Any]] = {
        **TINY, "dtype": "float64", "ste_phys": True, "inner_solver": "unroll", "unroll_steps": 1, "use_wave": "mix",
        "grad_accum": 2,
    }  # fmt: skip
    resume_at = 3
