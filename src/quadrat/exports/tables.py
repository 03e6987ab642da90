"""A study as two plain tables: one row a run, and one row for each metric of each run.

``runs``: ``study stage run arm point seed status`` say which run it is and how it ended; ``diagnosis`` and ``error``
why it ended early; ``attempts started finished seconds last_step`` how it went; ``identity commit dirty data
data_sha256`` what it was made of; then ``config.<key>``, one column for each key of the resolved config. Every
declared run is a row, whatever became of it.

``metrics``: the same first seven columns, then ``metric`` (its full name), ``split`` (the part of the name that says
which data, such as ``train`` or ``test_id``; empty where none does), ``count`` of values, ``nonfinite`` of them,
``first``, ``last``, ``last_step``, ``min``, ``min_step``, ``max``, ``max_step`` and ``mean``. The last four kinds are
over finite values; which of ``min`` and ``max`` is the best depends on the metric.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, final

from quadrat.analyze.declaration import plain
from quadrat.analyze.rows import Row
from quadrat.analyze.table import StudyTable
from quadrat.core.errors import QuadratError
from quadrat.exports.base import Tick
from quadrat.exports.secrecy import shielded
from quadrat.journal.atomic import read_mapping
from quadrat.journal.plain import flatten, unspell

_SPLIT: Final = re.compile(r"(?:train|val|valid|validation|dev|test|eval|ood|all|held_?out)(?:ing)?(?:[_-].*)?")
_LARGEST: Final = 2**63
_WHICH: Final = (
    ("study", str),
    ("stage", str),
    ("run", str),
    ("arm", str),
    ("point", str),
    ("seed", int),
    ("status", str),
)
_RUN: Final = (
    ("diagnosis", str),
    ("error", str),
    ("attempts", int),
    ("started", datetime),
    ("finished", datetime),
    ("seconds", float),
    ("last_step", int),
    ("identity", str),
    ("commit", str),
    ("dirty", bool),
    ("data", str),
    ("data_sha256", str),
)
_METRIC: Final = (
    ("metric", str),
    ("split", str),
    ("count", int),
    ("nonfinite", int),
    ("first", float),
    ("last", float),
    ("last_step", int),
    ("min", float),
    ("min_step", int),
    ("max", float),
    ("max_step", int),
    ("mean", float),
)


@final
@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, and what its cells are (``str int float bool datetime``); any cell may be None.

    Where ``kind`` is ``str`` a cell may also be a number or a truth value: the runs do not agree on the type.
    """

    name: str
    kind: type


@final
@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns. ``masked``: how many secrets are not in it any more."""

    name: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    masked: int = 0


def tables_of(table: StudyTable, *, tick: Tick) -> tuple[Table, Table]:
    """The runs and the metrics of a study."""
    runs: list[dict[str, Any]] = []
    metrics: list[dict[str, Any]] = []
    for done, row in enumerate(table.rows, 1):
        which = _which(table.study, row)
        runs.append(which | _run(row) | {f"config.{key}": _cell(held) for key, held in flatten(row.config()).items()})
        metrics += [which | cells for cells in _metrics(row)]
        tick(done, len(table.rows))
    keys = dict.fromkeys(key for cells in runs for key in cells if key.startswith("config."))
    config = [Column(key, kind_of(cells.get(key) for cells in runs)) for key in sorted(keys)]
    return (
        _table("runs", (*_columns(_WHICH), *_columns(_RUN), *config), runs),
        _table("metrics", (*_columns(_WHICH), *_columns(_METRIC)), metrics),
    )


def split_of(metric: str) -> str:
    """The part of a metric's name that says which data it was measured on: ``test_id`` of ``oracle/test_id/acc``."""
    return next((part for part in re.split(r"[/.]", metric) if _SPLIT.fullmatch(part)), "")


def kind_of(cells: Iterable[Any]) -> type:
    """What a column is, from its cells."""
    kinds = {type(cell) for cell in cells if cell is not None}
    if len(kinds) == 1:
        return kinds.pop()
    return float if kinds == {int, float} else str


def is_split(name: str) -> bool:
    """Whether a name is one that people give to a split of their data."""
    return bool(_SPLIT.fullmatch(name))


