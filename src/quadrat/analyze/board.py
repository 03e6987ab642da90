"""The status board: for every arm or point whether it is validated, failed, to be tested again, or not tested."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, final

from quadrat.analyze.declaration import Declaration, condition_of
from quadrat.analyze.gates import Sample, value_of
from quadrat.analyze.rows import Row
from quadrat.analyze.staging import Cell, Place, Standing, Way, key_of, progress
from quadrat.core.verdicts import Outcome, Status
from quadrat.study.ladder import steps_of, tracks


class Mark(StrEnum):
    """What is known about an arm."""

    VALIDATED = "validated"
    FAILED = "failed"
    RETEST = "retest"
    NOT_TESTED = "not tested"


MARKS: Final = tuple(str(word) for word in Mark)


@final
@dataclass(frozen=True, slots=True)
class Line:
    """One arm or point on the board.

    Attributes:
        label: the arm's name, or its axis values.
        mark: ``validated``, ``failed``, ``retest`` or ``not tested``.
        why: what the mark rests on.
        place: its place in the queue, 1 first; None when it is not queued.
        stages: each track that has begun or was skipped, with its outcome.
    """

    label: str
    mark: str
    why: str
    place: int | None
    stages: tuple[tuple[str, str], ...]


def standings(declaration: Declaration, rows: Iterable[Row]) -> dict[Place, Standing]:
    """How every declared point stands in every stage; empty for a study without stages."""
    known = tracks(steps_of(declaration.listed("stages")))
    gates = {track.name: track.step.gate for track in known}
    groups: dict[Place, list[Sample]] = {}
    labels: dict[Place, str] = {}
    for row in rows:
        if row.stage not in gates:
            continue
        place = row.stage, key_of(row.arm, row.declared.point)
        value = value_of(gates[row.stage], final=row.final, best=row.best)
        # Skipped is what staging itself has found before; the run has measured nothing.
        status = Status.PENDING if row.status is Status.SKIPPED else row.status
        groups.setdefault(place, []).append(Sample(row.declared.name, status, value))
        labels.setdefault(place, condition_of(None, row.arm, point=row.declared.point).label)
    cells = {place: Cell(labels[place], tuple(samples)) for place, samples in groups.items()}
    return progress(known, cells, overrides=declaration.listed("overrides"))


def skipping(rows: Sequence[Row], found: Mapping[Place, Standing]) -> tuple[Row, ...]:
    """The rows, those that a gate keeps from starting marked as skipped."""
    barred = {place: standing.why for place, standing in found.items() if standing.way is Way.SKIPPED}
    return tuple(_skipped(row, barred) for row in rows)


def board(declaration: Declaration, rows: Sequence[Row]) -> tuple[Line, ...]:
    """One line per arm or point, the queued ones first; empty for a study without gates."""
    found = standings(declaration, rows)
    if not any(standing.track.step.gate for standing in found.values()):
        return ()
    groups: dict[str, list[Standing]] = {}
    for standing in found.values():
        groups.setdefault(standing.key, []).append(standing)
    places = {str(item.get("arm")): number for number, item in enumerate(declaration.listed("queue"), start=1)}
    retests = {str(item["arm"]): str(item["retest"]) for item in declaration.listed("queue") if item.get("retest")}
    lines = [
        _line(group, place=places.get(group[0].label), retest=retests.get(group[0].label)) for group in groups.values()
    ]
    return tuple(sorted(lines, key=lambda line: line.place or len(lines) + 1))


def counts(lines: Iterable[Line]) -> dict[str, int]:
    """How many arms carry which mark."""
    marks = [line.mark for line in lines]
    return {mark: marks.count(mark) for mark in MARKS if mark in marks}


def _skipped(row: Row, barred: Mapping[Place, str]) -> Row:
    why = barred.get((str(row.stage), key_of(row.arm, row.declared.point)))
    return replace(row, status=Status.SKIPPED, barred=why) if why and row.status is Status.PENDING else row


def _line(group: Sequence[Standing], *, place: int | None, retest: str | None) -> Line:
    mark, why = _mark(group)
    if retest is not None:
        mark, why = Mark.RETEST, retest
    shown = tuple((s.track.name, _word(s)) for s in group if s.has_ended or s.way in (Way.OPEN, Way.SKIPPED))
    return Line(group[0].label, str(mark), why, place, shown)


def _mark(group: Sequence[Standing]) -> tuple[Mark, str]:
    """The verdict on all stages together: a gate that was missed is the answer, else a stage not judged."""
    stages: dict[str, list[Standing]] = {}
    for standing in group:
        if standing.track.step.gate is not None:
            stages.setdefault(standing.track.step.name, []).append(standing)
    said: list[str] = []
    gap = ""
    for name, tries in stages.items():
        passed = [standing for standing in tries if standing.verdict.outcome is Outcome.PASS]
        ended = [standing for standing in tries if standing.has_ended]
        if passed:
            said.append(f"{passed[-1].track.name}: {passed[-1].verdict.measured}")
        elif ended and not any(standing.way is Way.OPEN and not standing.has_ended for standing in tries):
            return _missed(ended[-1])
        else:
            gap = gap or name
    if gap:
        return Mark.NOT_TESTED, f"{gap} is not judged yet" + (f"; {'; '.join(said)}" if said else "")
    return Mark.VALIDATED, "; ".join(said)


def _missed(standing: Standing) -> tuple[Mark, str]:
    verdict = standing.verdict
    unclear = verdict.outcome in (Outcome.PARTIAL, Outcome.INCONCLUSIVE) or bool(verdict.evidence.get("against"))
    told = f"{standing.track.name}: {verdict.outcome}, {verdict.measured}"
    if standing.override is not None:
        told += f"; let through by hand: {standing.override.get('because')}"
    return (Mark.RETEST if unclear else Mark.FAILED), told


def _word(standing: Standing) -> str:
    if standing.has_ended:
        return str(standing.verdict.outcome) + (" (overridden)" if standing.override else "")
    return "skipped" if standing.way is Way.SKIPPED else "not_run"


def plain(line: Line) -> dict[str, Any]:
    """A line as data for JSON."""
    return {
        "condition": line.label,
        "mark": line.mark,
        "why": line.why,
        "place": line.place,
        "stages": [{"stage": stage, "outcome": outcome} for stage, outcome in line.stages],
    }
