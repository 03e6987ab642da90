"""A plain for loop in the instrument's place, and two small arms that have been trained to know something."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from quadrat import Artifact, Checkpoint, Context, Event, Metrics
from quadrat.tensor import checkpoint, rng, seeding
from quadrat_studies.fluxem.config import Config
from quadrat_studies.fluxem.data import build_data
from quadrat_studies.fluxem.experiment import train


@dataclass(frozen=True)
class Run:
    """What one pass over a trainable left behind."""

    metrics: list[tuple[int, Mapping[str, float]]]
    artifacts: Mapping[str, Any]
    weights: Path
    data: Path
    config: Config
    checkpoints: int = 0

    def last(self, name: str) -> float:
        return [values[name] for _, values in self.metrics if name in values][-1]


Drive = Callable[..., Run]


def drive(events: Iterator[Event], *, folder: Path, data: Path, config: Config, save_at: int | None = None) -> Run:
    """Every event to its end; with ``save_at``, a checkpoint on disk in ``folder/saved`` and then the end."""
    metrics: list[tuple[int, Mapping[str, float]]] = []
    artifacts: dict[str, Any] = {}
    offers = 0
    weights = folder / "model.safetensors"
    for event in events:
        if isinstance(event, Metrics):
            metrics.append((event.step, dict(event.values)))
        elif isinstance(event, Artifact) and event.name == "model.safetensors":
            assert callable(event.content)
            event.content(weights)
        elif isinstance(event, Artifact):
            artifacts[event.name] = event.content
        elif isinstance(event, Checkpoint):
            offers += 1
            if event.step == save_at:
                (folder / "saved").mkdir()
                checkpoint.save(folder / "saved", {"state": event.state(), "rng": rng.capture()})
                break
    return Run(metrics, artifacts, weights, data, config, offers)


@pytest.fixture(scope="session")
def run_arm(tmp_path_factory: pytest.TempPathFactory) -> Drive:
    """Train a config: ``run_arm(config, seed=0, save_at=None, resume=None)``."""
    built: dict[str, Path] = {}

    def run(config: Config, *, seed: int = 0, save_at: int | None = None, resume: Path | None = None) -> Run:
        key = config.data.model_dump_json()
        if key not in built:
            built[key] = tmp_path_factory.mktemp("data")
            build_data(config, built[key])
        seeding.apply(seed)
        seeding.pin(1)
        state = None
        if resume is not None:
            content = checkpoint.load(resume)
            torch.rand(17)  # the random state of a new process is not the one that was saved
            rng.restore(content["rng"])
            state = content["state"]
        folder = tmp_path_factory.mktemp("run")
        context = Context(seed=seed, device="cpu", data=built[key], scratch=folder, state=state)
        return drive(train(config, context), folder=folder, data=built[key], config=config, save_at=save_at)

    return run


SMALL = {
    "data": {
        "train_size": 900, "validation_size": 100, "test_size": 200, "id_range": [0, 49], "operations": ["+"],
        "ood_magnitude_range": [1000, 9999],
    },
    "model": {"hidden_dim": 64, "num_layers": 2, "num_heads": 4, "dropout": 0.0},
    "training": {"epochs": 40, "batch_size": 64, "learning_rate": 3e-3, "validate_every": 40, "log_every": 100},
}  # fmt: skip


@pytest.fixture(scope="session")
def trained(run_arm: Drive) -> Mapping[str, Run]:
    """Two-digit sums, learned well enough to be told from chance, by arm."""
    arms = {"token_only": {}, "hybrid": {"representation": "hybrid", "answer_order": "plain"}}
    return {
        arm: run_arm(Config.model_validate({**SMALL, "model": {**SMALL["model"], **changes}}))
        for arm, changes in arms.items()
    }
