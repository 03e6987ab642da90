"""Two runs side by side: what they differ in, and nothing else.

Everything is read from the two folders, so it works on runs that are finished, at work, crashed or half copied.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, final

from quadrat.core.errors import QuadratError
from quadrat.journal.atomic import read_json
from quadrat.journal.layout import RunFolder
from quadrat.journal.plain import flatten
from quadrat.journal.reader import RunView
from quadrat.journal.seal import hash_file

Side: TypeAlias = Literal["a", "b"]
_Kind: TypeAlias = Literal["config", "data", "git", "env"]
_Facts: TypeAlias = Callable[[RunView, Mapping[str, Any]], Mapping[str, Any]]

_WORLD: Final = ("python", "implementation", "platform", "processor", "cores", "accelerators")
_CODE: Final = ("commit", "reason", "dirty", "tree", "left_out")


@final
@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that differs. ``only`` names the run that has it when the other has none."""

    key: str
    a: Any
    b: Any
    only: Side | None = None


@final
@dataclass(frozen=True, slots=True)
class MetricDifference:
    """The final value of one metric in both runs; None where a run never logged it."""

    name: str
    a: float | None
    b: float | None

    @property
    def change(self) -> float | None:
        """B minus A; None when one of them is missing or not finite, so that no number would mean anything."""
        if self.a is None or self.b is None or not (math.isfinite(self.a) and math.isfinite(self.b)):
            return None
        return self.b - self.a

    @property
    def direction(self) -> Literal["up", "down"] | None:
        """Whether B is higher or lower than A; None when that cannot be said."""
        if self.a is None or self.b is None or math.isnan(self.a) or math.isnan(self.b):
            return None
        return "up" if self.b > self.a else "down"


@final
@dataclass(frozen=True, slots=True)
class RunDiff:
    """What two runs differ in, part by part; a part in which they agree is empty.

    Attributes:
        outcome: how they stand or ended: status, step, rule or error.
        config: keys of the resolved config, dotted.
        seeds: the seed asked for and the seed applied.
        metrics: final values that differ.
        equal_metrics: how many metrics have the same final value in both.
        derived: parameters worked out from config or data.
        data: content hashes, of all together and file by file.
        code: trainable, commit, whether the tree was dirty, tree and patch by hash.
        environment: interpreter, machine, threads, device, variables, packages.
        damage: what of each run could not be read, and so could not be compared.
    """

    outcome: tuple[Difference, ...] = ()
    config: tuple[Difference, ...] = ()
    seeds: tuple[Difference, ...] = ()
    metrics: tuple[MetricDifference, ...] = ()
    equal_metrics: int = field(default=0, compare=False)
    derived: tuple[Difference, ...] = ()
    data: tuple[Difference, ...] = ()
    code: tuple[Difference, ...] = ()
    environment: tuple[Difference, ...] = ()
    damage: Mapping[Side, tuple[str, ...]] = field(default_factory=dict[Side, tuple[str, ...]], compare=False)

    @property
    def differs(self) -> bool:
        """Whether there is any difference at all."""
        return bool(self.metrics) or any(self.parts().values())

    def parts(self) -> dict[str, tuple[Difference, ...]]:
        """Every part but the metrics by its name, in the order a reader wants them."""
        names = ("outcome", "config", "seeds", "derived", "data", "code", "environment")
        return {name: getattr(self, name) for name in names}


PROGRAM_FILE: Final = "program "
"""What stands before the name of a program's file among the facts about the code."""


def compare_runs(a: RunView, b: RunView) -> RunDiff:
    """Compare two runs. Never raises for what it finds in their folders."""
    metrics = metric_differences(a.final(), b.final())
    return RunDiff(
        outcome=differences(_outcome(a), _outcome(b)),
        config=_differences_in("config", a, b, facts=_config),
        seeds=differences(_seeds(a), _seeds(b)),
        metrics=tuple(metric for metric in metrics if not _same_number(metric.a, metric.b)),
        equal_metrics=sum(_same_number(metric.a, metric.b) for metric in metrics),
        derived=differences(flatten(a.derived()), flatten(b.derived())),
        data=_differences_in("data", a, b, facts=_data),
        code=_differences_in("git", a, b, facts=_code),
        environment=_differences_in("env", a, b, facts=_environment),
        damage={"a": tuple(a.damage()), "b": tuple(b.damage())},
    )


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[Difference, ...]:
    """The keys whose values differ, in the order of ``a``, then those that only ``b`` has.

    1, 1.0 and true are three values, as they are in JSON.
    """
    keys = dict.fromkeys((*a, *b))
    found = (Difference(key, a.get(key), b.get(key), _only(key, a, b)) for key in keys)
    return tuple(item for item in found if item.only or _spelt(item.a) != _spelt(item.b))


