"""What remains to do: what is declared minus what is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import final

from quadrat.core.spec import RunSpec
from quadrat.core.verdicts import Status


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """Every declared run in exactly one of three heaps.

    Attributes:
        todo: to be run, in the order declared: never begun, failed, lost or preempted.
        done: left alone: completed, stopped by a rule, skipped by a gate.
        running: at work right now.
        statuses: where each declared run stands, by ``RunSpec.path``.
        undeclared: paths with a status that no declared run has.
    """

    todo: tuple[RunSpec, ...]
    done: tuple[RunSpec, ...]
    running: tuple[RunSpec, ...]
    statuses: Mapping[str, Status]
    undeclared: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """How many runs are declared."""
        return len(self.statuses)

    @property
    def counts(self) -> dict[Status, int]:
        """How many declared runs stand where; only what occurs, in the order of ``Status``."""
        found = Counter(self.statuses.values())
        return {status: found[status] for status in Status if found[status]}

    def account(self) -> str:
        """The runs added up in one line: ``90 planned = 84 completed + 3 failed + 3 pending``."""
        terms = " + ".join(f"{count} {status}" for status, count in self.counts.items())
        line = f"{self.total} planned" + (f" = {terms}" if terms else "")
        return f"{line}; {len(self.undeclared)} on disk not planned" if self.undeclared else line


def make_plan(runs: Iterable[RunSpec], statuses: Mapping[str, Status]) -> Plan:
    """Sort declared runs by what is left to do.

    Args:
        runs: the declared runs.
        statuses: where runs stand, by ``RunSpec.path``; a run that is not in it is pending.
    """
    declared = tuple(runs)
    standing = {run.path: statuses.get(run.path, Status.PENDING) for run in declared}
    return Plan(
        todo=tuple(run for run in declared if _is_todo(standing[run.path])),
        done=tuple(run for run in declared if standing[run.path].is_final),
        running=tuple(run for run in declared if standing[run.path] is Status.RUNNING),
        statuses=standing,
        undeclared=tuple(sorted(set(statuses) - set(standing))),
    )


def _is_todo(status: Status) -> bool:
    return not status.is_final and status is not Status.RUNNING
