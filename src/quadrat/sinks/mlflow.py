"""Runs as MLflow shows them: ``mlflow ui --backend-store-uri sqlite:///results/<study>/.mlflow/mlflow.db``.

``MLFLOW_TRACKING_URI`` names another place, a server or a database; ``MLFLOW_EXPERIMENT_NAME`` another experiment than
one of the study's name. A run carries the resolved config as its parameters and, as tags, who it is here. How it ended
is what the journal says. What MLflow would report about its use is switched off.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast, final

import orjson

from quadrat.core.secrets import mask
from quadrat.sinks.base import Ending, Row, RunFacts, Tracker

TOKEN: Final = "quadrat.token"
"""The tag by which a run is found again; its value is the run's token."""

NAMES: Final = "quadrat.name."
"""Tags that tell the true name of what MLflow would not take: ``quadrat.name.<key there>``."""

MOST: Final = 1000
"""Metrics that one call may carry."""

MOST_PARAMETERS: Final = 100
LONGEST_NAME: Final = 250
LONGEST_VALUE: Final = 6000

_STATUS: Final = {"completed": "FINISHED", "stopped": "FINISHED", "failed": "FAILED"}
_REFUSED: Final = re.compile(r"[^\w./ :-]", re.ASCII)


@final
@dataclass(frozen=True, slots=True)
class _Package:
    """The modules of the package that are used here; it ships without types that a checker could follow."""

    tracking: ModuleType
    entities: ModuleType

    @classmethod
    def load(cls) -> _Package:
        """Import them.

        Raises:
            ModuleNotFoundError: the package is not installed.
        """
        tracking = import_module("mlflow.tracking")
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        return cls(tracking, import_module("mlflow.entities"))


@final
class MlflowTracker(Tracker):
    """One MLflow run for each run; one that is taken in again takes the place of the old one, which is deleted.

    MLflow keeps deleted runs out of sight until ``mlflow gc`` removes them.
    """

    def __init__(self, home: Path, *, patience: float = 5.0) -> None:
        super().__init__(home, patience=patience)
        # Read when the package is imported: nothing is reported, and a server that hangs is tried again later.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(max(1, round(patience))))
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        self._uri = os.environ.get("MLFLOW_TRACKING_URI", "")
        self._package = _Package.load()
        self._client: Any = None

    @property
    def destination(self) -> str:
        """The server or database without its login, else ``files``."""
        return mask(self._uri)[0] if self._uri else "files"

    def open(self, run: RunFacts) -> MlflowRun:
        """Begin a new run in place of what there was of this one."""
        client = self._connect()
        experiment = self._experiment(run.study)
        for old in client.search_runs([experiment], f"tags.`{TOKEN}` = '{run.token}'"):
            client.delete_run(old.info.run_id)
        told = {"study": run.study, "run": run.path, "stage": run.stage, "arm": run.arm, "seed": run.seed}
        tags = {f"quadrat.{key}": str(value) for key, value in told.items() if value is not None}
        made = client.create_run(
            experiment, start_time=_milliseconds(run.began), run_name=run.name, tags={**tags, TOKEN: run.token}
        )
        track = MlflowRun(client, self._package.entities, key=made.info.run_id)
        track.begin(run)
        return track

    def resume(self, run: RunFacts, mark: Mapping[str, Any]) -> MlflowRun | None:
        """Never: MLflow cannot take back a row, so a run is sent again as a whole."""
        del run, mark
        return None

    def _connect(self) -> Any:
        if self._client is None:
            self.home.mkdir(parents=True, exist_ok=True)
            uri = self._uri or f"sqlite:///{self.home.resolve()}/mlflow.db"
            self._client = self._package.tracking.MlflowClient(tracking_uri=uri)
        return self._client

    def _experiment(self, study: str) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or study
        found = self._client.get_experiment_by_name(name)
        if found is None:
            # Without a place of its own a local store would name one in the working directory.
            place = None if self._uri else (self.home.resolve() / "artifacts").as_uri()
            return str(self._client.create_experiment(name, artifact_location=place))
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)


@final
class MlflowRun:
    """One run that is open in MLflow."""

    def __init__(self, client: Any, entities: ModuleType, *, key: str) -> None:
        self._client = client
        self._entities = entities
        self._key = key
        self._keys: dict[str, str] = {}

    def begin(self, run: RunFacts) -> None:
        """The config as parameters."""
        told = dict(_flat(run.config))
        made = [self._entities.Param(self._key_of(name), value) for name, value in told.items()]
        for part in range(0, len(made), MOST_PARAMETERS):
            self._client.log_batch(self._key, params=made[part : part + MOST_PARAMETERS])

    def rows(self, rows: Sequence[Row]) -> None:
        """One metric for each value."""
        metric = self._entities.Metric
        made = [
            metric(self._key_of(name), value, _milliseconds(row.time), row.step)
            for row in rows
            for name, value in row.values.items()
        ]
        for part in range(0, len(made), MOST):
            self._client.log_batch(self._key, metrics=made[part : part + MOST])

    def mark(self) -> None:
        """None: see ``MlflowTracker.resume``."""

    def close(self, ending: Ending | None) -> None:
        """How the run ended. Every call before has arrived or has raised, so there is nothing to wait for."""
        if ending is None:
            return
        self._client.set_tag(self._key, "quadrat.status", ending.status)
        self._client.set_terminated(self._key, _STATUS.get(ending.status, "KILLED"), _milliseconds(ending.time))

    def _key_of(self, name: str) -> str:
        key = self._keys.get(name)
        if key is None:
            key = self._keys[name] = key_of(name)
            if key != name:
                self._client.set_tag(self._key, f"{NAMES}{key}", name[:LONGEST_VALUE])
        return key


def key_of(name: str) -> str:
    """A name as MLflow takes it: itself, or what is left of it with a few digits that no other name has."""
    plain = _REFUSED.sub("_", name)
    if plain == name and 0 < len(name) <= LONGEST_NAME - len(NAMES) and _is_unique_path(name):
        return name
    digits = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain.strip('./ ')[: LONGEST_NAME - len(NAMES) - 20].replace('/', '_') or 'name'}-{digits}"


def _is_unique_path(name: str) -> bool:
    """Whether a name is its own shortest spelling as a path; MLflow refuses others."""
    return posixpath.normpath(name) == name and name != "." and not name.startswith(("..", "/"))


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(cast("Mapping[str, Any]", value), f"{prefix}{key}.")
        elif isinstance(value, str):
            yield f"{prefix}{key}", value[:LONGEST_VALUE]
        elif isinstance(value, float) and not math.isfinite(value):
            yield f"{prefix}{key}", str(value)
        else:
            yield f"{prefix}{key}", _spelt(value)[:LONGEST_VALUE]


def _spelt(value: Any) -> str:
    try:
        return orjson.dumps(value, default=str).decode()
    except TypeError:  # a whole number beyond 64 bits
        return str(value)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
