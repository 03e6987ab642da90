"""From runs still to do to jobs on disk that any launcher can place."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from quadrat.core.spec import Job, RunSpec
from quadrat.journal.atomic import write_bytes, write_json
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


def job_folder(folder: StudyFolder, spec: RunSpec) -> Path:
    """Where a run's job lives."""
    return folder.jobs / (f"{spec.stage}__{spec.name}" if spec.stage else spec.name)


def capture_once(folder: StudyFolder, root: Path) -> str:
    """Record machine and code once for a launch; return the folder relative to the root."""
    target = folder.jobs / CAPTURED
    target.mkdir(parents=True, exist_ok=True)
    facts, patch = capture.code(root)
    write_json(target / "env.json", capture.environment())
    write_json(target / "git.json", facts)
    write_bytes(target / "git.diff", patch)
    return target.relative_to(root).as_posix()


def write_jobs(launch: Launch, folder: StudyFolder, *, specs: Sequence[RunSpec]) -> list[Job]:
    """Write one work order per run and return the jobs in order."""
    captured = capture_once(folder, launch.root)
    return [_write_job(launch, folder, spec, captured=captured) for spec in specs]


def _write_job(launch: Launch, folder: StudyFolder, spec: RunSpec, *, captured: str) -> Job:
    job = _job(launch, folder, spec)
    told = WorkOrder(
        spec=spec,
        resources=job.resources,
        keep=keep_of(launch.study, spec.stage),
        rules=rules_of(launch.study),
        captured=captured,
        python_path=job.python_path,
        allow_drift=launch.allow_drift,
        argv=launch.argv,
    )
    order.write(job.folder, told)
    return job


def _job(launch: Launch, folder: StudyFolder, spec: RunSpec) -> Job:
    where = job_folder(folder, spec)
    return Job(
        name=spec.name,
        folder=where,
        command=(sys.executable, "-m", "quadrat.run.worker", str(where)),
        entry=ENTRY,
        log=folder.run_folder(spec).log,
        resources=launch.study.resources,
        preload=("quadrat.run.worker", spec.trainable.partition(":")[0]),
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
