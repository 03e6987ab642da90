"""The order of stages: each after what it needs, otherwise as the file has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from quadrat.core.errors import Problem
from quadrat.study.names import objection, shown
from quadrat.study.nodes import Node, where
from quadrat.study.problems import unknown_key


class Ordered(Protocol):
    """What the order is made of."""

    @property
    def name(self) -> str:
        """The stage."""
        ...

    @property
    def needs(self) -> tuple[str, ...]:
        """The stages before it."""
        ...


def stage_problems(stages: Sequence[Ordered], root: Node) -> list[Problem]:
    """What is wrong with the names and needs of stages."""
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    names = [stage.name for stage in stages]
    for index, stage in enumerate(stages):
        place = where(root, ("stages", index, "name"))
        reason = objection(stage.name) or _taken(stage.name)
        if reason:
            problems.append(Problem(f"the stage name {shown(stage.name)} cannot be used: {reason}.", place, _SAFE))
        if stage.name.casefold() in seen:
            what = f"two stages are called {shown(stage.name)}; the first is at {seen[stage.name.casefold()]}."
            problems.append(Problem(what, place, "give each stage a name of its own."))
        seen.setdefault(stage.name.casefold(), place)
        for position, need in enumerate(stage.needs):
            spot = where(root, ("stages", index, "needs", position))
            if need == stage.name:
                problems.append(Problem(f"stage {need!r} needs itself.", spot, "name an earlier stage."))
            elif need not in names:
                problems.append(unknown_key(need, names, kind="stage", where=spot))
    if not problems:
        circle = _circle(stages)
        if circle:
            what = f"the stages {' -> '.join(circle)} need each other in a circle."
            problems.append(Problem(what, where(root, ("stages",)), "remove one of the needs."))
    return problems


def ordered(stages: Sequence[Ordered]) -> list[str]:
    """The names in an order in which every stage comes after what it needs; a circle is left out."""
    done: list[str] = []
    waiting = list(stages)
    while waiting:
        ready = next((stage for stage in waiting if all(need in done for need in stage.needs)), None)
        if ready is None:
            break
        done.append(ready.name)
        waiting.remove(ready)
    return done


def _taken(name: str) -> str | None:
    """Folders of retries are called so: ``overfit.retry1``, ``generalize.overfit_retry1``."""
    return "names with retry and a number are those of retries" if re.search(r"[._]retry[0-9]+(\.|$)", name) else None


_SAFE = "use letters, digits and _ . - only."


def _circle(stages: Sequence[Ordered]) -> list[str]:
    done = set(ordered(stages))
    stuck = {
        stage.name: [need for need in stage.needs if need not in done] for stage in stages if stage.name not in done
    }
    if not stuck:
        return []
    name, way = next(iter(stuck)), list[str]()
    while name not in way:
        way.append(name)
        name = stuck[name][0]
    return [*way[way.index(name) :], name]
