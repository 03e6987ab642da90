"""Quadrat: from a question declared in one YAML file to a checked experiment record.

Everything public is named in ``__all__`` and imported on first use, so ``import quadrat`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quadrat.analyze.student import t_quantile
    from quadrat.core.context import Context
    from quadrat.core.errors import (
        GateError,
        HealthError,
        QuadratError,
        RunError,
        StoreError,
        StudyError,
        UsageError,
    )
    from quadrat.core.events import Artifact, Checkpoint, Event, Metrics, Note
    from quadrat.core.verdicts import Diagnosis, Outcome, Status, Verdict
    from quadrat.run.imperative import start_run

__version__ = "0.1.0"

_HOMES = {
    "Context": "quadrat.core.context",
    "GateError": "quadrat.core.errors",
    "HealthError": "quadrat.core.errors",
    "QuadratError": "quadrat.core.errors",
    "RunError": "quadrat.core.errors",
    "StoreError": "quadrat.core.errors",
    "StudyError": "quadrat.core.errors",
    "UsageError": "quadrat.core.errors",
    "Artifact": "quadrat.core.events",
    "Checkpoint": "quadrat.core.events",
    "Event": "quadrat.core.events",
    "Metrics": "quadrat.core.events",
    "Note": "quadrat.core.events",
    "Diagnosis": "quadrat.core.verdicts",
    "Outcome": "quadrat.core.verdicts",
    "Status": "quadrat.core.verdicts",
    "Verdict": "quadrat.core.verdicts",
    "start_run": "quadrat.run.imperative",
    "t_quantile": "quadrat.analyze.student",
}

__all__ = [
    "Artifact",
    "Checkpoint",
    "Context",
    "Diagnosis",
    "Event",
    "GateError",
    "HealthError",
    "Metrics",
    "Note",
    "Outcome",
    "QuadratError",
    "RunError",
    "Status",
    "StoreError",
    "StudyError",
    "UsageError",
    "Verdict",
    "start_run",
    "t_quantile",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'quadrat' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
