"""``command:`` in a study file: a program that does not import Quadrat, as the trainable that starts programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from quadrat.study.nodes import Node, drop, get, put
from quadrat.study.trainable import Trainable

KEY: Final = "command"
PROGRAM: Final = "quadrat.run.program:train"
"""The trainable that starts programs; its config is the command and whatever the command's fields name."""


def with_program(root: Node) -> Node:
    """The tree of a file that has ``command:`` and no ``trainable:`` as one that names the trainable.

    ``command: python train.py --lr {lr}`` is short for ``trainable: quadrat.run.program:train`` with
    ``config: {command: {line: python train.py --lr {lr}}}``; a mapping under ``command:`` is taken as it is.
    """
    command = get(root, KEY)
    if command is None or get(root, "trainable") is not None:
        return root
    block = command if command.mapping is not None else Node({"line": command}, command.where)
    root = put(drop(root, (KEY,)), ("trainable",), new=Node(PROGRAM, command.where))
    return put(root, ("config", KEY), new=block)


def shaped(trainable: Trainable, root: Node, *, added: Iterable[tuple[str, ...]] = ()) -> Trainable:
    """A program's trainable with a Config class of just the keys that its study file names; any other as it is.

    So a key that is misspelt on the command line or in an arm is found, as for a trainable that has its own class.

    Args:
        trainable: what ``trainable:`` names.
        root: the study file.
        added: keys that overrides add.
    """
    if trainable.name != PROGRAM:
        return trainable
    arms, stages = get(root, "arms"), get(root, "stages")
    blocks = [get(root, "config"), get(root, "axes"), *((arms.mapping if arms else None) or {}).values()]
    blocks += [get(stage, "config") for stage in (stages.items if stages else None) or []]
    keys = {path: None for block in blocks for path in _leaves(block) if path[0] != KEY} | dict.fromkeys(added)
    return replace(trainable, config_class=trainable.module.config_for(list(keys)))


def _leaves(node: Node | None, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, child in ((node.mapping if node else None) or {}).items():
        path = (*prefix, *key.split("."))
        if child.mapping:
            yield from _leaves(child, path)
        else:
            yield path
