"""Stages in motion: which runs may start now, which are skipped, which retries have become due.

What is decided lies in ``analyze.staging``, which is pure; here it meets the study, its journal and the runs that this
launch has still to do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, final

from quadrat.analyze.declaration import condition_of
from quadrat.analyze.gates import ENDED, Sample, value_of
from quadrat.analyze.staging import Cell, Place, Standing, Way, key_of, progress, unmet
from quadrat.core.spec import RunSpec
from quadrat.core.verdicts import Status
from quadrat.journal.atomic import write_json
from quadrat.journal.layout import RunFolder, StudyFolder
from quadrat.journal.reader import RunView
from quadrat.study.load import Study


@final
@dataclass(frozen=True, slots=True)
class View:
    """How a study stands between two starts.

    Attributes:
        standings: every point in every stage.
        runs: what is declared by now: every run of the study, and those of the retries that have become due.
        open: the paths of runs that may start.
        skipped: the paths of runs that a gate keeps from starting, with the reason.
    """

    standings: Mapping[Place, Standing]
    runs: tuple[RunSpec, ...]
    open: frozenset[str]
    skipped: Mapping[str, str]

    @property
    def unmet(self) -> list[Standing]:
        """The declared gates that were not met, whatever was tried."""
        return unmet(self.standings)

    def statuses(self, told: Mapping[str, Status]) -> dict[str, Status]:
        """The statuses of the declared runs, those that a gate keeps from starting as skipped."""
        found = {spec.path: told.get(spec.path, Status.PENDING) for spec in self.runs}
        waits = (Status.PENDING, Status.SKIPPED)
        for path, status in found.items():
            if status in waits:
                found[path] = Status.SKIPPED if path in self.skipped else Status.PENDING
        return found


@final
@dataclass(slots=True)
class Stages:
    """The stages of one study. Values of ended runs are read once.

    ``others`` are runs that the lock declares and this launch does not ask for, with their statuses: leaving a run out
    of the command does not leave it out of the gate.
    """

    study: Study
    folder: StudyFolder
    overrides: Sequence[Mapping[str, Any]] = ()
    others: Sequence[tuple[Mapping[str, Any], Status]] = ()
    values: dict[str, float | None] = field(default_factory=dict[str, float | None])

    @property
    def declared(self) -> tuple[RunSpec, ...]:
        """Every run there could be."""
        return (*self.study.runs, *self.study.retries)

    def look(self, statuses: Mapping[str, Status], *, todo: Collection[str] = ()) -> View:
        """How the study stands.

        Args:
            statuses: where runs stand, by path; one that is missing is pending.
            todo: paths that will be run (again) by this launch, so whatever came of them before does not count.
        """
        tracks = self.study.tracks
        if not tracks:
            return View({}, self.study.runs, frozenset(spec.path for spec in self.study.runs), {})
        gates = {track.name: track.step.gate for track in tracks}
        groups: dict[Place, list[RunSpec]] = {}
        for spec in self.declared:
            groups.setdefault(_place(spec), []).append(spec)
        cells: dict[Place, Cell] = {}
        more = self._others(gates)
        for place, specs in groups.items():
            samples = tuple(self._sample(spec, gates[place[0]], statuses, todo) for spec in specs)
            cells[place] = Cell(label_of(specs[0]), (*samples, *more.get(place, ())))
        found = progress(tracks, cells, overrides=self.overrides)
        due = [spec for spec in self.study.retries if _is_due(found[_place(spec)], spec, statuses)]
        runs = (*self.study.runs, *due)
        ways = {spec.path: found[_place(spec)] for spec in runs}
        return View(
            standings=found,
            runs=runs,
            open=frozenset(path for path, standing in ways.items() if standing.way is Way.OPEN),
            skipped={path: standing.why for path, standing in ways.items() if standing.way is Way.SKIPPED},
        )

    def _sample(
        self, spec: RunSpec, gate: Mapping[str, Any] | None, statuses: Mapping[str, Status], todo: Collection[str]
    ) -> Sample:
        status = Status.PENDING if spec.path in todo else statuses.get(spec.path, Status.PENDING)
        if status is Status.SKIPPED:
            status = Status.PENDING
        if status not in ENDED:
            return Sample(spec.name, status)
        if spec.path not in self.values:
            self.values[spec.path] = self._value(self.folder.run_folder(spec), gate)
        return Sample(spec.name, status, self.values[spec.path])

    def _others(self, gates: Mapping[str, Mapping[str, Any] | None]) -> dict[Place, list[Sample]]:
        found: dict[Place, list[Sample]] = {}
        for run, status in self.others:
            if run["stage"] in gates:
                place = run["stage"], key_of(run["arm"], run["point"])
                found.setdefault(place, []).append(self._other(run, status, gates[run["stage"]]))
        return found

    def _other(self, run: Mapping[str, Any], status: Status, gate: Mapping[str, Any] | None) -> Sample:
        if status not in ENDED:
            return Sample(run["name"], status)
        if run["path"] not in self.values:
            self.values[run["path"]] = self._value(RunFolder(self.folder.path.parent / run["path"]), gate)
        return Sample(run["name"], status, self.values[run["path"]])

    def _value(self, run: RunFolder, gate: Mapping[str, Any] | None) -> float | None:
        sums = RunView(run).summary()
        return value_of(gate, final=sums.get("final", {}), best=sums.get("best", {}))


def label_of(spec: RunSpec) -> str:
    """What a person calls the point of a run: its arm, or its axis values."""
    return condition_of(None, spec.point.arm, point=spec.point.values).label


def write_gates(folder: StudyFolder, view: View) -> None:
    """Keep the verdicts beside the lock, in ``gates.json``; nothing is written for a study without stages."""
    if view.standings:
        write_json(folder.gates_json, {"schema": 1, "gates": [plain(found) for found in view.standings.values()]})


def plain(standing: Standing) -> dict[str, Any]:
    """A standing as data for JSON."""
    return {
        "stage": standing.track.name,
        "of": standing.track.step.name,
        "retry": standing.track.own,
        "condition": standing.label,
        "way": str(standing.way),
        "why": standing.why,
        **{key: value for key, value in standing.verdict.as_dict().items() if key != "stage"},
        "override": dict(standing.override) if standing.override else None,
    }


def news(before: View, after: View) -> list[str]:
    """What has been judged or decided between two views, one line each."""
    lines: list[str] = []
    for place, now in after.standings.items():
        then = before.standings.get(place)
        known = then is not None and (then.verdict.outcome, then.override) == (now.verdict.outcome, now.override)
        if now.has_ended and not known:
            let = f"; let through by hand: {now.override['because']}" if now.override else ""
            bar = now.verdict.criterion
            lines.append(
                f"gate {now.track.name} [{now.label}]: {now.verdict.outcome}, {now.verdict.measured} ({bar}){let}"
            )
        if now.way is Way.SKIPPED and (then is None or then.way is not Way.SKIPPED):
            lines.append(f"stage {now.track.name} [{now.label}] is skipped: {now.why}")
        is_due = now.track.own and now.way is Way.OPEN and not now.has_ended
        if is_due and (then is None or then.way is not Way.OPEN):
            lines.append(f"stage {now.track.step.name} [{now.label}] is tried again: {now.track.name}")
    return lines


def stamp() -> str:
    """The time now, as lock files write it."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def by_queue(study: Study) -> Callable[[RunSpec], int]:
    """The place of a run's arm in the queue, for sorting; what is not queued comes last, in its own order."""
    places = {queued.arm: number for number, queued in enumerate(study.file.queue)}
    return lambda spec: places.get(spec.point.arm or "", len(places))


def _place(spec: RunSpec) -> Place:
    return str(spec.stage), key_of(spec.point.arm, spec.point.values)


def _is_due(standing: Standing, spec: RunSpec, statuses: Mapping[str, Status]) -> bool:
    """Whether a run of a retry exists: it may start, or it has left something on disk."""
    return standing.way is Way.OPEN or statuses.get(spec.path, Status.PENDING) is not Status.PENDING
