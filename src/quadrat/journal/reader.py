"""Reads a run folder: complete, running, crashed or damaged. It never raises for what it finds there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, final

from quadrat.core.errors import StoreError
from quadrat.core.verdicts import Status
from quadrat.journal.atomic import read_json
from quadrat.journal.config_yaml import load_yaml
from quadrat.journal.layout import RESULTS, RunFolder
from quadrat.journal.ndjson import Rows, read_rows
from quadrat.journal.plain import unspell
from quadrat.journal.process import ProcessId, boot_time
from quadrat.journal.series import Series, build_series
from quadrat.journal.summary import summarize
from quadrat.journal.tail import first_rows, last_rows, rows_since

__all__ = ["HEARTBEAT_SECONDS", "Progress", "RunView", "Series"]

HEARTBEAT_SECONDS: Final = 60.0
"""How old the last sign of life of a process on another machine may be."""

_STARTED = b'{"event":"started"'
_NO_ROWS = Rows([], torn=False, damaged=0, damaged_lines=())


@final
@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. None stands for what is not known.

    Attributes:
        step: the last step measured, 0 before the first.
        total: steps in all, when the run has said so (a ``derived`` note with ``total_steps``).
        heartbeat_age: seconds since the last sign of life.
        cpu_s: CPU seconds of this attempt so far.
        rss: memory in use, in bytes.
    """

    step: int
    total: int | None
    heartbeat_age: float | None
    cpu_s: float | None
    rss: int | None


@final
@dataclass(frozen=True, slots=True)
class RunView:
    """One run as its folder shows it now. Nothing is remembered between two questions."""

    folder: RunFolder

    @property
    def name(self) -> str:
        """The run's name."""
        return self.folder.name

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.folder.path

    @property
    def stage(self) -> str | None:
        """The stage it belongs to: as recorded, else as its place in ``results/`` says."""
        told = self._last_attempt()
        if "stage" in told:
            return str(told["stage"]) if told["stage"] is not None else None
        above = self.folder.path.resolve().parents
        return above[0].name if len(above) > 2 and above[2].name == RESULTS else None

    def status(self) -> Status:
        """Where the run stands, from its files and from the process that wrote them."""
        if self.folder.manifest.is_file():
            verdict = self.verdict() or {}
            told = verdict.get("status")
            return Status(told) if told in list(Status) else Status.LOST
        return self._status_of_process()

    def config(self) -> dict[str, Any]:
        """The resolved config; empty when it is missing or damaged."""
        try:
            config = load_yaml(self.folder.config)
        except StoreError:
            return {}
        return config if isinstance(config, dict) else {}

    def attempts(self) -> list[dict[str, Any]]:
        """One row per attempt, oldest first."""
        return _rows(self.folder.params).rows

    def point(self) -> dict[str, Any]:
        """The axis values of this run."""
        return _mapping(self._last_attempt().get("point"))

    def arm(self) -> str | None:
        """The named arm it belongs to, if any."""
        arm = self._last_attempt().get("arm")
        return arm if isinstance(arm, str) else None

    def seed(self) -> int | None:
        """The seed that was applied, or asked for when none was recorded as applied."""
        told = self._last_attempt()
        seed = told.get("seed_applied", told.get("seed_requested"))
        return seed if isinstance(seed, int) else None

    def series(self) -> dict[str, Series]:
        """Every metric, step by step."""
        return build_series(_rows(self.folder.metrics).rows)[0]

    def final(self) -> dict[str, float]:
        """The last value of every metric; non-finite ones as such."""
        found: dict[str, float] = {}
        for name, value in _mapping(self._sums().get("final")).items():
            try:
                found[name] = unspell(value)
            except ValueError:
                continue
        return found

    def summary(self) -> dict[str, Any]:
        """The content of ``metrics.json``, or the same worked out from the rows so far."""
        return self._sums()

    def events(self) -> list[dict[str, Any]]:
        """Everything with a clock, oldest first."""
        return _rows(self.folder.events).rows

    def derived(self) -> dict[str, Any]:
        """Parameters computed from config or data, of all attempts; later ones win."""
        found: dict[str, Any] = {}
        for row in self.attempts():
            found |= _mapping(row.get("derived"))
        for event in self.events():
            if event.get("event") == "note" and event.get("kind") == "derived":
                found |= _mapping(event.get("data"))
        return found

    def verdict(self) -> dict[str, Any] | None:
        """The content of ``verdict.json``; None when there is none that can be read."""
        try:
            verdict = read_json(self.folder.verdict)
        except StoreError:
            return None
        return verdict if isinstance(verdict, dict) else None

    def error(self) -> dict[str, Any] | None:
        """What ended a failed run: ``type``, ``message``, ``where``, ``traceback``."""
        error = (self.verdict() or {}).get("error")
        return error if isinstance(error, dict) else None

    def progress(self) -> Progress:
        """How far the run is, from the ends of its files alone."""
        events = last_rows(self.folder.events)
        beats = [event for event in events if event.get("event") == "heartbeat"]
        beat = beats[-1] if beats else {}
        measured = [row["step"] for row in last_rows(self.folder.metrics) if isinstance(row.get("step"), int)]
        step = measured[-1] if measured else beat.get("step", 0)
        return Progress(
            step=step if isinstance(step, int) else 0,
            total=_total(first_rows(self.folder.events)) or _total(events),
            heartbeat_age=max(0.0, age) if (age := _age(events)) is not None else None,
            cpu_s=_number(beat.get("cpu_s")),
            rss=int(rss) if (rss := _number(beat.get("rss"))) is not None else None,
        )

    def damage(self) -> list[str]:
        """What is wrong with the folder, in words; empty when nothing is."""
        found: list[str] = []
        for path in (self.folder.params, self.folder.metrics, self.folder.events):
            found += _damage_of_rows(path)
        for path in (self.folder.verdict, self.folder.metrics_json, self.folder.manifest):
            found += _damage_of_json(path)
        if self.folder.config.exists() or self.folder.config.is_symlink():
            try:
                load_yaml(self.folder.config)
            except StoreError as error:
                found.append(f"{self.folder.config.name}: {error.what}")
        verdict = self.verdict() or {}
        if verdict.get("lost_rows"):
            found.append(f"metrics.ndjson: {verdict['lost_rows']} rows were lost when they could not be written")
        if self.folder.manifest.is_file() and verdict.get("status") not in list(Status):
            found.append("verdict.json: the run is sealed but names no known status")
        return found

    def _last_attempt(self) -> Mapping[str, Any]:
        rows = last_rows(self.folder.params) or self.attempts()
        return rows[-1] if rows else {}

    def _sums(self) -> dict[str, Any]:
        try:
            sums = read_json(self.folder.metrics_json)
            if isinstance(sums, dict) and isinstance(sums.get("final"), dict):
                return sums
        except StoreError:
            pass
        return summarize(_rows(self.folder.metrics).rows)

    def _status_of_process(self) -> Status:
        attempt = rows_since(self.folder.events, _STARTED)
        if not attempt:
            return Status.PENDING
        if attempt[-1].get("event") == "left":
            return Status.LOST
        try:
            process = ProcessId.from_dict(_mapping(attempt[0].get("process")))
        except ValueError:
            return Status.LOST
        if process.is_here():
            return Status.RUNNING if process.is_alive() else Status.LOST
        age = _age(attempt)
        if age is None or abs(age) > HEARTBEAT_SECONDS:
            return Status.LOST
        # Same name, another start: this machine has restarted since, unless the sign of life is younger.
        restarted = process.is_same_host() and time.time() - age < boot_time()
        return Status.LOST if restarted else Status.RUNNING


