"""Which launcher, and how many jobs at once."""

from __future__ import annotations

import os

from quadrat.core.errors import UsageError
from quadrat.core.registry import load
from quadrat.launchers.base import Launcher
from quadrat.launchers.torchrun import TorchrunLauncher
from quadrat.study.load import Study


def slots_for(study: Study, workers: int | None) -> int:
    """How many jobs at once: what was asked for, else usable cores over those of a job, at least one."""
    asked = workers or (study.file.workers if isinstance(study.file.workers, int) else None)
    if asked:
        return asked
    asked_for = study.file.resources
    return max(1, len(os.sched_getaffinity(0)) // max(1, asked_for.threads * asked_for.processes))


def is_inline(study: Study, name: str | None) -> bool:
    """Whether jobs will run in this very process."""
    return (name or study.file.launcher) == "inline"


def open_launcher(study: Study, *, name: str | None, workers: int | None) -> Launcher:
    """The launcher that the command line, else the study, names; ``pool`` otherwise.

    Raises:
        UsageError: no launcher of that name, or one that cannot give a run several processes.
    """
    if study.file.resources.processes > 1:
        return _with_processes(name or study.file.launcher, slots=slots_for(study, workers))
    # The inline launcher runs one job at a time, whatever the study asks for elsewhere.
    slots = workers or 1 if is_inline(study, name) else slots_for(study, workers)
    return load("launchers", name or study.file.launcher)(slots=slots)


def _with_processes(name: str, *, slots: int) -> Launcher:
    if name not in ("pool", "torchrun"):
        raise UsageError(
            f"the launcher {name!r} cannot give a run several processes.",
            where="resources.processes",
            remedy="the pool does, with torchrun.",
        )
    return TorchrunLauncher(slots=slots)
