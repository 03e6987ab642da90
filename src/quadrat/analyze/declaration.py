"""What a study promised before it ran: ``study.lock.json`` as the reading wing reads it.

Nothing here trusts the file further than needed: a key of the wrong type counts as absent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

from quadrat.journal.plain import flatten
from quadrat.study.quantities import Demand

REFERENCES = ("oracle", "trivial")
"""A metric whose first word is one of these is a yardstick: shown beside the others, left out of every ranking."""


def is_reference(metric: str) -> bool:
    """Whether ``metric`` is a yardstick such as ``oracle/test_id/exact_match`` and not a result of an arm."""
    return metric.partition("/")[0] in REFERENCES


def is_training(metric: str) -> bool:
    """Whether a metric tells how training went (``train/...``, ``grad/...``, any loss), not what came of it."""
    words = metric.lower().split("/")
    return words[0] in ("train", "training", "grad") or "loss" in words[-1]


@final
@dataclass(frozen=True, slots=True)
class Condition:
    """What is held fixed while seeds vary: a stage and an arm or a point. Equal when ``key`` is equal."""

    key: str
    stage: str | None = field(compare=False)
    arm: str | None = field(compare=False)
    point: Mapping[str, Any] = field(compare=False)

    @property
    def label(self) -> str:
        """The condition in words, without its stage."""
        if self.arm:
            return self.arm
        return ", ".join(f"{key}={plain(value)}" for key, value in self.point.items()) or "all runs"


def condition_of(stage: str | None, arm: str | None, *, point: Mapping[str, Any]) -> Condition:
    """The condition of a run; a ``seed`` among the point's keys is what varies and does not count."""
    kept = {key: value for key, value in point.items() if key != "seed"}
    key = json.dumps([stage, arm, kept], sort_keys=True, default=str)
    return Condition(key=key, stage=stage, arm=arm, point=kept)


def plain(value: Any) -> str:
    """A config value as a person would write it: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


@final
@dataclass(frozen=True, slots=True)
class Declared:
    """One promised run."""

    name: str
    stage: str | None
    arm: str | None
    point: Mapping[str, Any]
    seed: int | None
    identity: str | None

    @property
    def condition(self) -> Condition:
        """What the run shares with its other seeds."""
        return condition_of(self.stage, self.arm, point=self.point)

    @property
    def place(self) -> str:
        """The run's folder relative to the study's, with forward slashes."""
        return f"{self.stage}/{self.name}" if self.stage else self.name


@final
@dataclass(frozen=True, slots=True)
class DeclaredDiagram:
    """A phase diagram that the study asks for. ``classes``: the phases, each with what is asked of a metric."""

    x: str
    y: str
    metric: str
    goal: str = "max"
    title: str = ""
    classes: Mapping[str, Demand] = field(default_factory=dict[str, Demand])


@final
@dataclass(frozen=True, slots=True)
class Declaration:
    """A study's lock file. ``data`` is empty when there is none."""

    data: Mapping[str, Any]

    def text(self, key: str) -> str | None:
        """A text such as ``question``; None when absent or blank."""
        value = self.data.get(key)
        return value.strip() or None if isinstance(value, str) else None

    def mapping(self, key: str) -> Mapping[str, Any]:
        """A mapping such as ``source``; empty when absent."""
        value = self.data.get(key)
        return value if isinstance(value, Mapping) else {}

    def listed(self, key: str) -> tuple[Mapping[str, Any], ...]:
        """The mappings in a list such as ``stages`` or ``panels``."""
        value = self.data.get(key)
        return tuple(item for item in value if isinstance(item, Mapping)) if isinstance(value, list) else ()

    def runs(self) -> tuple[Declared, ...]:
        """The promised runs, in order."""
        return tuple(_declared(item) for item in self.listed("declared") if item.get("name"))

    def gates(self) -> dict[str, Mapping[str, Any] | None]:
        """Each declared stage with its gate, or None for a stage that has no gate."""
        stages = [item for item in self.listed("stages") if isinstance(item.get("name"), str)]
        return {item["name"]: gate if isinstance(gate := item.get("gate"), Mapping) else None for item in stages}

    def panels(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Title and metrics of each panel."""
        found = [(str(item.get("title") or ""), _texts(item.get("metrics"))) for item in self.listed("panels")]
        return tuple((title, metrics) for title, metrics in found if metrics)

    def diagrams(self) -> tuple[DeclaredDiagram, ...]:
        """The phase diagrams, in order; one without axes or metric counts as absent."""
        found = (_diagram(item) for item in self.listed("diagrams"))
        return tuple(diagram for diagram in found if diagram.x and diagram.y and diagram.metric)

    def primary(self) -> tuple[str, ...]:
        """The metrics the study is about; no yardsticks.

        Those named under ``primary``; else those of gates and diagrams; else those of the panels, without losses and
        training curves where anything else is shown.
        """
        named = _texts(self.data.get("primary"))
        if not named:
            gates = [gate.get("metric") for gate in self.gates().values() if gate]
            diagrams = [item.get("metric") for item in self.listed("diagrams")]
            named = tuple(metric for metric in (*gates, *diagrams) if isinstance(metric, str))
        if not named:
            shown = tuple(metric for _, metrics in self.panels() for metric in metrics)
            named = tuple(metric for metric in shown if not is_training(metric)) or shown
        return tuple(metric for metric in dict.fromkeys(named) if not is_reference(metric))

    def is_baseline(self, condition: Condition, config: Callable[[], Mapping[str, Any]]) -> bool:
        """Whether ``baseline`` (an arm's name, or config keys with values) describes the condition.

        Args:
            condition: the condition to look at.
            config: reads the resolved config of one of its runs; asked only for baseline keys that no axis varies.
        """
        wanted = self.data.get("baseline")
        if isinstance(wanted, str):
            return condition.arm == wanted
        if not isinstance(wanted, Mapping) or not wanted:
            return False
        held = {**flatten(condition.point), **condition.point, "arm": condition.arm}
        sought = flatten(wanted)
        if any(held[key] != value for key, value in sought.items() if key in held):
            return False  # no config can change that, and reading one takes time
        if not sought.keys() <= held.keys():
            held = {**flatten(config()), **held}
        return all(key in held and held[key] == value for key, value in sought.items())


def _declared(item: Mapping[str, Any]) -> Declared:
    stage, arm, point, seed = (item.get(key) for key in ("stage", "arm", "point", "seed"))
    return Declared(
        name=str(item["name"]),
        stage=stage if isinstance(stage, str) and stage else None,
        arm=arm if isinstance(arm, str) and arm else None,
        point=point if isinstance(point, Mapping) else {},
        seed=seed if isinstance(seed, int) else None,
        identity=str(item["identity"]) if item.get("identity") else None,
    )


def _diagram(item: Mapping[str, Any]) -> DeclaredDiagram:
    x, y, metric, title = (
        found if isinstance(found := item.get(key), str) else "" for key in ("x", "y", "metric", "title")
    )
    demands = item.get("classes")
    classes = (
        {str(name): demand for name, text in demands.items() if (demand := _demand(text))}
        if isinstance(demands, Mapping)
        else {}
    )
    return DeclaredDiagram(
        x=x, y=y, metric=metric, title=title, goal="min" if item.get("goal") == "min" else "max", classes=classes
    )


def _demand(text: Any) -> Demand | None:
    try:
        return Demand.parse(str(text))
    except ValueError:
        return None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list | tuple) else ()
