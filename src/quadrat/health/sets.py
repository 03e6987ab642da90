"""Rules shared by name: ``rules: [nonfinite, ...]`` in a study opens the set. Data, written as a study would.

A set is a function without arguments that returns rules. Other packages register theirs in the entry-point group
``quadrat.rules``; those of this file are known without, so that stored rows can be replayed from a bare checkout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from quadrat.core.errors import unknown_name
from quadrat.core.registry import load, members

RuleSet: TypeAlias = Sequence[Mapping[str, Any]]


def nonfinite() -> RuleSet:
    """Stop a run whose loss is no number any more."""
    return (
        {
            "id": "nonfinite_loss",
            "metric": "train/loss",
            "fail": "nonfinite",
            "action": "stop",
            "diagnosis": "The loss is no longer a number: the optimisation has diverged.",
            "remedy": "Lower the learning rate, clip gradients, and look for a division or logarithm of zero.",
        },
    )


OWN_SETS: Final[Mapping[str, Callable[[], RuleSet]]] = MappingProxyType({"nonfinite": nonfinite})
"""The sets of this file by name."""


def shared_set(name: str) -> RuleSet:
    """The rules of one set.

    Raises:
        UsageError: no set of that name; lists the known ones and the nearest.
    """
    if name in OWN_SETS:
        return OWN_SETS[name]()
    registered = members("rules")
    if name not in registered:
        raise unknown_name("set of rules", name, {*OWN_SETS, *registered})
    return load("rules", name)()
