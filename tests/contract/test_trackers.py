"""The built-in trackers keep the contract that is asked of everybody's, read back by the packages themselves."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from quadrat.core.registry import load
from quadrat.sinks.base import RunFacts, Tracker
from quadrat.testing.sinks import FileTracker, TrackerCases

Read = Mapping[str, Sequence[tuple[int, float]]]
WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class TestFiles(TrackerCases):
    def make(self, home: Path) -> Tracker:
        return FileTracker(home)

    def read(self, home: Path, run: RunFacts) -> Read:
        found: dict[str, list[tuple[int, float]]] = {}
        for line in map(json.loads, FileTracker(home).path(run).read_text(encoding="utf-8").splitlines()):
            for name, value in line.get("values", {}).items():
                found.setdefault(name, []).append((line["step"], value))
        return found


class TestTensorBoard(TrackerCases):
    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")

    def make(self, home: Path) -> Tracker:
        from quadrat.sinks.tensorboard import TensorBoardTracker

        return TensorBoardTracker(home)

    def read(self, home: Path, run: RunFacts) -> Read:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        found = EventAccumulator(str(home / run.path), size_guidance={"scalars": 0})
        found.Reload()
        return {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


class TestWandb(TrackerCases):
    @pytest.fixture(autouse=True)
    def _installed(self, monkeypatch):
        monkeypatch.delenv("WANDB_API_KEY", raising=False)
        monkeypatch.setenv("NETRC", "/nonexistent")
        for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_ARTIFACT_DIR", "WANDB_ERROR_REPORTING"):
            monkeypatch.setenv(name, "set so that it is taken back")
            monkeypatch.delenv(name)
        wandb = pytest.importorskip("wandb", reason="the package wandb is not installed")
        yield
        wandb.teardown()

    def make(self, home: Path) -> Tracker:
        import wandb

        wandb.teardown()  # a service that still knows an earlier tracker's runs would be a memory
        from quadrat.sinks.wandb import WandbTracker

        return WandbTracker(home)

    def read(self, home: Path, run: RunFacts) -> Read:
        from wandb.util import get_core_path

        (file,) = home.glob(f"wandb/offline-run-*/run-{run.token}.wandb")
        # What `wandb leet inspect --json FILE` calls, without an interpreter of its own for each look.
        words = ["leet", "inspect", "--no-observability", "--json", "--run-file", str(file), str(file.parent)]
        lines = subprocess.run(
            [get_core_path(), *words], capture_output=True, check=True, text=True
        ).stdout.splitlines()
        found: dict[str, list[tuple[int, float]]] = {}
        for record in map(json.loads, lines):
            row = record.get("history", {}).get("item", {})
            for name, value in row.items():
                if not name.startswith("_") and name != "quadrat/step":
                    found.setdefault(name, []).append((row["quadrat/step"], WORDS.get(value, value)))
        return found


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_they_are_found_under_the_names_a_study_file_uses(name):
    assert issubclass(load("sinks", name), Tracker)
