"""What a sink is: somebody who is told how a study goes. Never the truth, never able to hurt a run.

There are two kinds. A ``Sink`` is told by the conductor how the whole study stands (the console). A ``Tracker`` takes
in the rows of every run; it is fed from the journal by a process of its own (``mirror``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, final


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


@final
@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a tracker is told of a run before its rows.

    Attributes:
        study: the study's name.
        name: the run's name.
        stage: the stage it belongs to, if any.
        arm: the named arm it belongs to, if any.
        seed: the seed that was applied.
        token: 16 hexadecimal digits that no other run has, the same for all its attempts and after a move.
        began: when its first attempt began, in seconds since 1970.
        config: the resolved config, secrets masked.
    """

    study: str
    name: str
    stage: str | None
    arm: str | None
    seed: int | None
    token: str
    began: float
    config: Mapping[str, Any]

    @property
    def path(self) -> str:
        """The run's folder relative to the study's, with forward slashes."""
        return f"{self.stage}/{self.name}" if self.stage else self.name


@final
@dataclass(frozen=True, slots=True)
class Row:
    """One row of metrics. The journal's rows have no clock: ``time`` is worked out from the heartbeats beside them."""

    step: int
    values: Mapping[str, float]
    time: float


@final
@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended, when, and its last, lowest and highest values (``x``, ``min/x``, ``max/x``)."""

    status: str
    time: float
    summary: Mapping[str, float]


class Track(Protocol):
    """One run in a tracker, open for rows."""

    def rows(self, rows: Sequence[Row]) -> None:
        """The next rows, in the order in which the run wrote them."""
        ...

    def mark(self) -> Mapping[str, Any] | None:
        """What ``Tracker.resume`` needs to go on behind the rows so far, as plain data; None when it cannot."""
        ...

    def close(self, ending: Ending | None) -> None:
        """No more rows. ``ending`` None: the run is not over, only nobody follows it any longer.

        When this has returned, everything has arrived; else it raises.
        """
        ...


class Tracker(ABC):
    """A place where people look at runs. It is filled from the journal, so it can be filled again at any time.

    A tracker never runs inside a training process; it is called from one thread of a process of its own, so it may
    be slow. What it raises is said once; after a while all that is missing is sent again.

    Args:
        home: the folder in which it keeps what it has to keep; the only place where it writes.
        patience: how many seconds ``Track.close`` may wait for a server.
    """

    def __init__(self, home: Path, *, patience: float) -> None:
        self.home = home
        self.patience = patience

    @property
    @abstractmethod
    def destination(self) -> str:
        """Where the rows go. When that is another place than the last time, everything is sent again."""

    @abstractmethod
    def open(self, run: RunFacts) -> Track:
        """Take in ``run`` from its first row on. What is there of this run already is replaced, not doubled."""

    @abstractmethod
    def resume(self, run: RunFacts, mark: Mapping[str, Any]) -> Track | None:
        """Go on with ``run`` at ``mark``; None when that cannot be done, and ``open`` is called instead."""
