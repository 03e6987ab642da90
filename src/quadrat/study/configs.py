"""The study's own parameters: keys checked against its Config class, layers laid over each other, defaults filled in.

A layer is what one block of the file says, as paths to values: ``training.lr: 1e-3`` and ``training: {lr: 1e-3}``
are the same path. Blocks of the Config class are merged key by key; any other value is replaced as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from quadrat.core.errors import Problem
from quadrat.study.names import shown
from quadrat.study.nodes import Node, plain
from quadrat.study.problems import Origin, config_problems, unknown_key
from quadrat.study.shape import Model, direct, dotted_keys, entries, is_open

Path: TypeAlias = tuple[str, ...]
Layer: TypeAlias = Mapping[Path, Node]

MAX_PROBLEMS = 50
"""Of one block; looking for the nearest key takes time, and a person mends one thing after the other."""


@final
@dataclass(frozen=True, slots=True)
class Shape:
    """What the Config class of a study accepts. Without a model (it could not be imported) it accepts anything."""

    model: Model | None
    keys: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, model: Model | None) -> Shape:
        """The shape of a Config class."""
        return cls(model, tuple(dotted_keys([model])) if model is not None else ())

    def knows(self, key: str) -> bool:
        """Whether ``key``, without dots, is a key at the top of the config."""
        return self.model is not None and (key in entries(self.model) or is_open(self.model))

    def layer(self, node: Node | None, *, context: str = "", hints: Mapping[str, str] | None = None) -> Reading:
        """What one block says.

        Args:
            node: the block, or None when the file has none.
            context: words for messages, such as `` in arm 'hybrid'``.
            hints: what to try for keys that belong somewhere else.
        """
        reading = Reading(context=context, keys=self.keys, hints=dict(hints or {}))
        if node is not None and node.mapping is not None:
            reading.walk(node, (self.model,) if self.model is not None else (), prefix=())
        return reading


@final
@dataclass(slots=True)
class Reading:
    """A layer being read, with what was wrong in it."""

    context: str
    keys: Sequence[str]
    hints: dict[str, str]
    leaves: dict[Path, Node] = field(default_factory=dict[Path, Node])
    problems: list[Problem] = field(default_factory=list[Problem])
    misspelt: set[str] = field(default_factory=set[str])

    def walk(self, node: Node, models: tuple[Model, ...], *, prefix: Path) -> None:
        """Take in the entries of a block whose value may be any of ``models``; of nothing known when empty."""
        for key, child in (node.mapping or {}).items():
            self._entry(child, models, prefix=prefix, parts=tuple(key.split(".")))

    def _entry(self, child: Node, models: tuple[Model, ...], *, prefix: Path, parts: Path) -> None:
        path = prefix
        for index, part in enumerate(parts):
            path = (*path, part)
            annotations = [entries(model)[part] for model in models if part in entries(model)]
            if models and not annotations:
                if any(is_open(model) for model in models):
                    self._leaf((*prefix, *parts), child)
                else:
                    self._unknown((*prefix, *parts), child)
                return
            models = tuple(model for annotation in annotations for model in direct(annotation))
            if not models and annotations and index < len(parts) - 1:
                owner = ".".join(path)
                what = f"config {owner}{self.context} has no keys of its own, but {'.'.join(parts)!r} sets one."
                self.problems.append(Problem(what, child.where, f"set {owner!r} as a whole."))
                return
        if child.mapping is not None and models:
            if not child.mapping:
                self._leaf(path, child)
            self.walk(child, models, prefix=path)
            return
        self._leaf(path, child)

    def _leaf(self, path: Path, node: Node) -> None:
        for other, earlier in self.leaves.items():
            if other == path or _is_inside(path, other) or _is_inside(other, path):
                what = f"config {'.'.join(path)}{self.context} is set twice; the first is at {earlier.where}."
                self.problems.append(Problem(what, node.where, "remove one of the two."))
                return
        self.leaves[path] = node

    def _unknown(self, path: Path, node: Node) -> None:
        dotted = ".".join(path)
        if len(self.problems) >= MAX_PROBLEMS:
            return
        problem = unknown_key(dotted, self.keys, kind="config key", where=node.where, hint=self.hints.get(dotted))
        self.problems.append(Problem(f"{problem.what[:-1]}{self.context}.", problem.where, problem.remedy))
        self.misspelt.update(key for key in self.keys if repr(key) in (problem.remedy or ""))


def merge(*layers: Layer) -> dict[Path, Node]:
    """Layers laid over each other, the last on top.

    A whole block replaced (``encoder: null``) takes with it what lay inside, and the other way round.
    """
    merged: dict[Path, Node] = {}
    for layer in layers:
        for path, node in layer.items():
            if path not in merged:
                for other in [other for other in merged if _is_inside(other, path) or _is_inside(path, other)]:
                    del merged[other]
            merged[path] = node
    return merged


def nest(layer: Layer) -> dict[str, Any]:
    """A layer as plain nested data."""
    data: dict[str, Any] = {}
    for path, node in layer.items():
        block = data
        for key in path[:-1]:
            block = block.setdefault(key, {})
        block[path[-1]] = plain(node)
    return data


@final
@dataclass(frozen=True, slots=True)
class Resolved:
    """A config as it will run, or why it cannot."""

    values: dict[str, Any] | None
    problems: tuple[Problem, ...] = ()


def resolve_config(model: Model, origin: Origin) -> Resolved:
    """Check merged values with the Config class and fill in its defaults."""
    try:
        config: BaseModel = model.model_validate(nest(origin.leaves))
    except ValidationError as error:
        return Resolved(None, tuple(config_problems(error, origin, model=model)))
    except Exception as trouble:
        reason = f"{type(trouble).__name__}: {shown(str(trouble), limit=200)}"
        what = f"the config{origin.context} is refused by {model.__name__}: {reason}."
        return Resolved(None, (Problem(what, origin.place, "change the config, or the check in the Config class."),))
    try:
        return Resolved(config.model_dump(mode="json", by_alias=True))
    except (PydanticSerializationError, ValueError) as trouble:
        what = f"the config{origin.context} cannot be written as JSON: {shown(str(trouble), limit=200)}."
        return Resolved(None, (Problem(what, origin.place, "use numbers, text, lists and nested models in Config."),))


def dig(config: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The value at a path of a resolved config; None when a block on the way is not set."""
    value: Any = config
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _is_inside(inner: Path, outer: Path) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer
