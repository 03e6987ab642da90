"""What the science tests of this study share: a tiny config, its data, and a training to look into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from quadrat import Context
from quadrat.tensor import seeding
from quadrat_studies.etrm.config import Config
from quadrat_studies.etrm.data import Tasks, build_data, read_tasks
from quadrat_studies.etrm.training import Training

TINY: Mapping[str, Mapping[str, Any]] = {
    "data": {"canvas": 4, "generated_train": 6, "generated_eval": 4},
    "arch": {
        "hidden_size": 16, "num_heads": 2, "encoder_num_layers": 1, "L_layers": 1, "puzzle_emb_len": 2,
        "halt_max_steps": 4, "expansion_multiple": 8,
    },
    "training": {"max_steps": 20, "global_batch_size": 4, "log_every": 5, "lr_warmup_steps": 2},
    "evaluation": {"every": 10, "on": "train"},
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Config]:
    """A tiny config with changes: ``tiny(arch={...}, training={...})``."""

    def make(**changes: Any) -> Config:
        sections = {name: {**TINY[name], **changes.pop(name, {})} for name in TINY}
        if sections["arch"].get("conditioning") == "embedding_table":
            del sections["arch"]["encoder_num_layers"]
        return Config.model_validate({**sections, **changes})

    return make


@pytest.fixture(scope="session")
def context_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Context]:
    """A context over the data of a config; seeds everything, as the instrument does."""
    built: dict[str, Path] = {}

    def make(config: Config, *, seed: int = 0, state: Mapping[str, Any] | None = None) -> Context:
        key = config.data.model_dump_json()
        if key not in built:
            built[key] = tmp_path_factory.mktemp("data")
            build_data(config, built[key])
        seeding.apply(seed)
        return Context(seed=seed, device="cpu", data=built[key], scratch=built[key], state=state)

    return make


@pytest.fixture(scope="session")
def tasks_of(context_of: Callable[..., Context]) -> Callable[[Config], Tasks]:
    """The tasks of a config."""

    def read(config: Config) -> Tasks:
        folder = context_of(config).data
        assert folder is not None
        return read_tasks(folder, config)

    return read


@pytest.fixture(scope="session")
def training(context_of: Callable[..., Context], tasks_of: Callable[[Config], Tasks]) -> Callable[..., Training]:
    """A training of a config, not yet begun."""

    def make(config: Config, *, seed: int = 0) -> Training:
        return Training(config, context_of(config, seed=seed), tasks=tasks_of(config))

    return make
