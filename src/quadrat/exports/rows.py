"""A study as the two row files of codex_ml: ``params.ndjson``, a row an attempt, ``metrics.ndjson``, a row a value.

Each row carries ``$schema`` and ``schema_version`` and stands for itself: run id, UNIX time, and what it is about. A
metric ``test_id/accuracy`` becomes ``split: test_id, metric: accuracy``; the name it has here is in ``tags.name``. A
value that is no number is null, and ``tags.nonfinite`` says which (``nan``, ``inf``, ``-inf``). The journal's rows of
metrics have no clock, so their times are worked out from the run's heartbeats. Source: seed 003.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import orjson

from quadrat.analyze.rows import Row, moment
from quadrat.analyze.table import load_study_table
from quadrat.core.errors import UsageError
from quadrat.exports.base import Staging, Tick, Written, staged, unfinished
from quadrat.exports.secrecy import shielded
from quadrat.exports.tables import split_of
from quadrat.journal.atomic import read_mapping
from quadrat.journal.layout import StudyFolder
from quadrat.journal.ndjson import Tally, scan_rows
from quadrat.journal.plain import plain, unspell

PARAMS_SCHEMA: Final = "https://codexml.ai/schemas/run_params.schema.json"
METRICS_SCHEMA: Final = "https://codexml.ai/schemas/run_metrics.schema.json"
VERSION: Final = "v1"


@final
class RowsExporter:
    """A folder with ``params.ndjson`` and ``metrics.ndjson`` of all runs that have begun."""

    @property
    def ending(self) -> str:
        """The folder's ending."""
        return "-rows"

    def write(self, study: StudyFolder, target: Path, *, tick: Tick) -> Written:
        """Write both files.

        Raises:
            UsageError: no run has begun, beside the reasons of every export.
        """
        notes = list(unfinished(study))
        table = load_study_table(study)
        begun = [row for row in table.rows if row.view is not None]
        if not begun:
            raise UsageError("no run of this study has begun, so there are no rows.", where=study.name)
        with staged(target) as stage:
            with stage.open("params.ndjson") as file:
                for row in begun:
                    for told in _params(study.name, row):
                        file.write(_line(stage, "params.ndjson", told))
            with stage.open("metrics.ndjson") as file:
                for done, row in enumerate(begun, 1):
                    for told in _metrics(study.name, row, notes):
                        file.write(orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE))
                    tick(done, len(begun))
        left = len(table.rows) - len(begun)
        return stage.written(target, *notes, *([f"{left} declared runs have not begun."] if left else []))


@final
class Clock:
    """When a run was at a step, as far as its events tell: between two of them it went at an even pace.

    What an attempt did after the checkpoint from which the next one went on was cut from the rows, and counts no more.
    """

    def __init__(self, row: Row) -> None:
        steps: list[float] = []
        times: list[float] = []
        for event in row.events:
            time, step = moment(event), event.get("step", 0 if event.get("event") == "started" and not steps else None)
            if time is None or not isinstance(step, int):
                continue
            while steps and steps[-1] >= step:
                steps.pop()
                times.pop()
            steps.append(step)
            times.append(time.timestamp())
        first = moment(row.attempts[0]) if row.attempts else None
        self._steps, self._times = steps or [0.0], times or [first.timestamp() if first else 0.0]

    def at(self, step: int) -> float:
        """UNIX seconds, to the millisecond."""
        return round(float(np.interp(step, self._steps, self._times)), 3)


def _params(study: str, row: Row) -> Iterator[dict[str, Any]]:
    """One row for each attempt."""
    config, derived = row.config(), row.derived()
    for attempt in row.attempts:
        time = moment(attempt)
        named = ("identity", "config_sha256", "code_sha256", "data_sha256", "trainable", "resumed_from", "device")
        seed = attempt.get("seed_applied", attempt.get("seed_requested"))
        yield {
            "$schema": PARAMS_SCHEMA,
            "schema_version": VERSION,
            "timestamp": time.timestamp() if time else 0.0,
            "run_id": run_id(study, row),
            "cli": {"argv": [str(word) for word in attempt.get("argv") or ()]},
            "config": dict(config),
            "derived": {"seed": seed, **derived},
            "metadata": {
                "experiment": study,
                "tracking": {"output_dir": f"results/{study}", "run_dir": f"results/{run_id(study, row)}"},
                "attempt": attempt.get("attempt"),
                "stage": row.stage,
                "arm": row.arm,
                "point": dict(row.declared.point),
                "status": str(row.status),
                "seed_requested": attempt.get("seed_requested"),
                "seed_applied": attempt.get("seed_applied"),
                **{key: attempt.get(key) for key in named},
            },
        }


def _metrics(study: str, row: Row, notes: list[str]) -> Iterator[dict[str, Any]]:
    """One row for each value, in the order in which the run measured them."""
    if row.view is None or not row.view.folder.metrics.is_file():
        return
    folder = row.view.folder
    clock, tally, identity = Clock(row), Tally(), run_id(study, row)
    data = read_mapping(folder.data).get("folder")
    dataset = data.rpartition("/")[2] if isinstance(data, str) else None
    commit = read_mapping(folder.git).get("commit")
    told = {"stage": row.stage, "arm": row.arm, "seed": row.seed, "commit": str(commit)[:12] if commit else None}
    tags = {key: value for key, value in told.items() if value is not None}
    names: dict[str, tuple[str, str]] = {}
    for found in scan_rows(folder.metrics, tally):
        step, values = found.get("step"), found.get("metrics")
        if not isinstance(step, int) or not isinstance(values, Mapping):
            continue
        time = clock.at(step)
        for name, value in values.items():
            split, metric = names.setdefault(name, parted(name))
            number, kind = _value(value)
            yield {
                "$schema": METRICS_SCHEMA,
                "schema_version": VERSION,
                "timestamp": time,
                "run_id": identity,
                "step": step,
                "split": split,
                "metric": metric,
                "value": number,
                "dataset": dataset,
                "tags": {**tags, "name": name, **({"nonfinite": kind} if kind else {})},
            }
    if tally.damaged or tally.torn:
        notes.append(f"{identity}: {tally.damaged} damaged lines left out{', torn at its end' if tally.torn else ''}.")


def run_id(study: str, row: Row) -> str:
    """A run's name that no other run of the project has: its folder below ``results``."""
    return f"{study}/{row.declared.place}"


def parted(name: str) -> tuple[str, str]:
    """Split and metric of a metric's full name; the split is empty where the name tells none."""
    split = split_of(name)
    parts = re.split(r"([/.])", name)
    if not split or len(parts) == 1:
        return "", name
    place = parts.index(split)
    rest = parts[:place] + parts[place + 2 :] if place + 2 <= len(parts) else parts[: place - 1]
    return split, "".join(rest)


def _value(value: Any) -> tuple[float | None, str]:
    """A value as a row holds it, and the name of one that is no number."""
    try:
        number = unspell(value)
    except ValueError:
        return None, ""
    return (number, "") if math.isfinite(number) else (None, str(number))


def _line(stage: Staging, name: str, row: dict[str, Any]) -> bytes:
    kept, found = shielded(plain(row, lenient=True))
    stage.count(name, found)
    return orjson.dumps(kept, option=orjson.OPT_APPEND_NEWLINE)