def _columns(told: Sequence[tuple[str, type]]) -> tuple[Column, ...]:
    return tuple(Column(name, kind) for name, kind in told)


def _table(name: str, columns: tuple[Column, ...], rows: list[dict[str, Any]]) -> Table:
    found = 0
    cells: list[tuple[Any, ...]] = []
    for row in rows:
        kept: list[Any] = []
        for column in columns:
            # The last part of a config's key is what a secret is known by.
            cell, count = shielded(row.get(column.name), column.name.rpartition(".")[2])
            kept.append(cell)
            found += count
        cells.append(tuple(kept))
    checked = tuple(
        column if all(_fits(row[place], column.kind) for row in cells) else Column(column.name, str)
        for place, column in enumerate(columns)
    )
    return Table(name, checked, tuple(cells), found)


def _fits(cell: Any, kind: type) -> bool:
    return cell is None or kind is str or isinstance(cell, kind) or (kind is float and isinstance(cell, int))


def _which(study: str, row: Row) -> dict[str, Any]:
    told: dict[str, Any] = {"study": study, "stage": row.stage, "run": row.name, "arm": row.arm, "seed": row.seed}
    point = ", ".join(f"{key}={plain(held)}" for key, held in row.declared.point.items())
    return told | {"point": point or None, "status": str(row.status)}


def _run(row: Row) -> dict[str, Any]:
    last = row.attempts[-1] if row.attempts else {}
    diagnosis = row.diagnosis or {}
    error = row.error or {}
    git = read_mapping(row.view.folder.git) if row.view else {}
    data = read_mapping(row.view.folder.data) if row.view else {}
    words = (diagnosis.get("diagnosis") or diagnosis.get("rule"), error.get("type") and _told(error))
    return {
        "diagnosis": _text(words[0]) or (row.barred or None),
        "error": _text(words[1]),
        "attempts": len(row.attempts),
        "started": row.started.astimezone(UTC) if row.started else None,
        "finished": row.finished.astimezone(UTC) if row.finished else None,
        "seconds": row.seconds if row.started else None,
        "last_step": row.last_step,
        "identity": _text(last.get("identity") or row.declared.identity),
        "commit": _text(git.get("commit")),
        "dirty": git.get("dirty") if isinstance(git.get("dirty"), bool) else None,
        "data": _text(data.get("folder")),
        "data_sha256": _text(data.get("sha256")),
    }


def _told(error: Mapping[str, Any]) -> str:
    return f"{error.get('type')}: {error.get('message', '')}"


def _metrics(row: Row) -> list[dict[str, Any]]:
    sums = sums_of(row)
    final, best, summary = (_mapping(sums.get(key)) for key in ("final", "best", "summary"))
    found: list[dict[str, Any]] = []
    for name, last in final.items():
        told, bounds = _mapping(summary.get(name)), _mapping(best.get(name))
        cells: dict[str, Any] = {"metric": name, "split": split_of(name), "last": _number(last)}
        cells |= {
            "count": _whole(told.get("n")),
            "first": _number(told.get("first")),
            "mean": _number(told.get("mean")),
        }
        cells |= {key: _whole(told.get(key)) for key in ("nonfinite", "last_step")}
        cells |= {key: _number(bounds.get(key)) for key in ("min", "max")}
        found.append(cells | {key: _whole(bounds.get(key)) for key in ("min_step", "max_step")})
    return found


def sums_of(row: Row) -> Mapping[str, Any]:
    """What ``metrics.json`` of a run says, or its rows so far; empty where neither can be read."""
    return _asked(row.view.summary) if row.view else {}


def _asked(question: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    try:
        return question()
    except (QuadratError, OSError, ValueError, TypeError, KeyError):
        return {}


def _cell(value: Any) -> Any:
    """A value of a config as one cell: lists and empty mappings as JSON."""
    if value is None or isinstance(value, str | bool | float):
        return value
    if isinstance(value, int):
        return value if -_LARGEST <= value < _LARGEST else str(value)
    return json.dumps(shielded(value)[0], ensure_ascii=False, default=str)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and -_LARGEST <= value < _LARGEST else None


def _number(value: Any) -> float | None:
    try:
        return unspell(value)
    except ValueError:
        return None
