"""The ways through the stages of a study: the plain one, and one for each retry that a stage's ``on_fail`` lists.

A stage with two retries can be passed in three ways, and what needs it exists once for each of them: a change that
made the overfit stage pass also holds in the stages after it. Each such way through one stage is a track, with a
folder of its own: ``overfit``, ``overfit.retry1``, ``generalize.overfit_retry1``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any, final

from quadrat.study.quantities import Comparison
from quadrat.study.stages import ordered

MAX_TRACKS = 100
"""Retries multiply along a chain of stages; nobody reads a study with more ways through it than this."""


@final
@dataclass(frozen=True, slots=True)
class Step:
    """What the tracks of a stage are made of: its name, what it needs, how often it may be tried again."""

    name: str
    needs: tuple[str, ...] = ()
    retries: int = 0
    goes_on: bool = False
    gate: Mapping[str, Any] | None = None


@final
@dataclass(frozen=True, slots=True)
class Track:
    """One way through one stage.

    Attributes:
        name: the name of its folder.
        step: the stage as declared.
        needs: the tracks that have to be passed first.
        rungs: the retries it goes by, as stages to the number of the retry; its own among them.
        before: the track that has to fail first, for a retry.
    """

    name: str
    step: Step
    needs: tuple[str, ...] = ()
    rungs: Mapping[str, int] = field(default_factory=dict[str, int])
    before: str | None = None

    @property
    def own(self) -> int:
        """Which retry of its own stage it is; 0 for the first try."""
        return self.rungs.get(self.step.name, 0)

    @property
    def is_first_try(self) -> bool:
        """Whether it goes by no retry at all."""
        return not any(self.rungs.values())

    @property
    def is_last_try(self) -> bool:
        """Whether no retry is left after it."""
        return self.own >= self.step.retries


def steps_of(stages: Sequence[Mapping[str, Any]]) -> list[Step]:
    """The steps out of stages as plain data, such as those of a lock file; what is no stage is passed over."""
    found: list[Step] = []
    for stage in stages:
        name, needs, on_fail, gate = (stage.get(key) for key in ("name", "needs", "on_fail", "gate"))
        if not isinstance(name, str):
            continue
        rungs = list(on_fail) if isinstance(on_fail, list | tuple) else []
        found.append(
            Step(
                name=name,
                needs=tuple(str(need) for need in needs) if isinstance(needs, list | tuple) else (),
                retries=sum(isinstance(rung, Mapping) for rung in rungs),
                goes_on=on_fail == "continue" or rungs[-1:] == ["continue"],
                gate=gate if isinstance(gate, Mapping) and _can_be_judged(gate) else None,
            )
        )
    return found


def count_tracks(steps: Sequence[Step]) -> int:
    """How many tracks there are, without making them."""
    above = _above(steps)
    return sum(prod(step.retries + 1 for step in steps if step.name in above[name]) for name in above)


def tracks(steps: Sequence[Step]) -> list[Track]:
    """Every track, in an order in which each comes after what it needs and after the try before it."""
    by_name = {step.name: step for step in steps}
    order = ordered(steps)
    above = _above(steps)
    found: list[Track] = []
    for name in order:
        step = by_name[name]
        climbing = [other for other in order if other in above[name] and by_name[other].retries]
        for chosen in product(*(range(by_name[other].retries + 1) for other in climbing)):
            rungs = dict(zip(climbing, chosen, strict=True))
            own = rungs.get(name, 0)
            found.append(
                Track(
                    name=_folder(name, rungs),
                    step=step,
                    needs=tuple(_folder(need, _only(rungs, above[need])) for need in step.needs),
                    rungs=rungs,
                    before=_folder(name, {**rungs, name: own - 1}) if own else None,
                )
            )
    return found


def _can_be_judged(gate: Mapping[str, Any]) -> bool:
    """Lock files may be damaged; a page is drawn all the same."""
    try:
        for name in ("pass", "partial"):
            if name == "pass" or gate.get(name) is not None:
                Comparison.parse(str(gate.get(name)))
    except ValueError:
        return False
    how = str(gate.get("over_seeds", "mean"))
    return re.fullmatch(r"mean|all|ci_lower|[1-9]\d*_of_(n|[1-9]\d*)", how) is not None


def _above(steps: Sequence[Step]) -> dict[str, set[str]]:
    """For each stage that can be reached: itself and all that has to come before it."""
    by_name = {step.name: step for step in steps}
    above: dict[str, set[str]] = {}
    for name in ordered(steps):
        above[name] = {name}.union(*(above[need] for need in by_name[name].needs))
    return above


def _only(rungs: Mapping[str, int], names: set[str]) -> dict[str, int]:
    return {name: rung for name, rung in rungs.items() if name in names}


def _folder(stage: str, rungs: Mapping[str, int]) -> str:
    inherited = "".join(f".{name}_retry{rung}" for name, rung in rungs.items() if rung and name != stage)
    own = rungs.get(stage, 0)
    return f"{stage}{inherited}" + (f".retry{own}" if own else "")
