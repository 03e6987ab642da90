"""What a sink is: somebody who is told how a study goes. Never the truth, never able to hurt a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, final


@final
@dataclass(frozen=True, slots=True)
class RunProgress:
    """One run at work. ``total`` steps and ``fraction`` (0 to 1) are None while nobody knows them.

    ``metric`` is a short text worth seeing beside the bar, such as ``train/loss 0.41``.
    """

    name: str
    step: int
    total: int | None = None
    fraction: float | None = None
    metric: str | None = None


@final
@dataclass(frozen=True, slots=True)
class Snapshot:
    """A study at one moment: completed + failed + stopped + left = planned, and ``running`` is part of left."""

    study: str
    planned: int
    completed: int
    failed: int
    stopped: int
    running: tuple[RunProgress, ...]
    left: int
    elapsed_s: float
    eta_s: float | None = None

    @property
    def ended(self) -> int:
        """Runs that need nothing more, however they ended."""
        return self.completed + self.failed + self.stopped


class Sink(Protocol):
    """A mirror of a study's progress. Called from one thread, in the order below."""

    def start(self, study_name: str, planned: int) -> None:
        """A study of ``planned`` runs begins."""
        ...

    def update(self, snapshot: Snapshot) -> None:
        """How it stands; called as often as the conductor likes, so the sink thins out by itself."""
        ...

    def message(self, text: str) -> None:
        """Something a person should read now."""
        ...

    def close(self, summary: str | None = None) -> None:
        """The study is over, for now; ``summary`` is its account. May be called twice, or without a start."""
        ...
