"""MLflow's sqlite store (``mlflow.db``): runs of all its experiments, read with the standard library, never written to.

The client is not needed. Values that MLflow keeps in other words come back as they were: NaN by its flag, infinity
by the largest number there is.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, final

from quadrat.core.errors import StoreError, UsageError
from quadrat.core.verdicts import Status
from quadrat.imports.base import (
    ForeignRow,
    ForeignRun,
    Importer,
    SourceFile,
    Tell,
    begins_with,
    files_in,
    hashed,
    source_file,
)
from quadrat.imports.names import value_of

MAGIC: Final = b"SQLite format 3\x00"
TABLES: Final = frozenset({"experiments", "runs", "params", "metrics", "tags"})
_JOURNAL: Final = "-wal"
_STATUS: Final = {
    "FINISHED": Status.COMPLETED,
    "FAILED": Status.FAILED,
    "KILLED": Status.PREEMPTED,
    "RUNNING": Status.LOST,
    "SCHEDULED": Status.LOST,
}
_KEPT_TAGS: Final = (
    "mlflow.source.git.commit",
    "mlflow.source.git.branch",
    "mlflow.parentRunId",
    "mlflow.note.content",
)
_OWN_NAME: Final = "quadrat.name."
_OWN_STATUS: Final = "quadrat.status"

_RUNS: Final = """
    SELECT r.run_uuid, r.name, r.status, r.start_time, r.end_time, e.name
    FROM runs AS r JOIN experiments AS e ON e.experiment_id = r.experiment_id
    WHERE r.lifecycle_stage = 'active' AND e.lifecycle_stage = 'active'
    ORDER BY e.experiment_id, r.start_time, r.run_uuid
"""
_ALL: Final = "SELECT count(*) FROM runs"
_ROWS: Final = """
    SELECT step, timestamp, key, value, is_nan FROM metrics WHERE run_uuid = ? ORDER BY step, timestamp, key
"""


@final
class MlflowImporter(Importer):
    """One sqlite store, or a folder with stores in it."""

    @property
    def what(self) -> str:
        """Databases by first bytes and tables."""
        return "MLflow sqlite stores (mlflow.db)"

    def recognises(self, path: Path) -> bool:
        """Whether there is a database with MLflow's tables."""
        with contextlib.suppress(OSError):
            return next(files_in(path, wanted=_is_store), None) is not None
        return False

    def sources(self, path: Path) -> tuple[SourceFile, ...]:
        """The stores, and what sqlite has not yet written into them."""
        stores = hashed(path, wanted=_is_store)
        waiting = [
            source_file(beside, f"{store.name}{_JOURNAL}")
            for store in stores
            if (beside := _journal_of(store.path)).exists()
        ]
        return (*stores, *waiting)

    def read(self, path: Path, sources: Sequence[SourceFile], *, tell: Tell) -> Iterator[ForeignRun]:
        """The runs that are not deleted. With several experiments, the experiment's name comes before the run's."""
        del path
        for source in sources:
            if source.path.name.endswith(_JOURNAL):
                continue
            files = tuple(each for each in sources if each.path in (source.path, _journal_of(source.path)))
            try:
                with contextlib.closing(_connect(source.path)) as store:
                    yield from _runs(store, source, files, tell=tell)
            except sqlite3.Error as error:
                raise StoreError(f"sqlite cannot read it ({error}).", where=source.name) from error


def _journal_of(store: Path) -> Path:
    return store.with_name(f"{store.name}{_JOURNAL}")


