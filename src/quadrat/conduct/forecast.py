"""Before a sweep: one run alone for a few seconds, and from it what all of them will take."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from quadrat.conduct.costs import pace, relative_cost
from quadrat.conduct.jobs import CAPTURED, Launch, order_for
from quadrat.core.errors import RunError, StoreError
from quadrat.core.spec import Job, RunSpec
from quadrat.journal.layout import StudyFolder
from quadrat.launchers.base import Launcher
from quadrat.run import canary, order
from quadrat.run.canary import Song
from quadrat.run.saving import FALLBACKS

SWEEP: Final = 12
"""From how many runs on a canary is worth its seconds."""

FOLDER: Final = ".canary"
SMALL_FILES: Final = 100_000
"""Bytes of config, environment, events and the like in one run folder."""

LOG_TAIL: Final = 2000


@final
@dataclass(frozen=True, slots=True)
class Forecast:
    """What runs will take. ``seconds`` is wall time over all slots; None when the canary could not tell."""

    runs: int
    seconds: float | None
    disk_bytes: int
    free_bytes: int
    peak_bytes: int

    def text(self) -> str:
        """One line for a person."""
        time = "an unknown time" if self.seconds is None else f"at most {spell(self.seconds)}"
        disk, free = self.disk_bytes / 1e9, self.free_bytes / 1e9
        return (
            f"{self.runs} runs, {time}, {disk:.2g} GB of disk ({free:.0f} GB free), "
            f"{self.peak_bytes / 1e9:.1f} GB of memory a run"
        )

    def check(self, study: str) -> None:
        """Refuse when the disk will not do.

        Raises:
            StoreError: with the figures.
        """
        if self.disk_bytes > self.free_bytes:
            raise StoreError(
                f"{self.runs} runs need about {self.disk_bytes / 1e9:.2g} GB of disk, "
                f"and {self.free_bytes / 1e9:.2g} GB are free.",
                where=f"results/{study}",
                remedy="free some space, keep fewer checkpoints (checkpoint: {keep: [last]}), or --no-canary.",
            )


def try_one(
    launch: Launch, folder: StudyFolder, *, spec: RunSpec, launcher: Launcher, go_on: Callable[[], bool]
) -> Song | None:
    """Let one run go alone through a few steps; None when it was interrupted.

    Raises:
        RunError: it failed; the end of its log is in the message, and nothing else has been started.
    """
    where = folder.jobs / FOLDER
    shutil.rmtree(where, ignore_errors=True)
    captured = (folder.jobs / CAPTURED).relative_to(launch.root).as_posix()
    told = order_for(launch, spec, captured=captured)
    order.write(where, [told])
    job = Job(
        name=f"canary of {spec.name}",
        folder=where,
        command=(sys.executable, "-c", f"from quadrat.run.canary import sing; sing({str(where)!r})"),
        entry="quadrat.run.canary:sing",
        log=where / "train.log",
        resources=told.resources,
        preload=("quadrat.run.worker", spec.trainable.partition(":")[0]),
        python_path=told.python_path,
    )
    handle = launcher.submit(job)
    while (code := handle.poll()) is None:
        if not go_on():
            handle.kill()
            return None
        launcher.wait(0.25)
    if code != 0:
        raise RunError(
            f"the first run failed within its first steps, so none was started.\n{_tail(job.log)}",
            where=f"{launch.study.name}/{spec.name}",
            remedy="mend it and run again, or --no-canary to start the others all the same.",
        )
    return canary.read(where)


def forecast(launch: Launch, todo: Sequence[RunSpec], *, song: Song, slots: int) -> Forecast:
    """What ``todo`` will take, from what the first of them took. Packing is left out, so it is an upper bound."""
    keep = launch.study.file.checkpoint.keep
    kept = FALLBACKS + ("best" in keep)
    steps = song.total_steps or 0
    one = song.checkpoint_bytes * (kept + 1) + song.row_bytes_per_step * steps + SMALL_FILES
    seconds = None
    at = pace(launch.study, todo[0], song=song)
    if at is not None:
        seconds = at * sum(relative_cost(launch.study, spec) for spec in todo) / min(slots, len(todo))
    free = shutil.disk_usage(_existing(launch.root)).free
    return Forecast(len(todo), seconds, int(one * len(todo)), free, song.peak_bytes)


def spell(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _tail(log: Path) -> str:
    if not log.exists():
        return ""
    return log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:].strip()
