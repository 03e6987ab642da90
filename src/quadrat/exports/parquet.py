"""The two tables of a study as Parquet, typed. Columns: see ``quadrat.exports.tables``.

Texts are strings, seeds and steps 64-bit integers, values doubles, times UTC timestamps of a millisecond. A config
key on whose type the runs do not agree is a string column. What the study is stands in the schema's metadata, under
``quadrat.*``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, final

from quadrat.analyze.table import StudyTable, load_study_table
from quadrat.core.errors import UsageError
from quadrat.exports.base import Tick, Written, staged, unfinished
from quadrat.exports.csv_tables import cell_text
from quadrat.exports.secrecy import shielded
from quadrat.exports.tables import Table, tables_of
from quadrat.journal.layout import StudyFolder
from quadrat.journal.plain import text


@final
class ParquetExporter:
    """A folder with ``runs.parquet`` and ``metrics.parquet``."""

    @property
    def ending(self) -> str:
        """The folder's ending."""
        return "-parquet"

    def write(self, study: StudyFolder, target: Path, *, tick: Tick) -> Written:
        """Write both tables.

        Raises:
            UsageError: the package ``pyarrow`` is not installed, beside the reasons of every export.
        """
        arrow, files = _package()
        notes = unfinished(study)
        table = load_study_table(study)
        about = _about(table)
        with staged(target) as stage:
            for made in tables_of(table, tick=tick):
                name = f"{made.name}.parquet"
                with stage.open(name) as file:
                    files.write_table(_arrow(arrow, made, about), file)
                stage.count(name, made.masked)
        return stage.written(target, *notes)


def _package() -> tuple[ModuleType, ModuleType]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ModuleNotFoundError as missing:
        raise UsageError(
            f"Parquet needs the package {(missing.name or 'pyarrow').partition('.')[0]!r}, which is not installed.",
            remedy="pip install 'quadrat[parquet]', or --format csv, which needs nothing.",
        ) from missing


def _arrow(arrow: ModuleType, table: Table, about: dict[str, str]) -> Any:
    kinds = {
        str: arrow.string(),
        int: arrow.int64(),
        float: arrow.float64(),
        bool: arrow.bool_(),
        datetime: arrow.timestamp("ms", tz="UTC"),
    }
    fields = [arrow.field(column.name, kinds[column.kind]) for column in table.columns]
    columns = [
        arrow.array(_cells([row[place] for row in table.rows], column.kind), type=kinds[column.kind])
        for place, column in enumerate(table.columns)
    ]
    return arrow.Table.from_arrays(columns, schema=arrow.schema(fields, metadata=about))


def _cells(cells: Sequence[Any], kind: type) -> list[Any]:
    if kind is not str:
        return list(cells)
    return [cell if cell is None else text(cell) if isinstance(cell, str) else cell_text(cell) for cell in cells]


def _about(table: StudyTable) -> dict[str, str]:
    """What the study is, as texts."""
    told = {key: table.declaration.text(key) for key in ("question", "hypothesis", "owner", "trainable", "plan_sha256")}
    told |= {"study": table.study, "coverage": table.coverage().text, "format": "1"}
    return {f"quadrat.{key}": str(shielded(value, key)[0]) for key, value in told.items() if value}
