"""The built-in trackers keep the contract that is asked of everybody's, read back by the packages themselves."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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


@pytest.mark.filterwarnings("ignore")  # the package and its database library warn each other
class TestMlflow(TrackerCases):
    @pytest.fixture(autouse=True)
    def _installed(self, monkeypatch):
        pytest.importorskip("mlflow", reason="the package mlflow is not installed")
        pytest.importorskip("sqlalchemy", reason="the package sqlalchemy is not installed")
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
            monkeypatch.delenv(name, raising=False)

    @pytest.fixture(autouse=True, scope="class")
    def _empty(self, request, tmp_path_factory):
        """An empty database, made once: MLflow takes seconds over the tables of each new one."""
        pytest.importorskip("mlflow", reason="the package mlflow is not installed")
        from mlflow.tracking import MlflowClient

        request.cls.empty = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
        MlflowClient(tracking_uri=f"sqlite:///{request.cls.empty}").search_experiments()

    def make(self, home: Path) -> Tracker:
        from quadrat.sinks.mlflow import MlflowTracker

        home.mkdir(exist_ok=True)
        if not (home / "mlflow.db").exists():
            shutil.copy(self.empty, home)
        return MlflowTracker(home)

    def read(self, home: Path, run: RunFacts) -> Read:
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{home}/mlflow.db")
        experiment = client.get_experiment_by_name(run.study)
        (theirs,) = client.search_runs([experiment.experiment_id], f"tags.`quadrat.token` = '{run.token}'")
        names = {key: theirs.data.tags.get(f"quadrat.name.{key}", key) for key in theirs.data.metrics}
        largest = sys.float_info.max  # what MLflow keeps in place of infinity
        odd = {largest: math.inf, -largest: -math.inf}
        return {
            name: [(row.step, odd.get(row.value, row.value)) for row in _history(client, theirs, key)]
            for key, name in names.items()
        }


def _history(client: Any, run: Any, key: str) -> list[Any]:
    return sorted(client.get_metric_history(run.info.run_id, key), key=lambda row: row.step)


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_they_are_found_under_the_names_a_study_file_uses(name):
    assert issubclass(load("sinks", name), Tracker)
