"""How a study stands right now, read from its journal: what the console shows while jobs run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from quadrat.conduct.jobs import Task
from quadrat.core.verdicts import Status
from quadrat.journal.layout import StudyFolder
from quadrat.journal.reader import RunView
from quadrat.sinks.base import RunProgress, Snapshot


@final
@dataclass(frozen=True, slots=True)
class Tally:
    """What the conductor knows of its own: statuses so far and how long finished tasks took, in seconds."""

    statuses: Mapping[str, Status]
    durations: Sequence[float]
    slots: int


def snapshot(
    folder: StudyFolder, tally: Tally, *, running: Sequence[tuple[Task, float]], waiting: int, elapsed: float
) -> Snapshot:
    """One picture of the study.

    Args:
        folder: where its runs are.
        tally: what the conductor knows of its own.
        running: each task at work and for how many seconds.
        waiting: tasks that have not begun.
        elapsed: seconds since the launch.
    """
    counts = dict.fromkeys(Status, 0)
    for status in tally.statuses.values():
        counts[status] += 1
    lines = tuple(_line(folder, task) for task, _ in running)
    done = counts[Status.COMPLETED] + counts[Status.STOPPED] + counts[Status.FAILED]
    left = len(tally.statuses) - done - counts[Status.SKIPPED]
    return Snapshot(
        study=folder.name,
        planned=len(tally.statuses),
        completed=counts[Status.COMPLETED],
        failed=counts[Status.FAILED],
        stopped=counts[Status.STOPPED],
        running=lines,
        left=left,
        elapsed_s=elapsed,
        eta_s=_eta(tally, waiting, [(line, age) for line, (_, age) in zip(lines, running, strict=True)]),
    )


def _line(folder: StudyFolder, task: Task) -> RunProgress:
    """A task is as far as its first run; the members of a pack go in step."""
    seen = RunView(folder.run_folder(task.specs[0])).progress()
    fraction = seen.step / seen.total if seen.total else None
    return RunProgress(name=task.name, step=seen.step, total=seen.total, fraction=fraction)


def _eta(tally: Tally, waiting: int, running: Sequence[tuple[RunProgress, float]]) -> float | None:
    """Seconds to go: work left divided by slots. None before anything is known about how long a run takes."""
    forecasts = [age / line.fraction for line, age in running if line.fraction and line.fraction > 0.02]
    known = [*tally.durations, *forecasts]
    if not known:
        return None
    typical = sum(known) / len(known)
    rest = sum(max(0.0, (age / line.fraction if line.fraction else typical) - age) for line, age in running)
    return (waiting * typical + rest) / max(1, tally.slots)
