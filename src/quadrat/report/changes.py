"""Changes from the baseline: what sets each condition apart in config, code and data, read from the evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from quadrat.journal.atomic import read_json, read_mapping
from quadrat.report.reruns import kept_reruns


@final
@dataclass(slots=True)
class _Seen:
    """The states of code and data that the runs of one condition saw."""

    code: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    data: dict[str, str] = field(default_factory=dict[str, str])


def changes(folder: Path, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per condition that has a baseline: ``{condition, baseline, config: [{key, from, to}], code, data}``.

    Args:
        folder: the evidence folder, whose ``runs/`` keep each run's ``git.json`` and ``data.json``.
        facts: the facts of the study.
    """
    pairs = list(_pairs(facts))
    wanted = {name for pair in pairs for name in pair}
    seen = _seen(folder, facts, wanted) if pairs else {}
    options = facts.get("config_by_condition") or {}
    return [
        {
            "condition": condition,
            "baseline": baseline,
            "config": _config(options.get(baseline) or {}, options.get(condition) or {}),
            "code": _code(seen.get(baseline), seen.get(condition)),
            "data": _data(seen.get(baseline), seen.get(condition)),
        }
        for condition, baseline in pairs
    ]


def _pairs(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every condition beside the baseline of its stage."""
    baselines: Mapping[str, str] = facts.get("baselines") or {}
    for row in facts.get("conditions") or ():
        baseline = baselines.get(str(row.get("stage") or ""))
        if baseline and not row.get("baseline"):
            yield str(row.get("condition")), baseline


def _seen(folder: Path, facts: Mapping[str, Any], wanted: Iterable[str]) -> dict[str, _Seen]:
    runs: Sequence[Mapping[str, Any]] = facts.get("runs") or ()
    several = len({run.get("stage") for run in runs}) > 1
    known = set(wanted)
    found: dict[str, _Seen] = {}
    for run in runs:
        place = f"{run['stage']}/{run['name']}" if run.get("stage") else str(run.get("name"))
        name = f"{run['stage']}/{run.get('condition')}" if several and run.get("stage") else str(run.get("condition"))
        if name not in known:
            continue
        states = found.setdefault(name, _Seen())
        git = read_mapping(folder / "runs" / place / "git.json")
        if git.get("commit"):
            states.code.setdefault(f"{git.get('commit')} {git.get('tree')}", git)
        manifest = read_mapping(folder / "runs" / place / "data.json")
        files = manifest.get("files")
        for item in files if isinstance(files, list) else ():
            states.data.setdefault(str(item.get("path")), str(item.get("sha256")))
    return found


def _config(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The options that differ; a side that has no such option leaves its key out."""
    found: list[dict[str, Any]] = []
    for key in sorted({*before, *after}):
        sides = {name: side[key] for name, side in (("from", before), ("to", after)) if key in side}
        if len(sides) < 2 or sides["from"] != sides["to"]:
            found.append({"key": key, **sides})
    return found


def _code(before: _Seen | None, after: _Seen | None) -> list[str]:
    """What differs in the code; nothing when the states are the same, or there is no repository to tell."""
    old, new = (before.code if before else {}), (after.code if after else {})
    if bool(old) != bool(new):
        return ["not recorded in every run"]
    return [] if set(old) == set(new) else [f"{_states(old)} to {_states(new)}"]


def _states(seen: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(_state(git) for git in seen.values())


def _state(git: Mapping[str, Any]) -> str:
    """A state of the code in a few characters: the tree tells uncommitted changes apart."""
    commit = str(git.get("commit"))[:12]
    return f"{commit} with uncommitted changes (tree {str(git.get('tree'))[:12]})" if git.get("dirty") else commit


def _data(before: _Seen | None, after: _Seen | None) -> list[str]:
    """What differs in the data, by file."""
    old, new = (before.data if before else {}), (after.data if after else {})
    found: list[str] = []
    for path in sorted({*old, *new}):
        if path not in old:
            found.append(f"{path} is new")
        elif path not in new:
            found.append(f"{path} is gone")
        elif old[path] != new[path]:
            found.append(f"{path} has other contents")
    return found


def record_facts(folder: Path) -> dict[str, Any]:
    """The facts that a record is filled from: ``facts.json`` of an evidence folder, with what the rest of it adds.

    ``config_sections`` are those of the declaration, ``changes`` those of ``changes``, ``rerun`` the lines of runs that
    were made again.

    Raises:
        StoreError: the facts are missing or damaged.
    """
    facts: dict[str, Any] = read_json(folder / "facts.json")
    sections = read_mapping(folder / "study.lock.json").get("config_sections")
    return {
        "config_sections": sections if isinstance(sections, list) else [],
        "changes": changes(folder, facts),
        **facts,
        "rerun": facts.get("rerun") or kept_reruns(folder),
    }
