"""The two tables of a study as CSV, for a spreadsheet or ``pandas.read_csv``. Columns: see ``quadrat.exports.tables``.

UTF-8, comma, one header row, lines end with a line feed. Numbers are written to the last bit (the shortest text that
reads back as the same float); those that are none are ``NaN``, ``Infinity`` and ``-Infinity``; an empty cell means
that there is nothing. Times are ISO 8601 in UTC. A text that a spreadsheet would take for a formula (it begins with
one of ``= + - @``, a tab or a line break) gets an apostrophe in front; numbers never do.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, final

from quadrat.analyze.table import load_study_table
from quadrat.exports.base import Staging, Tick, Written, staged, unfinished
from quadrat.exports.tables import Table, tables_of
from quadrat.journal.layout import StudyFolder
from quadrat.journal.plain import spell, text

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First letters that make a cell a formula; the last four are the wide forms of the first four."""


@final
class CsvExporter:
    """A folder with ``runs.csv`` and ``metrics.csv``."""

    @property
    def ending(self) -> str:
        """The folder's ending."""
        return "-csv"

    def write(self, study: StudyFolder, target: Path, *, tick: Tick) -> Written:
        """Write both tables."""
        notes = unfinished(study)
        table = load_study_table(study)
        with staged(target) as stage:
            for made in tables_of(table, tick=tick):
                name = f"{made.name}.csv"
                _write(stage, name, made)
                stage.count(name, made.masked)
        undeclared = (f"{len(table.undeclared)} run folders that nobody declared are left out.",)
        return stage.written(target, *notes, *(undeclared if table.undeclared else ()))


def cell_text(value: Any) -> str:
    """One cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, float):
        spelt = spell(value)
        return spelt if isinstance(spelt, str) else repr(spelt)
    if isinstance(value, int):
        return str(value)
    shown = text(str(value))
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def _write(stage: Staging, name: str, table: Table) -> None:
    with stage.open(name) as file, _texts(file) as lines:
        rows = csv.writer(lines, lineterminator="\n")
        rows.writerow([cell_text(column.name) for column in table.columns])
        rows.writerows([cell_text(cell) for cell in row] for row in table.rows)


@contextmanager
def _texts(file: BinaryIO) -> Generator[io.TextIOWrapper]:
    lines = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    try:
        yield lines
    finally:
        lines.detach()
