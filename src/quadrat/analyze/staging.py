"""How far each point has come through the stages: what may start, what waits, what is skipped, and why.

Pure, and used by both wings: the conductor starts by it, pages and listings show it, so they cannot disagree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias, final

from quadrat.analyze.gates import Sample, judge
from quadrat.core.verdicts import Outcome, Verdict
from quadrat.study.ladder import Track

Place: TypeAlias = tuple[str, str]
"""A track's name and the key of a point."""


class Way(StrEnum):
    """Whether the runs of a point may start in a stage."""

    OPEN = "open"
    WAITING = "waiting"
    SKIPPED = "skipped"
    IDLE = "idle"


@final
@dataclass(frozen=True, slots=True)
class Cell:
    """One point in one stage. ``label`` is what a person calls the point."""

    label: str
    samples: tuple[Sample, ...]


@final
@dataclass(frozen=True, slots=True)
class Standing:
    """How one point stands in one stage.

    Attributes:
        track: the way through the stage.
        key: the point's key.
        label: what a person calls the point.
        way: whether its runs may start.
        verdict: how it fared against the gate.
        why: what it waits for, or why it is skipped.
        override: the human decision to let it through, if there is one.
    """

    track: Track
    key: str
    label: str
    way: Way
    verdict: Verdict
    why: str = ""
    override: Mapping[str, Any] | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the gate is judged, or nothing is left to judge."""
        return self.verdict.outcome is not Outcome.NOT_RUN

    @property
    def is_passed(self) -> bool:
        """Whether the criterion is met, or a person has decided that it shall count as met."""
        return self.verdict.outcome is Outcome.PASS or self.override is not None

    @property
    def lets_through(self) -> bool:
        """Whether what needs this stage may start."""
        return self.is_passed or (self.has_ended and self.track.step.goes_on and self.track.is_last_try)


def key_of(arm: str | None, point: Mapping[str, Any]) -> str:
    """The key of a point, the same in every stage: an arm's name, else its axis values."""
    return json.dumps(arm if arm is not None else {k: v for k, v in point.items() if k != "seed"}, default=str)


def progress(
    tracks: Sequence[Track], cells: Mapping[Place, Cell], *, overrides: Sequence[Mapping[str, Any]] = ()
) -> dict[Place, Standing]:
    """How every point stands in every track.

    Args:
        tracks: in running order.
        cells: the runs of each point in each track.
        overrides: human decisions: ``{stage, arm or None, because}``; ``stage`` is the name of a track.
    """
    found: dict[Place, Standing] = {}
    by_track: dict[str, list[str]] = {}
    for name, key in cells:
        by_track.setdefault(name, []).append(key)
    for track in tracks:
        for key in by_track.get(track.name, ()):
            cell = cells[track.name, key]
            way, why = _way(track, key, found)
            verdict = judge(track.name, track.step.gate, samples=cell.samples)
            found[track.name, key] = Standing(
                track, key, cell.label, way, verdict, why, override=_override(overrides, track.name, cell.label)
            )
    return found


def unmet(standings: Mapping[Place, Standing]) -> list[Standing]:
    """The declared gates that were not met: no try at the stage passed and at least one was judged."""
    tries: dict[Place, list[Standing]] = {}
    for standing in standings.values():
        if standing.track.step.gate is not None:
            tries.setdefault((standing.track.step.name, standing.key), []).append(standing)
    missed: list[Standing] = []
    for group in tries.values():
        ended = [standing for standing in group if standing.has_ended]
        if ended and not any(standing.is_passed for standing in group):
            missed.append(ended[-1])
    return missed


def _way(track: Track, key: str, found: Mapping[Place, Standing]) -> tuple[Way, str]:
    needs = [standing for name in track.needs if (standing := found.get((name, key)))]
    barred = [standing for standing in needs if _bars(standing)]
    if barred:
        first = barred[0]
        idle = first.way is Way.IDLE or not track.is_first_try
        return (Way.IDLE if idle else Way.SKIPPED), _reason(first)
    if track.before is not None:
        before = found.get((track.before, key))
        if before is None or not before.has_ended or before.way is Way.IDLE:
            return Way.IDLE, f"{track.before} has not failed"
        if before.is_passed:
            return Way.IDLE, f"{track.before} has passed"
    held = [standing for standing in needs if not standing.lets_through]
    return (Way.WAITING, f"waits for {held[0].track.name}") if held else (Way.OPEN, "")


def _bars(standing: Standing) -> bool:
    """Whether a stage that is needed can never let this point through."""
    if standing.lets_through:
        return False
    return standing.has_ended or standing.way in (Way.SKIPPED, Way.IDLE)


def _reason(standing: Standing) -> str:
    if standing.way in (Way.SKIPPED, Way.IDLE) and not standing.has_ended:
        return f"{standing.track.name} was skipped" if standing.way is Way.SKIPPED else standing.why
    return f"{standing.track.name}: {standing.verdict.outcome}, {standing.verdict.measured}"


def _override(overrides: Sequence[Mapping[str, Any]], track: str, label: str) -> Mapping[str, Any] | None:
    for decision in reversed(overrides):
        if decision.get("stage") == track and decision.get("arm") in (None, label):
            return decision
    return None