def _rows(path: Path) -> Rows:
    try:
        return read_rows(path)
    except OSError:
        return _NO_ROWS


def _damage_of_rows(path: Path) -> list[str]:
    try:
        rows = read_rows(path)
    except FileNotFoundError:
        return []
    except OSError as error:
        return [f"{path.name}: cannot be read ({error.strerror or error})"]
    found: list[str] = []
    if rows.damaged:
        places = ", ".join(str(line) for line in rows.damaged_lines[:5])
        found.append(f"{path.name}: {rows.damaged} damaged lines (line {places}{', ...' if rows.damaged > 5 else ''})")
    if rows.torn:
        found.append(f"{path.name}: torn at its end, after {len(rows.rows)} good rows")
    if path.name == "metrics.ndjson":
        bad = build_series(rows.rows)[1]
        if bad:
            found.append(f"{path.name}: {bad} rows or values are no metrics")
    return found


def _damage_of_json(path: Path) -> list[str]:
    if not (path.exists() or path.is_symlink()):
        return []
    try:
        value = read_json(path)
    except StoreError as error:
        return [f"{path.name}: {error.what}"]
    return [] if isinstance(value, dict) else [f"{path.name}: does not hold a mapping"]


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _total(events: list[dict[str, Any]]) -> int | None:
    for event in reversed(events):
        total = _mapping(event.get("data")).get("total_steps")
        if event.get("kind") == "derived" and isinstance(total, int):
            return total
    return None


def _age(events: list[dict[str, Any]]) -> float | None:
    for event in reversed(events):
        try:
            return time.time() - datetime.fromisoformat(str(event["time"])).timestamp()
        except (KeyError, ValueError, OverflowError):
            continue
    return None
