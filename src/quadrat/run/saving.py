"""Checkpoints: which offers are taken, how they reach the disk, which are kept, which one a run resumes from."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from quadrat.core.errors import RunError, StoreError
from quadrat.core.events import Checkpoint
from quadrat.journal.atomic import read_json, write_json
from quadrat.journal.seal import hash_file
from quadrat.run.order import Keep

META = "meta.json"
BEST = "best.json"
FALLBACKS = 2
"""How many of the newest are kept, so that one that does not verify leaves another."""


@final
@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint on disk that verified."""

    folder: Path
    step: int
    metrics_offset: int
    made_with: Mapping[str, Any]
    epoch: int | None
    state: Mapping[str, Any]
    rng: Mapping[str, Any]


@final
class Saver:
    """Takes up offers of a checkpoint by policy and keeps the folder ``checkpoints/`` in order."""

    def __init__(
        self,
        folder: Path,
        keep: Keep,
        *,
        made_with: Mapping[str, Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._keep = keep
        self._made_with = dict(made_with)
        self._clock = clock
        self._last_time = clock()
        self._last_step = self._last_epoch = 0
        self._current = math.nan
        self._last_of_all: int | None = None
        self._best = self._read_best()

    def begin_at(self, step: int, epoch: int | None) -> None:
        """Count from here: the run was resumed."""
        self._last_step, self._last_epoch = step, epoch or 0

    def expect(self, total_steps: Any) -> None:
        """The science has said how long it is: the offer at its last step is taken whatever the policy."""
        self._last_of_all = total_steps if isinstance(total_steps, int) else None

    def observe(self, values: Mapping[str, float]) -> None:
        """Remember the metric that ``best`` is about."""
        if self._keep.metric is not None and self._keep.metric in values:
            self._current = float(values[self._keep.metric])

    def is_due(self, offer: Checkpoint) -> bool:
        """Whether the policy takes this offer up.

        Raises:
            RunError: the policy counts epochs and the offer names none.
        """
        if self._is_best() or offer.step == self._last_of_all:
            return True
        match self._keep.unit:
            case "steps":
                return offer.step - self._last_step >= self._keep.count
            case "epochs":
                if offer.epoch is None:
                    raise RunError(
                        "the checkpoint policy counts epochs, but the trainable's Checkpoint names none.",
                        where="checkpoint.every",
                        remedy="count steps instead (every: 100 steps), or yield Checkpoint(step, state, epoch=...).",
                    )
                return offer.epoch - self._last_epoch >= self._keep.count
            case _:
                return self._clock() - self._last_time >= self._keep.count

    def save(self, offer: Checkpoint, *, metrics_offset: int) -> dict[str, Any]:
        """Write the offer, verify it, drop those no longer kept; return facts for the event.

        The folder gets its name only when every byte in it is on disk.

        Raises:
            OSError: the disk is full or unwritable; checkpoints saved before are untouched.
        """
        from quadrat.tensor import checkpoint, rng

        self._folder.mkdir(exist_ok=True)
        name = f"step-{offer.step:08d}"
        scratch = self._folder / f".{name}.partial"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        try:
            # The random state first: nothing that saving does may shift it.
            random_state = rng.capture()
            checkpoint.save(scratch, {"state": offer.state(), "rng": random_state, "epoch": offer.epoch})
            files = {path.name: hash_file(path) for path in sorted(scratch.iterdir())}
            for path in scratch.iterdir():
                _fsync(path)
            meta = {
                "schema": 1,
                "step": offer.step,
                "metrics_offset": metrics_offset,
                "made_with": self._made_with,
                "files": files,
            }
            write_json(scratch / META, meta)
            self._publish(scratch, self._folder / name)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        self._last_time, self._last_step, self._last_epoch = self._clock(), offer.step, offer.epoch or 0
        self._note_best(name)
        self._prune()
        size = sum(path.stat().st_size for path in (self._folder / name).iterdir())
        return {"step": offer.step, "folder": f"checkpoints/{name}", "bytes": size, "files": files}

    def _publish(self, scratch: Path, target: Path) -> None:
        if target.exists():
            shutil.rmtree(target)
        scratch.rename(target)
        _fsync(self._folder)

    def _is_best(self) -> bool:
        if "best" not in self._keep.keep or not math.isfinite(self._current):
            return False
        if self._best is None:
            return True
        sign = 1 if self._keep.goal == "max" else -1
        return sign * (self._current - self._best) > 0

    def _note_best(self, name: str) -> None:
        if self._is_best():
            self._best = self._current
            write_json(self._folder / BEST, {"folder": name, "metric": self._keep.metric, "value": self._best})

    def _read_best(self) -> float | None:
        path = self._folder / BEST
        return float(read_json(path)["value"]) if path.exists() else None

    def _prune(self) -> None:
        best = self._folder / BEST
        kept = {read_json(best)["folder"]} if best.exists() else set[str]()
        kept |= {path.name for path in listing(self._folder)[-FALLBACKS:]}
        for path in listing(self._folder):
            if path.name not in kept:
                shutil.rmtree(path)


def listing(folder: Path) -> list[Path]:
    """The checkpoints in ``folder``, oldest first."""
    return sorted(path for path in folder.glob("step-*") if path.is_dir() and not path.is_symlink())


def damage(folder: Path) -> str | None:
    """What is wrong with one checkpoint, or None: every file is hashed again."""
    try:
        meta = read_json(folder / META)
        for name, told in meta["files"].items():
            if hash_file(folder / name) != told:
                return f"{name} does not match its hash"
    except (OSError, StoreError, KeyError, TypeError, AttributeError) as error:
        return f"unreadable ({type(error).__name__}: {error})"
    return None


def newest(folder: Path, *, metrics_bytes: int) -> tuple[Saved | None, list[str]]:
    """The newest checkpoint that verifies, and a line about each newer one that does not.

    One that counts on more than ``metrics_bytes`` of written rows is passed over: going on from it would
    leave a hole in the series.
    """
    from quadrat.tensor import checkpoint

    complaints: list[str] = []
    for path in reversed(listing(folder)):
        wrong = damage(path) or _beyond(path, metrics_bytes)
        if wrong is not None:
            complaints.append(f"checkpoint {path.name}: {wrong}; falling back to the one before")
            continue
        meta, content = read_json(path / META), checkpoint.load(path)
        saved = Saved(
            folder=path,
            step=int(meta["step"]),
            metrics_offset=int(meta["metrics_offset"]),
            made_with=meta["made_with"],
            epoch=content["epoch"],
            state=content["state"],
            rng=content["rng"],
        )
        return saved, complaints
    return None, complaints


def _beyond(folder: Path, metrics_bytes: int) -> str | None:
    wanted = int(read_json(folder / META)["metrics_offset"])
    return f"it counts on {wanted} bytes of metrics, {metrics_bytes} are there" if wanted > metrics_bytes else None


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def trial(folder: Path) -> str | None:
    """What goes wrong when one checkpoint is verified and loaded, or None."""
    from quadrat.tensor import checkpoint

    wrong = damage(folder)
    if wrong is not None:
        return wrong
    try:
        checkpoint.load(folder)
    except Exception as error:  # whatever a decoder raises is the answer here
        return f"does not load ({type(error).__name__}: {error})"
    return None