def _is_store(path: Path) -> bool:
    if not begins_with(path, MAGIC):
        return False
    try:
        with contextlib.closing(_connect(path)) as store:
            # A view of that name could be anything, and take for ever.
            found = {str(name) for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:
        return False
    return found >= TABLES


def _connect(path: Path) -> sqlite3.Connection:
    """A store opened so that nothing is written, not even beside it where that can be helped."""
    how = "mode=ro" if _journal_of(path).exists() else "mode=ro&immutable=1"
    store = sqlite3.connect(f"{path.resolve().as_uri()}?{how}", uri=True, isolation_level=None, timeout=5.0)
    store.execute("PRAGMA query_only = ON")
    store.execute("PRAGMA trusted_schema = OFF")
    store.text_factory = lambda data: data.decode("utf-8", "replace")
    return store


def _runs(
    store: sqlite3.Connection, source: SourceFile, files: tuple[SourceFile, ...], *, tell: Tell
) -> Iterator[ForeignRun]:
    listed = store.execute(_RUNS).fetchall()
    deleted = int(store.execute(_ALL).fetchone()[0]) - len(listed)
    if deleted:
        tell(f"{source.name}: {deleted} deleted runs were left out.")
    if not listed:
        raise UsageError("the store holds no runs that are not deleted.", where=source.name)
    several = len({row[5] for row in listed}) > 1
    names = {str(row[0]): str(row[1] or row[0]) for row in listed}
    for key, name, status, began, ended, experiment in listed:
        tags = {str(tag): str(value) for tag, value in _pairs(store, "tags", str(key))}
        theirs = {tag.removeprefix(_OWN_NAME): value for tag, value in tags.items() if tag.startswith(_OWN_NAME)}
        params = {theirs.get(param, param): value_of(word) for param, word in _pairs(store, "params", str(key))}
        shown = str(name or tags.get("mlflow.runName") or key)
        yield ForeignRun(
            name=f"{experiment}/{shown}" if several else shown,
            params=params,
            series=_series(source, str(key), theirs),
            started=_seconds(began),
            ended=_seconds(ended),
            status=_status(str(status), tags),
            files=files,
            notes=_notes(store, str(key), ended, status),
            told=_told(tags, str(experiment), str(key), names),
        )


def _pairs(store: sqlite3.Connection, table: str, run: str) -> list[tuple[str, str]]:
    found = store.execute(f"SELECT key, value FROM {table} WHERE run_uuid = ? ORDER BY key", (run,))
    return [(str(key), str(value)) for key, value in found]


def _status(told: str, tags: dict[str, str]) -> Status:
    own = tags.get(_OWN_STATUS)
    return Status(own) if own in list(Status) else _STATUS.get(told, Status.LOST)


def _notes(store: sqlite3.Connection, run: str, ended: Any, status: Any) -> tuple[str, ...]:
    said: list[str] = []
    if ended is None:
        said.append(f"MLflow knows of no end: it holds the run to be {status}.")
    query = "SELECT count(*) FROM (SELECT 1 FROM metrics WHERE run_uuid = ? GROUP BY key, step HAVING count(*) > 1)"
    doubled = int(store.execute(query, (run,)).fetchone()[0])
    if doubled:
        said.append(f"{doubled} metrics have several values at one step; all are kept, in the order of their times.")
    return tuple(said)


def _told(tags: dict[str, str], experiment: str, run: str, names: dict[str, str]) -> dict[str, Any]:
    told: dict[str, Any] = {"experiment": experiment, "run_id": run}
    told |= {tag: tags[tag] for tag in _KEPT_TAGS if tag in tags}
    parent = tags.get("mlflow.parentRunId")
    return told if parent is None else {**told, "parent": names.get(parent, parent)}


def _series(source: SourceFile, run: str, theirs: dict[str, str]) -> Any:
    """The rows, through a connection of their own: they may be asked for when the list of runs has moved on."""

    def rows() -> Iterator[ForeignRow]:
        with contextlib.closing(_connect(source.path)) as store:
            step, time = 0, None
            values: dict[str, float] = {}
            for at, when, key, value, is_nan in store.execute(_ROWS, (run,)):
                name = theirs.get(str(key), str(key))
                if values and (int(at) != step or name in values):
                    yield ForeignRow(step, values, time)
                    values = {}
                step, time = int(at), _seconds(when)
                values[name] = math.nan if is_nan else _value(value)
            if values:
                yield ForeignRow(step, values, time)

    return rows


def _value(value: Any) -> float:
    number = float(value)
    return math.copysign(math.inf, number) if abs(number) >= sys.float_info.max else number


def _seconds(milliseconds: Any) -> float | None:
    return milliseconds / 1000 if isinstance(milliseconds, int) and milliseconds > 0 else None
