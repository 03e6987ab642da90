"""Reads the files in which programs write down their metrics, while they are being written.

A file of lines is one JSON object a line, flat (``{"step": 1, "loss": 0.5}``) or as the journal has it, or CSV with a
header. A whole JSON file holds the last values only. Nothing here raises for what it finds.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast, final

import orjson

from quadrat.core.events import Event, Metrics, Note
from quadrat.journal.atomic import open_regular
from quadrat.journal.plain import unspell

STEPS: Final = ("step", "global_step", "_step", "iteration", "iter", "epoch")
"""What a step may be called, the first that is there."""

NOT_MEASURED: Final = frozenset({*STEPS, "time", "timestamp", "_timestamp", "_runtime", "wall_time"})
LINES: Final = (".jsonl", ".ndjson", ".csv")
LARGEST_JSON: Final = 16 << 20
_CHUNK: Final = 1 << 20


@final
@dataclass(slots=True)
class RowFile:
    """One file of lines. Each row is taken once, also when the program writes the file anew."""

    path: Path
    offset: int = 0
    taken: int = 0
    error: Mapping[str, Any] | None = None
    _header: list[str] = field(default_factory=list[str])
    _last_step: int = 0

    def take(self, *, last: bool = False) -> Iterator[Event]:
        """The rows that are new. ``last``: the program has ended, so a last line without its end counts too."""
        skip = 0
        if _size(self.path) < self.offset:
            skip, self.taken, self.offset, self._header = self.taken, 0, 0, []
        while lines := self._lines(last=last):
            for line in lines:
                event = self._event(line)
                if event is None:
                    continue
                self.taken += 1
                if self.taken > skip:
                    yield event

    def _lines(self, *, last: bool) -> list[bytes]:
        try:
            with open_regular(self.path) as file:
                file.seek(self.offset)
                data = file.read(_CHUNK)
                while b"\n" not in data and (more := file.read(_CHUNK)):
                    data += more
        except OSError:
            return []
        end = data.rfind(b"\n") + 1
        if last and not end:
            end = len(data)
        self.offset += end
        return [line for line in data[:end].split(b"\n") if line.strip()]

    def _event(self, line: bytes) -> Event | None:
        if self.path.suffix == ".csv":
            return self._of_csv(line)
        try:
            row = _loads(line)
        except ValueError:
            return None
        if not isinstance(row, dict):
            return None
        told = cast("dict[str, Any]", row)
        if isinstance(told.get("note"), str) and isinstance(told.get("data"), dict):
            return Note(told["note"], told["data"])
        if isinstance(told.get("error"), dict):
            self.error = told["error"]
            return None
        return self._metrics(told)

    def _of_csv(self, line: bytes) -> Event | None:
        try:
            words = next(csv.reader([line.decode("utf-8", "replace")]))
        except (csv.Error, StopIteration):
            return None
        if not self._header:
            self._header = [word.strip() for word in words]
            return None
        return self._metrics(dict(zip(self._header, words, strict=False)))

    def _metrics(self, row: Mapping[str, Any]) -> Metrics | None:
        step = step_of(row)
        held = row.get("metrics")
        inner = cast("Mapping[str, Any]", held) if isinstance(held, Mapping) else row
        values = numbers(inner)
        if not values:
            return None
        self._last_step = self._last_step + 1 if step is None else step
        return Metrics(self._last_step, values)


def last_values(path: Path, *, step: int) -> Iterator[Event]:
    """The values of a whole JSON file as one row, at its own step or else at ``step``."""
    try:
        with open_regular(path) as file:
            row = _loads(file.read(LARGEST_JSON))
    except (OSError, ValueError):
        return
    if isinstance(row, dict):
        told = cast("dict[str, Any]", row)
        values = numbers(_flat(told))
        own = step_of(told)
        if values:
            yield Metrics(step if own is None else own, values)


def step_of(row: Mapping[str, Any]) -> int | None:
    """The step that a row names; None when it names none."""
    for name in STEPS:
        try:
            value = float(row[name])
        except (KeyError, TypeError, ValueError):
            continue
        if math.isfinite(value) and value.is_integer():
            return int(value)
    return None


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a row by name, without those that say when they were measured."""
    found: dict[str, float] = {}
    for name, value in row.items():
        if name in NOT_MEASURED or value is None or isinstance(value, bool):
            continue
        try:
            found[str(name)] = float(value) if isinstance(value, str) and value.strip() else unspell(value)
        except ValueError:
            continue
    return found


def is_lines(path: Path) -> bool:
    """Whether a file holds a row a line."""
    return path.suffix in LINES


def found(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """The files below ``folder`` that the patterns name, each once, sorted."""
    try:
        return sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    except (OSError, ValueError, NotImplementedError):
        return []


def _loads(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        return json.loads(text)  # it knows the bare NaN and Infinity that Python itself writes


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            flat |= _flat(cast("Mapping[str, Any]", value), f"{prefix}{key}/")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
