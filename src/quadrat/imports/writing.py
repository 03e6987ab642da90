"""One foreign run as a sealed run folder, written by the writer that every run has, with the clock of the source."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BufferedWriter
from typing import Any, Final, final

import orjson

from quadrat.core.errors import StoreError
from quadrat.core.verdicts import Status
from quadrat.imports.base import ForeignRun, SourceFile
from quadrat.imports.names import Names, params_of
from quadrat.journal.atomic import write_bytes, write_json, write_text
from quadrat.journal.config_yaml import dump_yaml
from quadrat.journal.layout import RunFolder
from quadrat.journal.plain import plain
from quadrat.journal.seal import seal
from quadrat.journal.writer import RunWriter
from quadrat.run.opening import point_of
from quadrat.sinks.following import masked
from quadrat.study.identity import content_hash, identity

UNKNOWN: Final = "unknown (imported)"
"""Stands for what this machine has no right to say of a run that it did not make."""

TIMES: Final = "times.ndjson"
"""The artifact that holds when each row was measured, as exactly as the source says."""

UNTOLD: Final = "The source does not say how the run ended. Its rows are whole, so it counts as completed."
_BEAT_SECONDS: Final = 1.0


@final
@dataclass(frozen=True, slots=True)
class Origin:
    """Where a study comes from. ``label`` is the last part of the path that was named."""

    study: str
    format: str
    label: str
    importer: str


@final
@dataclass(frozen=True, slots=True)
class Written:
    """A run that was written: how the lock declares it, and what a person should hear."""

    declared: Mapping[str, Any]
    status: Status
    is_untold: bool
    remarks: tuple[str, ...]


@final
class _Clock:
    """Says the moment of the source, not of today; None where the source has none."""

    def __init__(self) -> None:
        self.moment: float | None = None

    def __call__(self) -> str | None:
        if self.moment is None:
            return None
        with contextlib.suppress(ValueError, OverflowError, OSError):
            told = datetime.fromtimestamp(self.moment, UTC).isoformat(timespec="milliseconds")
            return told.replace("+00:00", "Z")
        return None


def described(files: tuple[SourceFile, ...]) -> list[dict[str, Any]]:
    """Source files as plain data."""
    return [{"path": file.name, "bytes": file.size, "sha256": file.sha256} for file in files]


def write_run(folder: RunFolder, run: ForeignRun, *, origin: Origin) -> Written:
    """Write a run folder and seal it. The folder must not exist yet; its parent must.

    Raises:
        StoreError: the disk is full, or a value nests too deep.
        OSError: a file cannot be written.
    """
    folder.path.mkdir()
    keys, metrics = Names(), Names()
    try:
        config: dict[str, Any] = masked(plain(params_of(run.params, keys), lenient=True))
    except RecursionError as error:
        raise StoreError("its parameters nest too deep.", where=run.name) from error
    row = _row(folder, run, origin, config=config)
    clock = _Clock()
    clock.moment = run.started
    with RunWriter(folder, attempt=1, clock=clock) as writer:
        writer.event("started", process=None, resumed_from=None)
        write_text(folder.config, dump_yaml(config))
        _write_world(folder)
        writer.params({**row, "time": clock()})
        missing = _write_rows(writer, run, clock=clock, metrics=metrics)
        if run.ended is not None:
            clock.moment = run.ended
        remarks = (*run.notes, *_renamed(keys, "parameter"), *_renamed(metrics, "metric"))
        if missing:
            remarks = (*remarks, f"Only the source's summary has {', '.join(missing)}: kept as the last row.")
        status = Status.COMPLETED if run.status is None else run.status
        remarks = (*remarks, UNTOLD) if run.status is None else remarks
        writer.event("note", kind="imported", data=_note(run, origin, remarks, keys=keys, metrics=metrics))
        writer.sync()
        if writer.dropped + writer.waiting:
            raise StoreError("the disk takes no more rows; nothing was imported.", where=origin.study)
        writer.finish(status, error=_error(run) if status is Status.FAILED else None)
    seal(folder)
    return Written(_declared(row), status, run.status is None, remarks)


def _row(folder: RunFolder, run: ForeignRun, origin: Origin, *, config: Mapping[str, Any]) -> dict[str, Any]:
    """The row of the one attempt. Nothing in it is of this machine."""
    told = config.get("seed")
    seed = told if isinstance(told, int) and not isinstance(told, bool) else None
    trainable = f"imported ({origin.format}: {origin.label}, {run.name})"
    return {
        "schema": 1,
        "attempt": 1,
        "study": origin.study,
        "stage": None,
        "arm": None,
        "run": folder.name,
        "trainable": trainable,
        "point": point_of(config),
        "identity": identity(trainable, config, seed if seed is not None else 0),
        "config_sha256": content_hash(config),
        "code_sha256": None,
        "data_sha256": None,
        "seed_requested": seed if seed is not None else 0,
        "seed_applied": seed,
        "resumed_from": None,
        "argv": [],
        "determinism": {},
        "drift": [],
        "imported": {
            "format": origin.format,
            "source": origin.label,
            "name": run.name,
            "files": described(run.files),
            "importer": origin.importer,
        },
    }


def _declared(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": row["run"],
        "stage": None,
        "arm": None,
        "point": row["point"],
        "seed": row["seed_applied"],
        "identity": row["identity"],
        "path": f"{row['study']}/{row['run']}",
    }


def _write_world(folder: RunFolder) -> None:
    """Machine and code: unknown. The keys are those that a run of ours has, so that nobody reads silence as none."""
    world = dict.fromkeys(("python", "implementation", "platform", "processor", "accelerators"), UNKNOWN)
    write_json(folder.env, {"schema": 1, **world, "variables": {}, "packages": {}})
    write_json(folder.git, {"schema": 1, "commit": None, "reason": UNKNOWN})
    write_bytes(folder.git_diff, b"")


def _write_rows(writer: RunWriter, run: ForeignRun, *, clock: _Clock, metrics: Names) -> list[str]:
    """The rows, a heartbeat for about every second of the source's clock, and the exact times beside.

    Returns:
        The metrics that only the summary has.
    """
    seen: set[str] = set()
    beat: float | None = None
    last: float | None = None
    with contextlib.closing(_Times(writer.folder)) as times:
        for row in run.series():
            values = {metrics.ours(name): value for name, value in row.values.items()}
            seen.update(row.values)
            writer.metrics(row.step, values)
            if row.time is None:
                continue
            times.add(row.step, row.time)
            last = row.time
            if beat is None or abs(row.time - beat) >= _BEAT_SECONDS:
                beat = clock.moment = row.time
                writer.event("heartbeat", step=row.step)
        missing = [name for name in run.summary if name not in seen]
        if missing:
            writer.metrics(writer.last_step, {metrics.ours(name): run.summary[name] for name in missing})
        size = times.size
    if last is not None and last != beat:
        clock.moment = last
        writer.event("heartbeat", step=writer.last_step)
    if size:
        writer.event("artifact", name=TIMES, bytes=size)
    return missing


@final
class _Times:
    """``artifacts/times.ndjson``, made with its first row."""

    def __init__(self, folder: RunFolder) -> None:
        self._path = folder.artifacts / TIMES
        self._file: BufferedWriter | None = None
        self.size = 0

    def add(self, step: int, time: float) -> None:
        if self._file is None:
            self._path.parent.mkdir(exist_ok=True)
            self._file = self._path.open("xb")
        self.size += self._file.write(orjson.dumps({"step": step, "time": time}, option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _note(run: ForeignRun, origin: Origin, remarks: tuple[str, ...], *, keys: Names, metrics: Names) -> dict[str, Any]:
    note: dict[str, Any] = {
        "format": origin.format,
        "source": origin.label,
        "name": run.name,
        "files": described(run.files),
        "importer": origin.importer,
        "environment": UNKNOWN,
        "code": UNKNOWN,
        "remarks": list(remarks),
        "parameter_names": keys.changed,
        "metric_names": metrics.changed,
        "summary": run.summary,
        "told": masked(plain(run.told, lenient=True)),
    }
    return {key: value for key, value in note.items() if value not in ({}, [])}


def _renamed(names: Names, kind: str) -> tuple[str, ...]:
    changed = [f"{theirs!a} is {ours!a}" for ours, theirs in names.changed.items()][:5]
    more = f" and {len(names.changed) - 5} more" if len(names.changed) > 5 else ""
    said = (f"Names of {kind}s were changed: {', '.join(changed)}{more}.",) if changed else ()
    numbered = f"Two {kind}s would have one name, so a number was put behind: {', '.join(names.collided[:5])}."
    return (*said, numbered) if names.collided else said


def _error(run: ForeignRun) -> dict[str, Any]:
    message = str(masked(run.error or "The source says that the run failed, and not why."))
    return {"type": UNKNOWN, "message": message, "where": None, "traceback": message}
