"""Runs as TensorBoard shows them: ``tensorboard --logdir results/<study>/.tensorboard``.

Scalars and hyperparameters, written with the classes of the ``tensorboard`` package itself; neither torch nor
TensorFlow is needed. A run folder is sealed when its run ends, so the event files lie beside the runs, one file for
each run under the run's own path.
"""

from __future__ import annotations

import io
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast, final

import orjson

from quadrat.sinks.base import Ending, Row, RunFacts, Tracker

_FILES: Final = "events.out.tfevents.*"
_WELL: Final = frozenset({"completed", "stopped"})


@final
@dataclass(frozen=True, slots=True)
class _Package:
    """The modules of the package that are used here. Its messages are made at import, so no checker knows them."""

    record_writer: ModuleType
    event: ModuleType
    summary: ModuleType
    hparams: ModuleType
    metadata: ModuleType
    plugin: ModuleType
    api: ModuleType

    @classmethod
    def load(cls) -> _Package:
        """Import them.

        Raises:
            ModuleNotFoundError: the package is not installed.
        """
        return cls(
            import_module("tensorboard.summary.writer.record_writer"),
            import_module("tensorboard.compat.proto.event_pb2"),
            import_module("tensorboard.compat.proto.summary_pb2"),
            import_module("tensorboard.plugins.hparams.summary_v2"),
            import_module("tensorboard.plugins.hparams.metadata"),
            import_module("tensorboard.plugins.hparams.plugin_data_pb2"),
            import_module("tensorboard.plugins.hparams.api_pb2"),
        )


@final
class TensorBoardTracker(Tracker):
    """One event file for each run; a run that is taken in again gets a new file in place of the old one."""

    def __init__(self, home: Path, *, patience: float = 5.0) -> None:
        super().__init__(home, patience=patience)
        self._package = _Package.load()

    @property
    def destination(self) -> str:
        """Always files."""
        return "files"

    def open(self, run: RunFacts) -> EventFile:
        """Begin a new file in place of what there was of this run."""
        folder = self.home / run.path
        folder.mkdir(parents=True, exist_ok=True)
        old = [*folder.glob(_FILES)]
        # Readers take the files of a folder in the order of their names.
        path = folder / f"events.out.tfevents.{time.time_ns():020d}.quadrat"
        path.touch(exist_ok=False)
        track = EventFile(path, self._package)
        track.begin(run)
        for file in old:
            # A TensorBoard that is running waits for ever at a file that has gone, and goes on behind an empty one.
            if file.stat().st_size:
                os.truncate(file, 0)
            else:
                file.unlink(missing_ok=True)
        return track

    def resume(self, run: RunFacts, mark: Mapping[str, Any]) -> EventFile | None:
        """Go on in the file that ``mark`` names, if it is there; what a killed mirror wrote behind it is cut off."""
        name, size = str(mark.get("file")), int(mark.get("bytes", 0))
        path = self.home / run.path / name
        if path.name != name or not path.is_file() or path.stat().st_size < size:
            return None
        os.truncate(path, size)
        return EventFile(path, self._package)


@final
class EventFile:
    """A run's event file. It is open only while it is written to: a study may have thousands of them."""

    def __init__(self, path: Path, package: _Package) -> None:
        self._path = path
        self._package = package

    def begin(self, run: RunFacts) -> None:
        """Version, a word that older steps are void, and the hyperparameters."""
        kinds = self._package.event
        told = self._package.hparams.hparams_pb(hyperparameters(run), trial_id=run.path, start_time_secs=run.began)
        source = kinds.SourceMetadata(writer="quadrat")
        restart = kinds.SessionLog(status=kinds.SessionLog.START)
        self._write(
            [
                kinds.Event(wall_time=run.began, file_version="brain.Event:2", source_metadata=source),
                # A TensorBoard that is running drops what it read from the file before this one.
                kinds.Event(wall_time=run.began, step=0, session_log=restart),
                kinds.Event(wall_time=run.began, summary=told),
            ]
        )

    def rows(self, rows: Sequence[Row]) -> None:
        """One event for each row, one scalar for each metric."""
        event, summary = self._package.event.Event, self._package.summary.Summary
        self._write(
            [
                event(
                    wall_time=row.time,
                    step=row.step,
                    summary=summary(value=[summary.Value(tag=tag, simple_value=x) for tag, x in row.values.items()]),
                )
                for row in rows
            ]
        )

    def mark(self) -> dict[str, Any]:
        """The file and how long it is."""
        return {"file": self._path.name, "bytes": self._path.stat().st_size}

    def close(self, ending: Ending | None) -> None:
        """How the run ended, for the table of hyperparameters."""
        if ending is None:
            return
        package = self._package
        status = package.api.Status.Value("STATUS_SUCCESS" if ending.status in _WELL else "STATUS_FAILURE")
        end = package.plugin.SessionEndInfo(status=status, end_time_secs=ending.time)
        value = package.summary.Summary.Value(
            tag=package.metadata.SESSION_END_INFO_TAG,
            metadata=package.metadata.create_summary_metadata(package.plugin.HParamsPluginData(session_end_info=end)),
            tensor=package.metadata.NULL_TENSOR,
        )
        summary = package.summary.Summary(value=[value])
        self._write([package.event.Event(wall_time=ending.time, summary=summary)])

    def _write(self, events: Sequence[Any]) -> None:
        buffer = io.BytesIO()
        writer = self._package.record_writer.RecordWriter(buffer)
        for event in events:
            writer.write(event.SerializeToString())
        with self._path.open("ab") as file:
            file.write(buffer.getvalue())


def hyperparameters(run: RunFacts) -> dict[str, bool | float | str]:
    """The config as the hparams plugin takes it: dotted names; numbers, truth values and text."""
    flat: dict[str, bool | float | str] = {}

    def add(name: str, value: Any) -> None:
        if isinstance(value, Mapping) and value:
            for key, inner in cast("Mapping[Any, Any]", value).items():
                add(f"{name}.{key}" if name else str(key), inner)
        elif isinstance(value, bool | str):
            flat[name] = value
        elif isinstance(value, int | float) and math.isfinite(value):
            flat[name] = float(value)
        elif value is not None:
            flat[name] = orjson.dumps(value, default=str).decode() if not isinstance(value, float) else str(value)

    for key, value in (("arm", run.arm), ("stage", run.stage), ("seed", run.seed), *run.config.items()):
        add(str(key), value)
    return flat
