"""From runs still to do to jobs on disk that any launcher can place."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from quadrat.conduct.costs import compiles, relative_cost
from quadrat.core.secrets import masked_words
from quadrat.core.spec import Job, RunSpec
from quadrat.journal.layout import StudyFolder
from quadrat.run import capture, order
from quadrat.run.order import Keep, WorkOrder
from quadrat.study.load import Study

ENTRY = "quadrat.run.worker:work"
CAPTURED = ".captured"


@final
@dataclass(frozen=True, slots=True)
class Launch:
    """What all jobs of one launch share."""

    study: Study
    root: Path
    argv: tuple[str, ...]
    allow_drift: bool = False
    canary: bool = True


@final
@dataclass(frozen=True, slots=True)
class Task:
    """Runs that share a job, and the job. One run, or many that are packed. ``cost`` is what it takes beside others."""

    specs: tuple[RunSpec, ...]
    job: Job
    compiled: bool = False
    cost: float = 1.0

    @property
    def name(self) -> str:
        """The run's name, or the first one's and how many more."""
        first, *others = self.specs
        return f"{first.name} +{len(others)}" if others else first.name


def capture_once(folder: StudyFolder, root: Path) -> str:
    """Record machine and code once for a launch; return the folder relative to the root."""
    target = folder.jobs / CAPTURED
    target.mkdir(parents=True, exist_ok=True)
    capture.write(target, root)
    return target.relative_to(root).as_posix()


def write_tasks(
    launch: Launch, folder: StudyFolder, *, batches: Sequence[Sequence[RunSpec]], pace: float | None = None
) -> list[Task]:
    """Write a job for each batch of runs and return them in order. ``pace`` is what the canary found."""
    captured = (folder.jobs / CAPTURED).relative_to(launch.root).as_posix()
    return [_write_task(launch, folder, tuple(batch), captured=captured, pace=pace) for batch in batches]


def _write_task(
    launch: Launch, folder: StudyFolder, specs: tuple[RunSpec, ...], *, captured: str, pace: float | None
) -> Task:
    job = _job(launch, folder, specs)
    compiled = compiles(launch.study, specs, at=pace)
    orders = [order_for(launch, spec, captured=captured) for spec in specs]
    order.write(job.folder, [replace(told, compile=compiled) for told in orders])
    return Task(specs, job, compiled, sum(relative_cost(launch.study, spec) for spec in specs))


def order_for(launch: Launch, spec: RunSpec, *, captured: str) -> WorkOrder:
    """What a worker must know about one run."""
    return WorkOrder(
        spec=spec,
        resources=launch.study.resources,
        keep=keep_of(launch.study, spec.stage),
        rules=rules_of(launch.study),
        captured=captured,
        python_path=tuple(str(path) for path in launch.study.python_path),
        allow_drift=launch.allow_drift,
        argv=tuple(masked_words(launch.argv)),
    )


def _job(launch: Launch, folder: StudyFolder, specs: tuple[RunSpec, ...]) -> Job:
    first = specs[0]
    name = f"{first.stage}__{first.name}" if first.stage else first.name
    where = folder.jobs / (f"{name}__and_{len(specs) - 1}" if len(specs) > 1 else name)
    return Job(
        name=where.name,
        folder=where,
        command=(sys.executable, "-m", "quadrat.run.worker", str(where)),
        entry=ENTRY,
        # What packed runs print cannot be told apart, so it stays with their job.
        log=folder.run_folder(first).log if len(specs) == 1 else where / "train.log",
        resources=launch.study.resources,
        preload=("quadrat.run.worker", first.trainable.partition(":")[0]),
        python_path=tuple(str(path) for path in launch.study.python_path),
    )


def keep_of(study: Study, stage: str | None) -> Keep:
    """The checkpoint policy of a stage in the worker's words."""
    asked = study.saving(stage)
    return Keep(
        count=float(asked.every.count),
        unit=asked.every.unit,
        keep=tuple(asked.keep),
        metric=asked.metric,
        goal=asked.goal or "max",
    )


def rules_of(study: Study) -> tuple[Any, ...]:
    """The study's health rules as plain data: mappings, and names of shared sets."""
    return tuple(
        rule if isinstance(rule, str) else rule.model_dump(mode="json", exclude_none=True) for rule in study.file.rules
    )
