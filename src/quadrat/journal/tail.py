"""Looks at the ends of files, so that asking how a run is doing costs the same on its first day and its last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from quadrat.journal.atomic import open_regular

TAIL_BYTES: Final = 64 << 10


def last_rows(path: Path, *, limit: int = TAIL_BYTES) -> list[dict[str, Any]]:
    """The whole, good rows in the last ``limit`` bytes, oldest first; empty when the file cannot be read."""
    try:
        with open_regular(path) as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - limit))
            data = file.read(limit)
    except OSError:
        return []
    # What follows the last newline is torn or being written; what a first line was cut to is never a row.
    return list(_rows(data.split(b"\n")[:-1]))


def first_rows(path: Path, *, limit: int = TAIL_BYTES) -> list[dict[str, Any]]:
    """The whole, good rows in the first ``limit`` bytes; empty when the file cannot be read."""
    try:
        with open_regular(path) as file:
            return list(_rows(file.read(limit).split(b"\n")[:-1]))
    except OSError:
        return []


def rows_since(path: Path, beginning: bytes) -> list[dict[str, Any]]:
    """The good rows from the last line that begins with ``beginning`` on; empty when there is none.

    Reads ever larger ends of the file, so that what came long before is seldom read.
    """
    try:
        with open_regular(path) as file:
            size, limit = file.seek(0, 2), TAIL_BYTES
            while True:
                start = file.seek(max(0, size - limit))
                data = file.read(size - start)
                begin = data.rfind(b"\n" + beginning) + 1
                if begin or (start == 0 and data.startswith(beginning)):
                    return list(_rows(data[begin:].split(b"\n")[:-1]))
                if start == 0:
                    return []
                limit *= 4
    except OSError:
        return []


def _rows(lines: list[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            row = orjson.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            yield row
