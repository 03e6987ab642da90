"""How runs and stages end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, final


class Status(StrEnum):
    """Where a run stands. Derived from files and process facts, never from a polite goodbye."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"
    LOST = "lost"
    PREEMPTED = "preempted"
    SKIPPED = "skipped"

    @property
    def is_final(self) -> bool:
        """Whether running the study again leaves this run alone."""
        return self in (Status.COMPLETED, Status.STOPPED, Status.SKIPPED)


class Outcome(StrEnum):
    """The result of holding a measurement against a criterion."""

    PASS = "pass"
    PARTIAL = "partial"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not_run"


@final
@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a health rule found: enough to check the finding by hand."""

    rule: str
    step: int
    metric: str
    value: float | str
    threshold: str
    level: str
    action: str
    window: tuple[int, int]
    diagnosis: str = ""
    remedy: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


@final
@dataclass(frozen=True, slots=True)
class Verdict:
    """How a stage fared against its gate, with the evidence that was looked at."""

    stage: str
    outcome: Outcome
    criterion: str
    measured: str
    n: int
    evidence: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)
