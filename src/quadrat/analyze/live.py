"""A study while it runs, seen through its journal alone: it may run in another terminal or on another machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final, final

from quadrat.analyze.declaration import Declaration, Declared
from quadrat.analyze.rows import Row
from quadrat.analyze.run_watch import RunWatch, Working
from quadrat.analyze.staging import Way
from quadrat.analyze.table import Coverage, StudyTable, read_declaration
from quadrat.core.errors import StoreError
from quadrat.core.verdicts import Status
from quadrat.journal.atomic import read_json
from quadrat.journal.layout import RunFolder, StudyFolder
from quadrat.journal.lock import conductor_of
from quadrat.journal.process import ProcessId
from quadrat.journal.reader import HEARTBEAT_SECONDS

SAMPLE: Final = 50
"""How many completed runs tell how long a run takes."""

_TO_DO_AGAIN: Final = (Status.FAILED, Status.LOST, Status.PREEMPTED)


@final
@dataclass(frozen=True, slots=True)
class Ended:
    """A run that did not complete, and why."""

    place: str
    status: Status
    reason: str


@final
@dataclass(frozen=True, slots=True)
class Picture:
    """A study at one moment.

    Attributes:
        study: its name.
        coverage: how many of its runs stand where.
        conductor: the process that conducts it, if one does as far as can be told from here.
        seconds: since that process began.
        eta: seconds until all is done if things go on as they do; None when nobody can say.
        running: the runs at work, in declared order.
        troubled: those that were stopped or failed, were lost or set aside; the latest first.
        at_work: whether anybody works on the study.
    """

    study: str
    coverage: Coverage
    conductor: ProcessId | None
    seconds: float | None
    eta: float | None
    running: tuple[Working, ...]
    troubled: tuple[Ended, ...]
    at_work: bool

    @property
    def ended(self) -> int:
        """Runs that need nothing more for now, however they ended."""
        return self.coverage.planned - sum(self.coverage.counts.get(s, 0) for s in (Status.PENDING, Status.RUNNING))


@final
class LiveStudy:
    """Looks at a study's folder; remembers between two looks what cannot change."""

    def __init__(self, folder: StudyFolder) -> None:
        self._folder = folder
        self._watches: dict[str, RunWatch] = {}
        self._declaration = Declaration({})
        self._declared_at: int | None = None
        self._durations: dict[str, float | None] = {}

    def picture(self) -> Picture:
        """How the study stands now. Never raises for what it finds in its folder."""
        declaration = self._read_declaration()
        standing = self._standing(declaration)
        barred = self._barred() if declaration.gates() else frozenset[tuple[str, str]]()
        rows = tuple(Row(declared=declared, status=_unless(declared, status, barred)) for declared, status in standing)
        table = StudyTable(self._folder.name, self._folder.root, declaration, rows)
        running = tuple(self._watches[row.declared.place].working() for row in rows if row.status is Status.RUNNING)
        conductor, since = self._conductor(bool(running))
        return Picture(
            study=self._folder.name,
            coverage=table.coverage(),
            conductor=conductor,
            seconds=None if since is None else max(0.0, time.time() - since),
            eta=forecast(running, waiting=self._waiting(rows, since), durations=self._known_durations(rows)),
            running=running,
            troubled=self._troubled(rows),
            at_work=bool(running) or conductor is not None,
        )

    def _read_declaration(self) -> Declaration:
        try:
            stamp = self._folder.lock_json.stat().st_mtime_ns
        except OSError:
            return self._declaration
        if stamp != self._declared_at:
            self._declared_at, self._declaration = stamp, read_declaration(self._folder.lock_json, damage=[])
            self._watches.clear()
        return self._declaration

    def _barred(self) -> frozenset[tuple[str, str]]:
        """Stage and point of the runs that a gate keeps from starting, as the conductor noted them last."""
        try:
            noted = read_json(self._folder.gates_json)
            rows = [row for row in noted["gates"] if row["way"] == Way.SKIPPED]
            return frozenset((str(row["stage"]), str(row["condition"])) for row in rows)
        except (StoreError, KeyError, TypeError):
            return frozenset()

    def _standing(self, declaration: Declaration) -> list[tuple[Declared, Status]]:
        """Every declared run with its status; without a declaration, every run that lies there."""
        # Places come from the folders, never from the declaration: what that names may lie anywhere.
        present = {run.path.relative_to(self._folder.path).as_posix(): run for run in self._folder.runs()}
        declared = declaration.runs() or tuple(_undeclared(place) for place in present)
        return [(item, self._status(item.place, present.get(item.place), declaration)) for item in declared]

    def _status(self, place: str, run: RunFolder | None, declaration: Declaration) -> Status:
        if run is None:
            self._watches.pop(place, None)
            return Status.PENDING
        if place not in self._watches:
            self._watches[place] = RunWatch(run, place, primary=declaration.primary())
        return self._watches[place].status()

    def _conductor(self, any_running: bool) -> tuple[ProcessId | None, float | None]:
        """Who conducts the study, and since when. One on another machine is believed while its runs show life."""
        noted = conductor_of(self._folder)
        try:
            since = self._folder.conductor_json.stat().st_mtime
        except OSError:
            return None, None
        if noted is None:
            return None, None
        if noted.is_same_host():
            return (noted, since) if noted.is_alive() else (None, None)
        return (noted, since) if any_running or time.time() - since < HEARTBEAT_SECONDS else (None, None)

    def _waiting(self, rows: Sequence[Row], since: float | None) -> int:
        """Runs that have still to begin. What failed before the conductor began is in its plan again."""
        again = [self._watches[row.declared.place].ended_at() for row in rows if row.status in _TO_DO_AGAIN]
        before = [ended for ended in again if since is not None and ended is not None and ended < since]
        return sum(row.status is Status.PENDING for row in rows) + len(before)

    def _known_durations(self, rows: Sequence[Row]) -> list[float]:
        completed = [row.declared.place for row in rows if row.status is Status.COMPLETED]
        completed.sort(key=lambda place: self._watches[place].ended_at() or 0.0)
        for place in completed[-SAMPLE:]:
            if place not in self._durations:
                self._durations[place] = self._watches[place].duration()
        known = (self._durations[place] for place in completed[-SAMPLE:])
        return [seconds for seconds in known if seconds is not None]

    def _troubled(self, rows: Sequence[Row]) -> tuple[Ended, ...]:
        places = {row.declared.place: row.status for row in rows if row.status in (*_TO_DO_AGAIN, Status.STOPPED)}
        latest = sorted(places, key=lambda place: self._watches[place].ended_at() or 0.0, reverse=True)
        return tuple(Ended(place, places[place], self._watches[place].reason()) for place in latest)


def forecast(running: Sequence[Working], *, waiting: int, durations: Sequence[float]) -> float | None:
    """Seconds until everything is done when as many runs as now go on side by side; None when nothing tells.

    Args:
        running: the runs at work.
        waiting: how many have not begun.
        durations: how long finished ones took.
    """
    whole = [run.seconds + run.rest for run in running if run.seconds is not None and run.rest is not None]
    if not running or not (durations or whole):
        return None
    typical = fmean(durations or whole)
    rests = [max(0.0, typical - (run.seconds or 0.0)) if run.rest is None else run.rest for run in running]
    return max(*rests, (waiting * typical + sum(rests)) / len(running))


def _unless(declared: Declared, status: Status, barred: frozenset[tuple[str, str]]) -> Status:
    is_barred = status is Status.PENDING and (str(declared.stage), declared.condition.label) in barred
    return Status.SKIPPED if is_barred else status


def _undeclared(place: str) -> Declared:
    stage, _, name = place.rpartition("/")
    return Declared(name=name, stage=stage or None, arm=None, point={}, seed=None, identity=None)
