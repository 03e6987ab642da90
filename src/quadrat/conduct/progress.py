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
    """What the conductor knows of its own.

    Attributes:
        statuses: of every run so far.
        paces: of each finished task, seconds for a unit of its cost.
        slots: how many tasks may be at work at once.
    """

    statuses: Mapping[str, Status]
    paces: Sequence[float]
    slots: int


def snapshot(
    folder: StudyFolder, tally: Tally, *, running: Sequence[tuple[Task, float]], waiting: float, elapsed: float
) -> Snapshot:
    """One picture of the study.

    Args:
        folder: where its runs are.
        tally: what the conductor knows of its own.
        running: each task at work and for how many seconds.
        waiting: what the tasks that have not begun cost together.
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
        eta_s=_eta(tally, waiting, running=[(line, *at_work) for line, at_work in zip(lines, running, strict=True)]),
    )


def _line(folder: StudyFolder, task: Task) -> RunProgress:
    """A task is as far as its first run; the members of a pack go in step."""
    seen = RunView(folder.run_folder(task.specs[0])).progress()
    fraction = seen.step / seen.total if seen.total else None
    return RunProgress(name=task.name, step=seen.step, total=seen.total, fraction=fraction)


def _eta(tally: Tally, waiting: float, *, running: Sequence[tuple[RunProgress, Task, float]]) -> float | None:
    """Seconds to go: work left divided by slots. None before anything is known about how long a run takes."""
    forecasts = [
        age / line.fraction / task.cost for line, task, age in running if line.fraction and line.fraction > 0.02
    ]
    known = [*tally.paces, *forecasts]
    if not known:
        return None
    typical = sum(known) / len(known)
    whole = [(age / line.fraction if line.fraction else typical * task.cost, age) for line, task, age in running]
    rest = sum(max(0.0, total - age) for total, age in whole)
    return (waiting * typical + rest) / max(1, tally.slots)
