"""A person's decision to let a point through a gate that has not let it through, with the reason in writing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from quadrat.analyze.staging import Standing
from quadrat.conduct.gates import View, stamp
from quadrat.core.errors import UsageError, unknown_name


@final
@dataclass(frozen=True, slots=True)
class Override:
    """``STAGE`` or ``STAGE:ARM``, and why."""

    stage: str
    arm: str | None
    because: str


def read_overrides(texts: Sequence[str], because: str | None) -> tuple[Override, ...]:
    """What the command line says.

    Raises:
        UsageError: no reason is given, or there is one and nothing to override.
    """
    reason = (because or "").strip()
    if texts and not reason:
        raise UsageError(
            "a gate is overridden only with a written reason.",
            where="--override-gate",
            remedy='add --because "..."; it is kept in the lock and shown in the record.',
        )
    if reason and not texts:
        raise UsageError(
            "--because gives a reason for nothing.", remedy="add --override-gate STAGE or STAGE:ARM, or leave it out."
        )
    found: list[Override] = []
    for text in texts:
        stage, colon, arm = text.partition(":")
        found.append(Override(stage.strip(), arm.strip() if colon else None, reason))
    return tuple(found)


def entries(overrides: Sequence[Override], view: View) -> list[dict[str, Any]]:
    """The decisions as the lock keeps them, each with what was measured when it was made.

    Raises:
        UsageError: a stage or arm that the study does not have; the known ones are listed.
    """
    return [entry for override in overrides for entry in _entries(override, view)]


def _entries(override: Override, view: View) -> list[dict[str, Any]]:
    stages = dict.fromkeys(standing.track.name for standing in view.standings.values())
    if override.stage not in stages:
        raise unknown_name("stage", override.stage, stages, where="--override-gate")
    concerned = [standing for standing in view.standings.values() if standing.track.name == override.stage]
    if override.arm is not None:
        labels = [standing.label for standing in concerned]
        if override.arm not in labels:
            raise unknown_name("arm", override.arm, labels, where="--override-gate")
        concerned = [standing for standing in concerned if standing.label == override.arm]
    return [
        _entry(override, standing) for standing in concerned if standing.override is None and not standing.is_passed
    ]


def _entry(override: Override, standing: Standing) -> dict[str, Any]:
    return {
        "time": stamp(),
        "stage": override.stage,
        "arm": standing.label,
        "because": override.because,
        "outcome": str(standing.verdict.outcome),
        "measured": standing.verdict.measured,
    }
