"""Overrides of the command line, in Hydra's words, laid onto the tree of a study file.

    key=value       set what is there (every key of the Config class is there, by its default)
    +key=value      add what is not there: an axis, an arm
    ++key=value     one or the other
    ~key            remove; a config key falls back to its default

A value is read like a value in the file (``1e-3`` is a number, ``no`` is text, ``[1,2]`` is a list) and may hold
``=``. What does not read as YAML, such as ``> 0.9`` or ``{arm}_S{seed}``, is text, unless it begins like a list,
a quotation, a tag or an alias. What a key addresses, the first that fits:

1. ``config.key`` the study's config, ``study.key`` the study's own words (``study.workers=2``);
2. ``key`` of the Config class: the config. It wins over the file's base, stages and arms; where the key is an
   axis, the axis is replaced by the one value, or by the values of a list;
3. ``key`` of the study file: ``seeds``, ``axes.gamma``, ``arms.hybrid.lr``, ``stages.full.gate.pass``, ... where
   an item of a list is met by its name, id or index.

``arms=[token_only]`` and ``stages=[overfit]``, lists of names, keep those that are named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, final

from quadrat.core.errors import Problem, StudyError
from quadrat.study.configs import Path, Shape
from quadrat.study.names import shown
from quadrat.study.nodes import Node, Step, drop, follow, get, put
from quadrat.study.problems import unknown_key
from quadrat.study.read import read_value

Action = Literal["set", "add", "force", "remove"]

_SIGNS: Mapping[str, Action] = {"": "set", "+": "add", "++": "force", "~": "remove"}
_GRAMMAR = re.compile(r"(\+\+|\+|~|)([^=+~\s][^=\s]*)(?:=(.*))?", re.DOTALL)
_FREE = {"axes": "axis", "arms": "arm"}
"""Blocks whose entries are named by the study, so that a new one must be added on purpose."""


@final
@dataclass(frozen=True, slots=True)
class Override:
    """One override, read but not applied.

    Attributes:
        text: as it was written; messages point to it.
        action: what to do at the path.
        path: the key, split at its dots.
        value: what to put there; None for ``remove``.
    """

    text: str
    action: Action
    path: Path
    value: Node | None

    @property
    def where(self) -> str:
        """The override as the place of a problem."""
        return _place(self.text)


def parse_override(text: str) -> Override:
    """Read one override.

    Raises:
        StudyError: it is not one.
    """
    match = _GRAMMAR.fullmatch(text)
    if match is None or not all(match[2].split(".")):
        raise StudyError([Problem("this is no override.", _place(text), "key.path=value, +new=value or ~gone.")])
    sign, key, value = match.groups()
    action = _SIGNS[sign]
    if action == "remove":
        if value is not None:
            raise StudyError([Problem("a removal takes no value.", _place(text), f"~{key}")])
        return Override(text, action, tuple(key.split(".")), None)
    if value is None:
        raise StudyError([Problem("the override has no value.", _place(text), f"{sign}{key}=value")])
    return Override(text, action, tuple(key.split(".")), _value(value, label=_place(text)))


@final
@dataclass(frozen=True, slots=True)
class Applied:
    """A tree with overrides in it.

    Attributes:
        root: the tree.
        forced: values of the config, as a block of their own that wins over base, stages and arms.
        problems: overrides that do not fit.
    """

    root: Node
    forced: Node
    problems: tuple[Problem, ...] = ()


def apply_overrides(root: Node, overrides: Sequence[Override], *, shape: Shape, study_keys: Sequence[str]) -> Applied:
    """Lay overrides onto a tree, the first one first.

    Args:
        root: the study file.
        overrides: what was asked for.
        shape: the keys of the study's Config class.
        study_keys: the keys a study file may have.
    """
    forced = Node({}, "the overrides")
    problems: list[Problem] = []
    for override in overrides:
        try:
            block, path = _target(override, shape=shape, study_keys=study_keys)
            if block == "config":
                root, forced = _apply_to_config(root, override, path, forced=forced)
            elif override.action != "remove" and path in (("arms",), ("stages",)):
                root = _select(root, override, path[0])
            else:
                root = _apply(root, override, path)
        except StudyError as error:
            problems += error.problems
    return Applied(root, forced, tuple(problems))


def _target(override: Override, *, shape: Shape, study_keys: Sequence[str]) -> tuple[str, Path]:
    head, rest = override.path[0], override.path[1:]
    if head == "config" and rest:
        return "config", rest
    if head == "study" and rest:
        head, rest = rest[0], rest[1:]
    elif shape.knows(head):
        return "config", override.path
    if head in study_keys:
        return "study", (head, *rest)
    if shape.model is None:
        return "config", override.path
    dotted = ".".join(override.path)
    known = [*shape.keys, *study_keys]
    raise StudyError([unknown_key(dotted, known, kind="key", where=override.where)])


def _apply_to_config(root: Node, override: Override, path: Path, *, forced: Node) -> tuple[Node, Node]:
    dotted = ".".join(path)
    axis, missing = follow(root, ("axes", *path))
    if not missing:
        return _apply_to_axis(root, override, axis), forced
    steps, rest = follow(root, ("config", *path))
    again, unforced = follow(forced, path)
    if override.action == "remove":
        if rest and unforced:
            raise _misfit(override, f"config {dotted} is not set in the file", "leave the override out.")
        return (root if rest else drop(root, steps)), (forced if unforced else drop(forced, again))
    if override.action == "add" and not rest:
        raise _misfit(override, f"config {dotted} is set in the file", f"leave the plus out: {override.text[1:]}")
    assert override.value is not None
    return root, put(forced, path, new=override.value)


def _apply_to_axis(root: Node, override: Override, axis: tuple[Step, ...]) -> Node:
    if override.action == "remove":
        return drop(root, axis)
    assert override.value is not None
    values = override.value if override.value.items is not None else Node([override.value], override.where)
    return put(root, axis, new=values)


def _apply(root: Node, override: Override, path: Path) -> Node:
    steps, rest = follow(root, path)
    dotted = ".".join(path)
    if override.action == "remove":
        if rest:
            raise _misfit(override, f"{shown(dotted)} is not set in the file", "leave the override out.")
        return drop(root, steps)
    if override.action == "add" and not rest:
        raise _misfit(override, f"{shown(dotted)} is set in the file", f"leave the plus out: {override.text[1:]}")
    reached = get(root, *steps)
    if rest and reached is not None and reached.items is not None:
        names = [str(tag.value) for item in reached.items if (tag := get(item, "name") or get(item, "id"))]
        raise StudyError([unknown_key(rest[0], names, kind=f"item of {path[0]}", where=override.where)])
    if override.action == "set" and rest and path[0] in _FREE and len(steps) < 2 <= len(path):
        raise _unnamed(root, override, path)
    assert override.value is not None
    return put(root, (*steps, *rest), new=override.value)


def _select(root: Node, override: Override, block: str) -> Node:
    """Keep the arms or stages named in a list; any other value replaces the block."""
    assert override.value is not None
    value, current = override.value, get(root, block)
    wanted = [value] if isinstance(value.value, str) else value.items
    if not wanted or current is None or not all(isinstance(item.value, str) for item in wanted):
        return put(root, (block,), new=value)
    names = [str(item.value) for item in wanted]
    if current.mapping is not None:
        present = dict(current.mapping)
    else:
        present = {str(tag.value): item for item in current.items or [] if (tag := get(item, "name"))}
    kind = block.removesuffix("s")
    unknown = [name for name in names if name not in present]
    if unknown:
        raise StudyError([unknown_key(name, present, kind=kind, where=override.where) for name in unknown])
    for name in names:
        needs = get(present[name], "needs") if block == "stages" else None
        wanted_too = [need.value for need in (needs.items or [needs])] if needs else []
        for need in wanted_too:
            if need in present and need not in names:
                remedy = f"stages=[{','.join([str(need), *names])}]"
                raise _misfit(override, f"stage {name!r} needs stage {need!r}, which is left out", remedy)
    kept = {name: child for name, child in present.items() if name in names}
    return put(root, (block,), new=Node(kept if current.mapping is not None else list(kept.values()), current.where))


def _unnamed(root: Node, override: Override, path: Path) -> StudyError:
    """The refusal of an arm or axis that the file does not have, unless it is added."""
    block = get(root, path[0])
    known = list((block.mapping if block else None) or {})
    name = path[1] if path[0] == "arms" else ".".join(path[1:])
    problem = unknown_key(name, known, kind=_FREE[path[0]], where=override.where)
    return _misfit(override, problem.what[:-1], f"{problem.remedy} To add it: +{override.text}")


def _misfit(override: Override, what: str, remedy: str) -> StudyError:
    return StudyError([Problem(f"{what}.", override.where, remedy)])


def _value(text: str, *, label: str) -> Node:
    if not text:
        return Node("", label)
    try:
        return read_value(text, label=label)
    except StudyError:
        if text.lstrip()[:1] in ("[", '"', "'", "!", "*", "&"):
            raise
        return Node(text, label)


def _place(text: str) -> str:
    return f"override {shown(text)}"
