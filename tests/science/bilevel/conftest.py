"""One tiny split, and a plain for loop in the instrument's place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from quadrat import Artifact, Checkpoint, Context, Metrics, Note
from quadrat.tensor import seeding
from quadrat_studies.bilevel.config import Config
from quadrat_studies.bilevel.experiment import build_data, evaluate, train

TINY: dict[str, Any] = {
    "data": {"train_samples": 24, "validation_samples": 2, "test_samples": 6, "points": 24, "orders": [2, 4],
             "types": ["lowpass", "bandpass"]},
    "k_min": 4, "d_model": 16, "epochs": 1, "batch_size": 8, "phys_start": 0.0, "log_steps": 1, "save_steps": 1,
    "refine_steps": 4, "snap": False, "baselines": False, "lm_iterations": 2, "unroll_steps": 1,
}  # fmt: skip


@dataclass
class Run:
    """What one pass left behind."""

    rows: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)
    artifacts: dict[str, Any] = field(default_factory=dict)
    checkpoints: list[int] = field(default_factory=list)
    state: dict[str, Any] | None = None

    def last(self, name: str) -> float:
        return [values[name] for _, values in self.rows if name in values][-1]

    def names(self) -> set[str]:
        return {name for _, values in self.rows for name in values}


Driver = Callable[..., Run]


@pytest.fixture(scope="session")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    """``drive(changes, seed=0, state=None)``: train; with ``state``, evaluate."""
    built: dict[str, Path] = {}

    def run(changes: dict[str, Any], *, seed: int = 0, state: Any = None) -> Run:
        config = Config.model_validate({**TINY, **changes})
        key = config.data.model_dump_json()
        if key not in built:
            built[key] = tmp_path_factory.mktemp("data")
            build_data(config, built[key])
        seeding.apply(seed)
        seeding.pin(1)
        context = Context(seed=seed, device="cpu", data=built[key], scratch=built[key], state=state)
        found = Run()
        for event in (train if state is None else evaluate)(config, context):
            if isinstance(event, Metrics):
                found.rows.append((event.step, dict(event.values)))
            elif isinstance(event, Note):
                found.notes[event.kind] = dict(event.data)
            elif isinstance(event, Artifact):
                found.artifacts[event.name] = event.content
            elif isinstance(event, Checkpoint):
                found.checkpoints.append(event.step)
                found.state = dict(event.state())
        return found

    return run