def _differences_in(kind: _Kind, a: RunView, b: RunView, *, facts: _Facts) -> tuple[Difference, ...]:
    """The differences in what a file records; a file that one run lacks is one difference, not many."""
    mine, theirs = _content(a, kind), _content(b, kind)
    if bool(mine) == bool(theirs):
        return differences(facts(a, mine), facts(b, theirs))
    recorded = {_file(a.folder, kind).name: "recorded"}
    one_sided = differences(recorded if mine else {}, recorded if theirs else {})
    return (*one_sided, *differences(facts(a, {}), facts(b, {})))


def metric_differences(a: Mapping[str, float], b: Mapping[str, float]) -> tuple[MetricDifference, ...]:
    """Every metric of either run, equal ones too, in the order first met."""
    return tuple(MetricDifference(name, a.get(name), b.get(name)) for name in dict.fromkeys((*a, *b)))


def _only(key: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Side | None:
    if key in a and key in b:
        return None
    return "a" if key in a else "b"


def _spelt(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _same_number(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return False
    return a == b or (math.isnan(a) and math.isnan(b))


def _outcome(view: RunView) -> dict[str, Any]:
    verdict = view.verdict() or {}
    diagnosis, error = _mapping(verdict.get("diagnosis")), view.error() or {}
    facts = {
        "status": str(view.status()),
        "step": verdict.get("step", view.progress().step),
        "rule": diagnosis.get("rule"),
        "error": f"{error.get('type')}: {error.get('message')}" if error else None,
    }
    return {key: value for key, value in facts.items() if value is not None}


def _seeds(view: RunView) -> dict[str, Any]:
    told = _last_attempt(view)
    return {key: told[f"seed_{key}"] for key in ("requested", "applied") if f"seed_{key}" in told}


def _config(view: RunView, config: Mapping[str, Any]) -> Mapping[str, Any]:
    del view
    return flatten(config)


def _data(view: RunView, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    whole = manifest.get("sha256") or _last_attempt(view).get("data_sha256")
    listed = manifest.get("files")
    files = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    facts = {"sha256": whole} if whole else {}
    return facts | {str(item.get("path")): item.get("sha256") for item in files}


def _code(view: RunView, git: Mapping[str, Any]) -> Mapping[str, Any]:
    told = _last_attempt(view)
    facts = {key: told[key] for key in ("trainable", "code_sha256") if key in told}
    facts |= {key: git[key] for key in _CODE if git.get(key) not in (None, [])}
    return {**facts, **_program(view), **_patch(view.folder)}


def _program(view: RunView) -> dict[str, Any]:
    """The files that the command of a program named, each by its hash; nothing for other trainables."""
    notes = (event for event in view.events() if event.get("event") == "note" and event.get("kind") == "program")
    told = [_mapping(_mapping(note.get("data")).get("sha256")) for note in notes]
    return {f"{PROGRAM_FILE}{name}": sha256 for name, sha256 in (told[-1] if told else {}).items()}


def _patch(folder: RunFolder) -> dict[str, str]:
    """The hash of what was not committed; nothing when everything was."""
    try:
        return {"patch_sha256": hash_file(folder.git_diff)} if folder.git_diff.stat().st_size else {}
    except OSError:
        return {}


def _environment(view: RunView, env: Mapping[str, Any]) -> Mapping[str, Any]:
    told = _last_attempt(view)
    facts = {key: env[key] for key in _WORLD if key in env}
    facts |= {key: told[key] for key in ("threads", "device") if key in told}
    # Variables come twice: as the conductor saw them and as the worker did. The worker's are the ones that acted.
    acted = {**_mapping(env.get("variables")), **_mapping(told.get("determinism"))}
    facts |= {f"variables.{name}" if name.isupper() else name: value for name, value in sorted(acted.items())}
    return facts | {f"packages.{name}": value for name, value in _mapping(env.get("packages")).items()}


def _last_attempt(view: RunView) -> Mapping[str, Any]:
    rows = view.attempts()
    return rows[-1] if rows else {}


def _content(view: RunView, kind: _Kind) -> Mapping[str, Any]:
    """What a file of a run records; empty when it is absent, damaged or a link to somewhere else."""
    if kind == "config":
        return view.config()
    try:
        return _mapping(read_json(_file(view.folder, kind)))
    except (QuadratError, OSError):
        return {}


def _file(folder: RunFolder, kind: _Kind) -> Path:
    return {"config": folder.config, "data": folder.data, "git": folder.git, "env": folder.env}[kind]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
