"""A run and the same run made again: how alike they are, why they may differ, and where they part.

Causes come before effects. Only then does it mean anything that numbers differ: in another environment a sum may come
out in another order; with the same code, data and machine it may not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, stdev
from typing import Any, Final, final

from quadrat.analyze.compare import PROGRAM_FILE, Difference, compare_runs
from quadrat.analyze.parting import Parting, Tolerance, Walk, is_clock
from quadrat.analyze.student import t_quantile
from quadrat.core.errors import QuadratError
from quadrat.core.verdicts import Status
from quadrat.journal.atomic import read_json
from quadrat.journal.layout import StudyFolder
from quadrat.journal.ndjson import read_rows
from quadrat.journal.plain import spell
from quadrat.journal.reader import RunView
from quadrat.journal.seal import read_manifest

FOLDER: Final = ".reruns"
"""Under a study: ``.reruns/[<stage>/]<run>/<n>/`` holds ``rerun.json`` and the run made again."""

REPORT: Final = "rerun.json"
LEAST_SEEDS: Final = 3
MOST_NAMED: Final = 20


class Level(StrEnum):
    """How alike two executions of one run are, from the same to not."""

    IDENTICAL = "identical bytes"
    TOLERANCE = "within tolerance"
    CONSISTENT = "statistically consistent"
    DIFFERS = "differs"


TOLD: Final = ("code_sha256", "trainable")
"""What a run tells of its code wherever it was made, in a git repository or not."""


@final
@dataclass(frozen=True, slots=True)
class Effects:
    """What came out differently.

    Attributes:
        rows: rows of metrics then and now.
        same_bytes: whether the two files of metrics are one and the same.
        first: where they part at all; None when they do not.
        beyond: where they part by more than the tolerance; None when they do not.
        largest: the largest relative difference of any number.
        finals: final values beyond the tolerance: metric to then and now.
        clocks: metrics left out because they measure time.
        files: artifacts and checkpoints with other bytes, missing or new.
        same_files: how many have the same bytes.
        outcome: what differs in how the two ended.
        outside: metrics outside what the seeds of this condition give; None when there are too few seeds.
    """

    rows: tuple[int, int]
    same_bytes: bool
    first: Parting | None
    beyond: Parting | None
    largest: float
    finals: Mapping[str, tuple[Any, Any]]
    clocks: Sequence[str]
    files: Sequence[str]
    same_files: int
    outcome: Sequence[Difference]
    outside: Sequence[str] | None


@final
@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdict on a re-run: what could explain a difference, what differs, and the level reached."""

    causes: Mapping[str, Sequence[Difference]]
    effects: Effects
    level: Level
    expected: Level

    @property
    def conclusion(self) -> str:
        """The verdict in one sentence."""
        effects = self.effects
        names = [name for name, items in self.causes.items() if items]
        blame = f"; other {' and '.join(names)}" if names else "; nothing it depends on is known to differ"
        match self.level:
            case Level.IDENTICAL:
                return f"{self.level}: {effects.rows[1]} rows of metrics and {effects.same_files} files"
            case Level.TOLERANCE:
                unlike = f", {len(effects.files)} files with other bytes" if effects.files else ""
                return f"{self.level}: largest relative difference {effects.largest:.2g}{unlike}{blame}"
            case _:
                where = effects.beyond or effects.first
                ended = "".join(f", {item.key} {item.a} then, {item.b} now" for item in effects.outcome[:1])
                parted = f" from {where.words()}" if where else ""
                return f"{self.level}{parted}{ended}{blame}"

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``rerun.json``."""
        effects = self.effects
        return {
            "level": str(self.level),
            "expected": str(self.expected),
            "conclusion": self.conclusion,
            "causes": {name: [_difference(item) for item in items] for name, items in self.causes.items()},
            "effects": {
                "rows": {"then": effects.rows[0], "now": effects.rows[1]},
                "same_bytes": effects.same_bytes,
                "first": _parting(effects.first),
                "beyond_tolerance": _parting(effects.beyond),
                "largest_relative_difference": spell(effects.largest),
                "finals": {name: {"then": a, "now": b} for name, (a, b) in effects.finals.items()},
                "clocks": list(effects.clocks),
                "files": list(effects.files),
                "same_files": effects.same_files,
                "outcome": [_difference(item) for item in effects.outcome],
                "outside_seeds": None if effects.outside is None else list(effects.outside),
            },
        }


def compare(then: RunView, now: RunView, *, siblings: Sequence[RunView] = (), tolerance: Tolerance) -> Comparison:
    """Hold a run made again against the original.

    Args:
        then: the original.
        now: the same run made again.
        siblings: finished runs of the same point with other seeds, the original among them; with three or more,
            numbers that are not equal can still be what another seed might have given.
        tolerance: when two numbers count as equal.
    """
    causes, outcome = _causes(then, now)
    effects = _effects(then, now, outcome=outcome, siblings=siblings, tolerance=tolerance)
    is_same_science = not (causes["config"] or causes["data"] or causes["code"])
    at_best = Level.TOLERANCE if any(causes.values()) else Level.IDENTICAL
    expected = at_best if is_same_science else Level.DIFFERS
    return Comparison(causes, effects, _level(effects, may_be_chance=is_same_science), expected)


def siblings_of(folder: StudyFolder, view: RunView) -> list[RunView]:
    """Every completed run of the same stage, arm and point, this one among them."""
    about = (view.stage, view.arm(), view.point())
    views = (RunView(run) for run in folder.runs())
    return [other for other in views if (other.stage, other.arm(), other.point()) == about and _is_done(other)]


def _level(effects: Effects, *, may_be_chance: bool) -> Level:
    if effects.same_bytes and not effects.files and not effects.outcome:
        return Level.IDENTICAL
    if effects.outcome:
        return Level.DIFFERS
    if effects.beyond is None:
        return Level.TOLERANCE
    return Level.CONSISTENT if may_be_chance and effects.outside == () else Level.DIFFERS


def _causes(then: RunView, now: RunView) -> tuple[dict[str, Sequence[Difference]], Sequence[Difference]]:
    found = compare_runs(then, now)
    groups: dict[str, list[Difference]] = {"environment": [], "threads": [], "device": []}
    for item in found.environment:
        groups[_group(item.key)].append(item)
    # A patch and a dirty tree are how the tree came about; where both name the tree, it alone decides.
    told = [item for item in found.code if item.key in TOLD or item.key.startswith(PROGRAM_FILE)]
    trees = [*told, *(item for item in found.code if item.key == "tree")]
    has_trees = _tree(then) is not None and _tree(now) is not None
    causes: dict[str, Sequence[Difference]] = {
        "environment": groups["environment"],
        "data": found.data,
        "code": trees if has_trees else told,
        "config": (*found.config, *found.seeds),
        "threads": groups["threads"],
        "device": groups["device"],
    }
    return causes, found.outcome


def _tree(view: RunView) -> str | None:
    try:
        git = read_json(view.folder.git)
    except QuadratError:
        return None
    return git.get("tree") if isinstance(git, dict) else None


def _group(key: str) -> str:
    if key in ("threads", "torch_threads") or key.endswith("_NUM_THREADS"):
        return "threads"
    is_device = key in ("device", "accelerators") or "CUDA" in key or "CUBLAS" in key
    return "device" if is_device else "environment"


def _effects(
    then: RunView,
    now: RunView,
    *,
    outcome: Sequence[Difference],
    siblings: Sequence[RunView],
    tolerance: Tolerance,
) -> Effects:
    a, b = _rows(then), _rows(now)
    walk = Walk(tolerance)
    walk.over(a, b)
    finals = {
        name: (spell(x), spell(y)) for name, x, y in _finals(then, now) if not tolerance.holds(spell(x), spell(y))
    }
    files, same = _files(then, now)
    return Effects(
        rows=(len(a), len(b)),
        same_bytes=_bytes(then) == _bytes(now),
        first=walk.first,
        beyond=walk.beyond,
        largest=walk.largest,
        finals=finals,
        clocks=sorted(walk.clocks),
        files=files,
        same_files=same,
        outcome=outcome,
        outside=_outside(now, siblings),
    )


def _finals(then: RunView, now: RunView) -> Iterable[tuple[str, float, float]]:
    a, b = then.final(), now.final()
    for name in dict.fromkeys((*a, *b)):
        if not is_clock(name):
            yield name, a.get(name, math.nan), b.get(name, math.nan)


def _outside(now: RunView, siblings: Sequence[RunView]) -> tuple[str, ...] | None:
    """Metrics whose new final value lies outside the 95 % prediction interval of the seeds there are.

    The interval for one further value is mean +- t(k - 1) * s * sqrt(1 + 1/k).
    """
    if len(siblings) < LEAST_SEEDS:
        return None
    outside: list[str] = []
    for name, value in now.final().items():
        if is_clock(name):
            continue
        seen = [final[name] for final in (other.final() for other in siblings) if name in final]
        if len(seen) < LEAST_SEEDS or not all(map(math.isfinite, (*seen, value))):
            outside.append(name)
            continue
        half = t_quantile(len(seen) - 1) * stdev(seen) * math.sqrt(1 + 1 / len(seen))
        if abs(value - fmean(seen)) > half:
            outside.append(name)
    return tuple(outside)


def _files(then: RunView, now: RunView) -> tuple[list[str], int]:
    """Artifacts, models and shared checkpoints with other bytes, and how many are the same."""
    a, b = _products(then), _products(now)
    kept = {path for path in {*a, *b} if not path.startswith("checkpoints/") or (path in a and path in b)}
    other = sorted(path for path in kept if a.get(path) != b.get(path))
    return other[:MOST_NAMED], len(kept) - len(other)


def _products(view: RunView) -> dict[str, str]:
    try:
        sealed = read_manifest(view.folder)
    except QuadratError:
        return {}
    wanted = ("artifacts/", "checkpoints/", "model.")
    named = {path: str(entry["sha256"]) for path, entry in sealed.items() if path.startswith(wanted)}
    return {path: digest for path, digest in named.items() if not path.endswith(("/meta.json", "/best.json"))}


def _rows(view: RunView) -> list[dict[str, Any]]:
    try:
        return read_rows(view.folder.metrics).rows
    except OSError:
        return []


def _bytes(view: RunView) -> bytes:
    try:
        return view.folder.metrics.read_bytes()
    except OSError:
        return b""


def _is_done(view: RunView) -> bool:
    return view.status() is Status.COMPLETED


def _difference(item: Difference) -> dict[str, Any]:
    return {"key": item.key, "then": item.a, "now": item.b}


def _parting(item: Parting | None) -> dict[str, Any] | None:
    return item and {"step": item.step, "metric": item.metric, "then": item.then, "now": item.now}
