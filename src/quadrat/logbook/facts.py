"""What a record may state of a study: plain data handed in by the reading wing, read here with care.

The facts are one mapping (``docs/reference/record.md`` lists its keys). A key that is not there means that
nobody knows: it is shown as "not recorded". A key that holds None or nothing means that there is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Facts: TypeAlias = Mapping[str, Any]
"""The facts of one study."""

NOT_RECORDED = "not recorded"


def lookup(facts: Facts, dotted: str) -> tuple[bool, Any]:
    """Whether ``dotted`` (``git.commit``) is there, and its value."""
    here: Any = facts
    for key in dotted.split("."):
        if not isinstance(here, Mapping) or key not in here:
            return False, None
        here = here[key]
    return True, here


def value(facts: Facts, dotted: str) -> Any:
    """The value at ``dotted``, or None when it is not there."""
    found, here = lookup(facts, dotted)
    return here if found else None


def mapping(facts: Facts, dotted: str) -> Mapping[str, Any]:
    """The mapping at ``dotted``; empty when there is none, with its keys as text."""
    here = value(facts, dotted)
    return {str(key): item for key, item in here.items()} if isinstance(here, Mapping) else {}


def items(facts: Facts, dotted: str) -> Sequence[Any]:
    """The list at ``dotted``; empty when there is none."""
    here = value(facts, dotted)
    return list(here) if isinstance(here, list | tuple) else []


def rows(facts: Facts, dotted: str) -> list[Mapping[str, Any]]:
    """The rows at ``dotted`` that are mappings; empty when there are none."""
    return [row for row in items(facts, dotted) if isinstance(row, Mapping)]


def number(source: Mapping[str, Any], key: str) -> float | None:
    """A number, or None when it is missing, not finite or no number at all."""
    here = source.get(key)
    if isinstance(here, bool) or not isinstance(here, int | float):
        return None
    return float(here) if abs(here) < float("inf") else None


def condition_of(run: Mapping[str, Any]) -> str | None:
    """The condition of a run: as given, else its name without the seed's part; None when that cannot be told."""
    if run.get("condition"):
        return str(run["condition"])
    name = str(run.get("name", ""))
    parts = list(re.finditer(rf"(?:^|[_.-])[A-Za-z]*{re.escape(str(run.get('seed')))}(?=[_.-]|$)", name))
    if not parts:
        return None
    return (name[: parts[-1].start()] + name[parts[-1].end() :]).strip("_.-") or "all"


def in_condition(run: Mapping[str, Any], condition: str) -> bool:
    """Whether a run belongs to the condition that a row of results names."""
    stage = run.get("stage")
    known = {str(name) for name in (condition_of(run), run.get("arm"), run.get("name"), "all") if name}
    return condition in known or (bool(stage) and condition in {f"{stage}/{name}" for name in known})


def run_name(run: Mapping[str, Any]) -> str:
    """The name of a run as it is cited: ``stage/name``, or just the name without stages."""
    return f"{run['stage']}/{run.get('name', '')}" if run.get("stage") else str(run.get("name", ""))


UNSUCCESSFUL = frozenset({"failed", "lost", "stopped"})
"""Statuses that a person has to say something about."""


def troubles(facts: Facts) -> list[str]:
    """What went wrong, each in a few words: the runs that did not complete, and the rules that failed."""
    found = [
        f"run {run_name(run)} {run.get('status')}"
        for run in rows(facts, "runs")
        if str(run.get("status")) in UNSUCCESSFUL
    ]
    for row in rows(facts, "health"):
        if str(row.get("level") or row.get("result") or row.get("status")) == "fail":
            found.append(f"rule {row.get('rule') or row.get('id')} failed")
    return found
