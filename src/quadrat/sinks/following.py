"""Reads what one run has added to its folder since the last look, and notices when that folder was set back."""

from __future__ import annotations

import hashlib
import time
from bisect import bisect_left
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, cast, final

import orjson

from quadrat.core.secrets import MASK, is_secret, mask
from quadrat.journal.atomic import open_regular
from quadrat.journal.layout import RunFolder
from quadrat.journal.plain import unspell
from quadrat.journal.reader import RunView
from quadrat.journal.tail import first_rows
from quadrat.sinks.base import Ending, Row, RunFacts

CHUNK: Final = 1 << 20
"""How many bytes of rows are taken at once."""


def lines_from(path: Path, offset: int, *, limit: int = CHUNK) -> bytes:
    """Whole lines from byte ``offset`` on, about ``limit`` bytes of them; empty when there is no whole line (yet)."""
    try:
        with open_regular(path) as file:
            file.seek(offset)
            data = file.read(limit)
            while b"\n" not in data and (more := file.read(limit)):
                data += more
    except OSError:
        return b""
    return data[: data.rfind(b"\n") + 1]


@final
class Clock:
    """About when each step was measured: between two heartbeats time is taken to have passed evenly."""

    def __init__(self, events: Path) -> None:
        self._path = events
        self._offset = 0
        self._steps: list[int] = []
        self._times: list[float] = []

    def read(self) -> None:
        """Take in the events that have come since."""
        while lines := lines_from(self._path, self._offset):
            self._offset += len(lines)
            for event in _rows(lines):
                self._note(event)

    @property
    def last(self) -> float:
        """The latest moment that is known, in seconds since 1970."""
        return self._times[-1] if self._times else time.time()

    def at(self, step: int) -> float:
        """When ``step`` was measured, in seconds since 1970."""
        steps, times = self._steps, self._times
        if not steps:
            return time.time()
        place = bisect_left(steps, step)
        if place == 0 or place == len(steps):
            return times[min(place, len(steps) - 1)]
        share = (step - steps[place - 1]) / (steps[place] - steps[place - 1])
        return times[place - 1] + share * (times[place] - times[place - 1])

    def forget(self, step: int) -> None:
        """Let go of what is only needed for steps before ``step``: a run of weeks has a million heartbeats."""
        done = max(0, bisect_left(self._steps, step) - 1)
        del self._steps[:done], self._times[:done]

    def _note(self, event: Mapping[str, Any]) -> None:
        step = 0 if event.get("event") == "started" and not self._steps else event.get("step")
        when = _seconds(event.get("time"))
        if not isinstance(step, int) or when is None:
            return
        # A later attempt went back behind what an earlier one had reached.
        while self._steps and self._steps[-1] >= step:
            self._steps.pop()
            self._times.pop()
        self._steps.append(step)
        self._times.append(when)


@final
class RunSource:
    """The rows of one run, from the first to the last, each taken once.

    ``offset`` bytes of ``metrics.ndjson`` have been taken and ``sha256`` is their hash: so it can be known whether
    what was taken is still what stands there.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._start()

    def _start(self) -> None:
        self.offset = 0
        self._hash = hashlib.sha256()
        self._clock = Clock(self.folder.events)

    @property
    def sha256(self) -> str:
        """The hash of everything taken so far."""
        return self._hash.hexdigest()

    def skip_to(self, offset: int, *, sha256: str) -> bool:
        """Pass over the first ``offset`` bytes if they are the ones that ``sha256`` names; else stay at the start."""
        self._hash = _prefix_hash(self.folder.metrics, offset)
        self.offset = offset
        if self.sha256 != sha256:
            self._start()
            return False
        return True

    def go_back_if_cut(self) -> bool:
        """Whether rows that were taken are no longer there, as after a resume; then begin again at the first row."""
        if (
            self.size() >= self.offset
            and _prefix_hash(self.folder.metrics, self.offset).digest() == self._hash.digest()
        ):
            return False
        self._start()
        return True

    def take(self) -> list[Row]:
        """The next rows, about a megabyte of them; empty when there is no new one."""
        while lines := lines_from(self.folder.metrics, self.offset):
            self.offset += len(lines)
            self._hash.update(lines)
            self._clock.read()
            rows = [
                Row(row["step"], values, self._clock.at(row["step"]))
                for row in _rows(lines)
                if isinstance(row.get("step"), int) and (values := _numbers(row.get("metrics")))
            ]
            if rows:
                self._clock.forget(rows[-1].step)
                return rows
        return []

    def size(self) -> int:
        """How long ``metrics.ndjson`` is now."""
        return size_of(self.folder.metrics)

    def facts(self, study: str) -> RunFacts:
        """What there is to know about the run before its rows."""
        view = RunView(self.folder)
        first = next(iter(first_rows(self.folder.events)), {})
        return RunFacts(
            study=study,
            name=view.name,
            stage=view.stage,
            arm=view.arm(),
            seed=view.seed(),
            # The first event names process and moment, is never rewritten and moves with the folder.
            token=hashlib.sha256(orjson.dumps(first, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16],
            began=_seconds(first.get("time")) or time.time(),
            config=masked(view.config()),
        )

    def ending(self) -> Ending:
        """How the run stands, as its last word."""
        view = RunView(self.folder)
        sums = view.summary()
        self._clock.read()
        summary = _numbers(sums.get("final"))
        for name, best in cast("Mapping[str, Mapping[str, Any]]", sums.get("best") or {}).items():
            bounds = {kind: best.get(kind) for kind in ("min", "max")}
            summary |= {f"{kind}/{name}": value for kind, value in _numbers(bounds).items()}
        return Ending(str(view.status()), self._clock.last, summary)


def size_of(path: Path) -> int:
    """The size of a file in bytes; 0 when there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def masked(value: Any, *, key: str = "") -> Any:
    """``value`` with every text in it that is, or is named like, a secret replaced by ``***``."""
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {name: masked(item, key=str(name)) for name, item in items}
    if isinstance(value, list | tuple):
        return [masked(item, key=key) for item in cast("list[Any]", value)]
    hidden = mask(value)[0] if isinstance(value, str) else value
    return MASK if hidden == value and is_secret(value, key) else hidden


def _prefix_hash(path: Path, size: int) -> Any:
    digest = hashlib.sha256()
    try:
        with open_regular(path) as file:
            while size > 0 and (piece := file.read(min(size, CHUNK))):
                digest.update(piece)
                size -= len(piece)
    except OSError:
        pass
    return digest


def _rows(lines: bytes) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for line in lines.split(b"\n"):
        try:
            row = orjson.loads(line)
        except ValueError:
            continue  # damage is counted by the journal's own reader
        if isinstance(row, dict):
            rows.append(row)
    return rows


def _numbers(values: Any) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in (cast("dict[str, Any]", values) if isinstance(values, dict) else {}).items():
        try:
            found[name] = unspell(value)
        except (ValueError, OverflowError):
            continue
    return found


def _seconds(stamp: Any) -> float | None:
    try:
        return datetime.fromisoformat(str(stamp)).timestamp()
    except (ValueError, OverflowError):
        return None
