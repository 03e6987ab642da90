"""Rules shared by name: ``rules: [nonfinite, ...]`` in a study opens the set. Data, written as a study would.

Packages register sets in the entry-point group ``quadrat.rules``: a YAML file in a package (``etrm =
"quadrat_studies.etrm:rules.yaml"``), of which nothing is imported, or a function without arguments that returns rules.
Those of this file are known without, so that stored rows can be replayed from a bare checkout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from quadrat.core.errors import UsageError, unknown_name
from quadrat.core.registry import load, members

RuleSet: TypeAlias = Sequence[Mapping[str, Any]]

LARGEST_FILE: Final = 2**20
SUFFIXES: Final = (".yaml", ".yml")


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
        UsageError: no set of that name (lists the known ones and the nearest), or its file holds no rules.
    """
    if name in OWN_SETS:
        return OWN_SETS[name]()
    registered = members("rules")
    if name not in registered:
        raise unknown_name("set of rules", name, {*OWN_SETS, *registered})
    if registered[name].attr.endswith(SUFFIXES):
        return read_set(_file_of(registered[name]))
    return load("rules", name)()


def read_set(path: Path) -> RuleSet:
    """The rules in a YAML file: a list, as under ``rules`` of a study, or a mapping with such a list under ``rules``.

    Raises:
        UsageError: the file cannot be read or holds something else. What is in the rules is not looked at here.
    """
    found = _parsed(path)
    if isinstance(found, Mapping):
        found = found.get("rules")
    if not isinstance(found, list) or not all(isinstance(rule, Mapping) for rule in found):
        raise UsageError(
            "the file holds no list of rules.", where=str(path), remedy="write each rule as `- {id: ..., metric: ...}`."
        )
    return found


def _parsed(path: Path) -> Any:
    from ruamel.yaml import YAML, YAMLError

    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UsageError("a file of rules is at most 1 MiB.", where=str(path), remedy="keep data out of it.")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"the rules cannot be read ({reason}).", where=str(path)) from error
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        what = " ".join(str(error).split())
        raise UsageError(f"not valid YAML: {what}", where=str(path), remedy="put comparisons in quotes.") from error


def _file_of(point: EntryPoint) -> Path:
    """Where a registered file lies; the package is found and not imported."""
    spec = find_spec(point.module)
    places = spec.submodule_search_locations if spec is not None else None
    if not places:
        raise UsageError(f"the package {point.module!r} of rules {point.name!r} is not installed.", where="rules")
    return Path(next(iter(places))) / point.attr
