"""The canary: the first run of a sweep goes alone through a few steps, and what it took is the forecast for all.

It writes into its job folder only; the run itself starts afresh later.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, final

import psutil

from quadrat.core.context import Context
from quadrat.core.events import Checkpoint, Event, Metrics, Note
from quadrat.journal.atomic import read_json, write_json
from quadrat.journal.ndjson import encode_metrics
from quadrat.launchers.entry import put_on_path
from quadrat.run import order
from quadrat.run.data import data_of
from quadrat.study.trainable import resolve
from quadrat.tensor import seeding

RESULT: Final = "canary.json"
ENOUGH_SECONDS: Final = 5.0
"""How long the canary sings, once it has begun to step."""

WARM_UP: Final = 2
"""Offers of a checkpoint before the clock starts: the first steps pay for everything that is done once."""


@final
@dataclass(frozen=True, slots=True)
class Song:
    """What a few steps of one run took.

    Attributes:
        seconds_before: from the start to the first step: imports are not in it, data and set-up are.
        seconds_per_step: wall time of a step, measurements and their rows included; None when nothing stepped.
        total_steps: how many there will be, when the science says so in its derived parameters.
        peak_bytes: resident memory of the process at its largest.
        checkpoint_bytes: one checkpoint on disk.
        row_bytes_per_step: metrics rows written per step.
    """

    seconds_before: float
    seconds_per_step: float | None
    total_steps: int | None
    peak_bytes: int
    checkpoint_bytes: int
    row_bytes_per_step: float


def sing(job: Path) -> int:
    """Run the first order of a job folder for a few seconds and leave ``canary.json`` there."""
    told, scratch = order.read(job)[0], job / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    put_on_path(told.python_path)
    began = time.monotonic()
    trainable = resolve(told.spec.trainable)
    config = trainable.config_class.model_validate(dict(told.spec.config))
    data = data_of(trainable, config, spec=told.spec, root=job.parents[3])
    seeding.apply(told.spec.seed)
    seeding.pin(told.resources.threads)
    context = Context(
        seed=told.spec.seed,
        device=seeding.default_device(told.resources.gpus),
        data=data.folder if data else None,
        scratch=scratch,
    )
    try:
        song = _listen(trainable.train(config, context), scratch, began=began)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    write_json(job / RESULT, {"schema": 1, **asdict(song)})
    return 0


def read(job: Path) -> Song | None:
    """What the canary left, or None when it did not come back."""
    if not (job / RESULT).exists():
        return None
    raw: dict[str, Any] = read_json(job / RESULT)
    raw.pop("schema")
    return Song(**raw)


def _listen(events: Iterator[Event], scratch: Path, *, began: float) -> Song:
    total, size, row_bytes = None, 0, 0
    offers, first_step, first_time, last_step, last_time = 0, 0, 0.0, 0, 0.0
    before = None
    for event in events:
        match event:
            case Note(kind="derived", data=data):
                total = data.get("total_steps", total)
            case Metrics():
                row_bytes += len(encode_metrics(event.step, event.values, refuse=lambda key, reason: None))
            case Checkpoint():
                before = time.monotonic() - began if before is None else before
                offers += 1
                if offers == WARM_UP:
                    size = _size_of(event, scratch)
                    first_step, first_time = event.step, time.monotonic()
                last_step, last_time = event.step, time.monotonic()
                if offers > WARM_UP and last_time - first_time > ENOUGH_SECONDS:
                    break
            case _:
                pass
    steps = last_step - first_step
    return Song(
        seconds_before=time.monotonic() - began if before is None else before,
        seconds_per_step=(last_time - first_time) / steps if offers > WARM_UP and steps > 0 else None,
        total_steps=total if isinstance(total, int) else None,
        peak_bytes=psutil.Process().memory_info().rss,
        checkpoint_bytes=size,
        row_bytes_per_step=row_bytes / last_step if last_step else 0.0,
    )


def _size_of(offer: Checkpoint, scratch: Path) -> int:
    from quadrat.tensor import checkpoint, rng

    folder = scratch / "checkpoint"
    folder.mkdir()
    checkpoint.save(folder, {"state": offer.state(), "rng": rng.capture(), "epoch": offer.epoch})
    return sum(path.stat().st_size for path in folder.iterdir())
