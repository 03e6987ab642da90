"""Secrets in a study file are refused: whatever a config holds is stored with every run, hashed and shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from quadrat.core.errors import Problem
from quadrat.core.secrets import is_secret, mask
from quadrat.study.nodes import Node

SPOKEN: Final = ("question", "hypothesis", "owner")
"""Words for people: what looks like a secret there is masked, and nothing that runs is changed by it."""

_REMEDY: Final = (
    "keep it in an environment variable and have the program read it there (os.environ); every run inherits the "
    "environment of `quadrat run`, and none of it is stored. The file may name the variable: `$API_KEY`."
)


def secret_problems(root: Node, forced: Node, *, resolved: Mapping[str, Any] | None = None) -> list[Problem]:
    """Every place of a study where a secret stands, without repeating it.

    A masked value would make another config, another hash and a re-run that is not the same; the value itself would be
    in every copy of the results. So there is no honest way to keep it.

    Args:
        root: the study file.
        forced: what overrides set in the config.
        resolved: the config of one run, for what the Config class sets by itself.
    """
    written = [
        *((key, node.where) for key, node in _nodes(root) if key.split(".")[0] not in SPOKEN),
        *((f"config.{key}", node.where) for key, node in _nodes(forced)),
    ]
    known = {key.rpartition(".")[2] for key, _ in written}
    default = [
        (f"config.{key}", "the defaults of the Config class")
        for key, value in _leaves(resolved or {})
        if is_secret(value, key) and key.rpartition(".")[2] not in known
    ]
    return [
        Problem(f"{key} holds a secret, and what a study file says is stored with every run.", mask(place)[0], _REMEDY)
        for key, place in (*written, *default)
    ]


def _nodes(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """The values that are secrets, with the keys down to them; an item of a list goes by the list's key."""
    for key, child in (node.mapping or {}).items():
        yield from _nodes(child, f"{path}.{key}" if path else key)
    for child in node.items or ():
        yield from _nodes(child, path)
    if is_secret(node.value, path):
        yield path, node


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, child in cast("Mapping[str, Any]", value).items():
            yield from _leaves(child, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for child in cast("list[Any]", value):
            yield from _leaves(child, path)
    else:
        yield path, value
