"""The tree of a study file: plain data in which every value still knows the line it came from.

Trees are never changed in place. Aliases in the file share their nodes, so an edit copies the way down to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast, final

Step: TypeAlias = str | int
"""One step down a tree: a key of a mapping or an index of a list."""


@final
@dataclass(frozen=True, slots=True)
class Node:
    """A scalar, a mapping of nodes or a list of nodes, and where it was written.

    Attributes:
        value: the scalar, ``dict[str, Node]`` or ``list[Node]``.
        where: ``file:line`` of the key (in a mapping) or of the item, or the override that set it.
    """

    value: Any
    where: str

    @property
    def mapping(self) -> dict[str, Node] | None:
        """The entries when this is a mapping, else None."""
        return cast("dict[str, Node]", self.value) if isinstance(self.value, dict) else None

    @property
    def items(self) -> list[Node] | None:
        """The items when this is a list, else None."""
        return cast("list[Node]", self.value) if isinstance(self.value, list) else None


def plain(node: Node) -> Any:
    """The bare data of a tree, built afresh: nothing in it is shared."""
    if node.mapping is not None:
        return {key: plain(child) for key, child in node.mapping.items()}
    if node.items is not None:
        return [plain(child) for child in node.items]
    return node.value


def wrap(value: Any, where: str) -> Node:
    """A tree out of bare data, all of it from one place."""
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value)
        return Node({str(key): wrap(child, where) for key, child in entries.items()}, where)
    if isinstance(value, list | tuple):
        return Node([wrap(child, where) for child in cast("Sequence[Any]", value)], where)
    return Node(value, where)


def where(node: Node, steps: Sequence[Any]) -> str:
    """The place of the deepest node on the way of ``steps``; steps that lead nowhere are passed over.

    Pydantic puts names of union members between the keys of a location; those are what is passed over.
    """
    for step in steps:
        node = _child(node, step) or node
    return node.where


def get(node: Node, *steps: Step) -> Node | None:
    """The node at exactly ``steps``, or None."""
    current: Node | None = node
    for step in steps:
        current = _child(current, step) if current else None
    return current


def follow(node: Node, path: Sequence[str]) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """Go down ``path`` as far as the tree goes.

    A key of the tree may itself be dotted, and an item of a list is met by its index, its ``name`` or its ``id``.

    Returns:
        The real steps taken, and the part of the path for which there is nothing yet.
    """
    steps: list[Step] = []
    rest = tuple(path)
    while rest:
        taken = _match(node, rest)
        if taken is None:
            break
        step, used = taken
        child = _child(node, step)
        assert child is not None
        node = child
        steps.append(step)
        rest = rest[used:]
    return tuple(steps), rest


def put(node: Node, steps: Sequence[Step], *, new: Node) -> Node:
    """The tree with ``new`` at ``steps``; mappings that are missing on the way are made."""
    if not steps:
        return new
    step, rest = steps[0], steps[1:]
    if isinstance(step, int) and node.items is not None:
        changed = list(node.items)
        changed[step] = put(changed[step], rest, new=new)
        return Node(changed, node.where)
    entries = dict(node.mapping or {})
    entries[str(step)] = put(entries.get(str(step), Node({}, new.where)), rest, new=new)
    return Node(entries, node.where)


def drop(node: Node, steps: Sequence[Step]) -> Node:
    """The tree without what is at ``steps``; unchanged when there is nothing."""
    if not steps or _child(node, steps[0]) is None:
        return node
    step, rest = steps[0], steps[1:]
    if isinstance(step, int):
        items = list(node.items or [])
        items[step : step + 1] = [drop(items[step], rest)] if rest else []
        return Node(items, node.where)
    entries = dict(node.mapping or {})
    if rest:
        entries[step] = drop(entries[step], rest)
    else:
        del entries[step]
    return Node(entries, node.where)


def _child(node: Node, step: Any) -> Node | None:
    if node.mapping is not None and isinstance(step, str):
        return node.mapping.get(step)
    if node.items is not None and isinstance(step, int) and 0 <= step < len(node.items):
        return node.items[step]
    return None


def _match(node: Node, path: tuple[str, ...]) -> tuple[Step, int] | None:
    if node.mapping is not None:
        for used in range(len(path), 0, -1):
            key = ".".join(path[:used])
            if key in node.mapping:
                return key, used
    if node.items is not None:
        for index, item in enumerate(node.items):
            tags = [get(item, "name"), get(item, "id")]
            if path[0] == str(index) or any(tag is not None and tag.value == path[0] for tag in tags):
                return index, 1
    return None
