"""The study holds the contract of trainables: steps in order, seeds that matter, resumption to the last bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from quadrat.testing.trainables import TrainableCase

SMALL = {
    "data": {"canvas": 4, "generated_train": 5, "generated_eval": 3},
    "arch": {
        "hidden_size": 16, "num_heads": 2, "encoder_num_layers": 1, "L_layers": 1, "puzzle_emb_len": 2,
        "halt_max_steps": 3, "halt_exploration_prob": 0.5,
    },
    "training": {"max_steps": 8, "global_batch_size": 4, "log_every": 3, "dihedral": True, "translation": True},
    "evaluation": {"every": 4, "versions": 2},
}  # fmt: skip


class TestRecurrent(TrainableCase):
    trainable = "quadrat_studies.etrm.experiment:train"
    config: ClassVar[Mapping[str, Any]] = {**SMALL, "arch": {**SMALL["arch"], "encoder_type": "recurrent"}}
    resume_at = 5


class TestEmbeddingTable(TrainableCase):
    trainable = "quadrat_studies.etrm.experiment:train"
    config: ClassVar[Mapping[str, Any]] = {
        **SMALL,
        "arch": {**SMALL["arch"], "encoder_num_layers": 2, "conditioning": "embedding_table"},
        "training": {**SMALL["training"], "dihedral": False, "embedding_augmentations": 1},
        "evaluation": {"every": 4, "on": "train"},
    }
    resume_at = 3
