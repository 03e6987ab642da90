"""Rules over the stored rows of a run: what they would have found live, and what to call the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from quadrat.core.verdicts import Diagnosis
from quadrat.health.monitor import Monitor
from quadrat.health.rules import Written

HEALTHY: Final = "healthy"
WARNING: Final = "warning"
FAILED: Final = "failed"
NOT_MEASURED: Final = "not measured"


@final
@dataclass(frozen=True, slots=True)
class Replay:
    """What rules find in a run.

    Attributes:
        findings: what fired, oldest first.
        report: one row for each rule, as in ``health.json``.
        last_step: the step of the last row, None without rows.
    """

    findings: tuple[Diagnosis, ...]
    report: Sequence[Mapping[str, Any]]
    last_step: int | None

    @property
    def stop(self) -> Diagnosis | None:
        """The finding that would have ended the run."""
        return next((found for found in self.findings if found.action == "stop"), None)

    @property
    def label(self) -> str:
        """One word for the run: the worst that any rule has said; ``not measured`` when none got to judge anything."""
        states = {row["state"] for row in self.report}
        for state, word in (("fail", FAILED), ("warn", WARNING), ("ok", HEALTHY)):
            if state in states:
                return word
        return NOT_MEASURED


def replay(rules: Iterable[Written], rows: Iterable[Mapping[str, Any]]) -> Replay:
    """Hold stored rows against ``rules``. The whole run is looked at, also beyond a finding that would have ended it.

    Raises:
        StudyError: (a UsageError) with everything that is wrong with the rules.
        StoreError: a row that no writer wrote.
    """
    kept = list(rows)
    monitor = Monitor.replay(rules, kept)
    return Replay(monitor.findings, monitor.report(), kept[-1]["step"] if kept else None)
