"""What runs take beside each other, in seconds once a canary has sung, and whether a job is worth compiling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from quadrat.core.spec import RunSpec
from quadrat.run.canary import Song
from quadrat.study.load import Study

PAYS_AFTER: Final = 200.0
"""Seconds of a job. Compiling costs up to 60 CPU-seconds a shape and takes about a third off the step of a small model
that runs alone (benchmarks/symmetry_packed.py)."""


def config_of(study: Study, spec: RunSpec) -> Any:
    """The run's config as the science sees it."""
    return study.trainable.config_class.model_validate(dict(spec.config))


def relative_cost(study: Study, spec: RunSpec) -> float:
    """What a run takes beside others, by the science's own measure; 1 when it has none."""
    if study.trainable.relative_cost is None:
        return 1.0
    return study.trainable.relative_cost(config_of(study, spec))


def pace(study: Study, spec: RunSpec, *, song: Song) -> float | None:
    """Seconds for each unit of ``relative_cost``, from the run that sang; None when it could not tell."""
    if song.seconds_per_step is None or not song.total_steps:
        return None
    return (song.seconds_before + song.seconds_per_step * song.total_steps) / relative_cost(study, spec)


def compiles(study: Study, specs: Sequence[RunSpec], *, at: float | None) -> bool:
    """Whether a job of these runs is to be compiled, as the study asks; ``auto`` with no pace to go by says no.

    A pack on a CPU is not: its step is arithmetic already, and compiling was measured to take nothing off it.
    """
    if study.file.compile != "auto" or at is None:
        return study.file.compile == "on"
    if len(specs) > 1 and not study.resources.gpus:
        return False
    return at * sum(relative_cost(study, spec) for spec in specs) > PAYS_AFTER
