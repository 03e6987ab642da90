"""Statistics between arms on the same items, and between points of a ladder. Plain numpy, no model, no journal.

    python -m quadrat_studies.fluxem.significance results/fluxem_arms_small --split test_id --baseline char_reversed
    python -m quadrat_studies.fluxem.significance results/fluxem_sample_efficiency --needed

Intervals over seeds and of single runs are the instrument's; what needs the answers item by item is here. Arms are
compared on the items that they share, with the runs of one arm and seed as they stand in ``predictions/<split>.jsonl``.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quadrat import t_quantile

Bits = NDArray[np.bool_]
DRAWS = 10_000


class McNemar(NamedTuple):
    """Items that only the first, only the second answered right, and the exact two-sided p-value."""

    first_only: int
    second_only: int
    p: float


class Difference(NamedTuple):
    """A difference of means and its bootstrap interval."""

    mean: float
    low: float
    high: float


class Needed(NamedTuple):
    """How many samples reach a level: median over bootstrap and interval; infinity where it was not reached."""

    level: float
    samples: float
    low: float
    high: float


def mcnemar(first: Bits, second: Bits) -> McNemar:
    """Exact McNemar test: are the items on which two runs disagree split evenly? (McNemar 1947, binomial form.)"""
    b, c = int(np.sum(first & ~second)), int(np.sum(~first & second))
    return McNemar(b, c, min(1.0, 2 * _binomial_below(min(b, c), b + c)) if b != c else 1.0)


def _binomial_below(k: int, n: int) -> float:
    """P(X <= k) for n fair coins, summed in logarithms so that n may be large."""
    logs = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) - n * math.log(2) for i in range(k + 1)]
    top = max(logs)
    return math.exp(top) * sum(math.exp(value - top) for value in logs)


def paired_bootstrap(first: Bits, second: Bits, *, draws: int = DRAWS, seed: int = 0) -> Difference:
    """``first - second`` in exact match, over seeds and items at once.

    Args:
        first, second: ``[seeds, items]``, the same items in the same order; the numbers of seeds may differ.
        draws: resamples; each draws seeds of either arm and items of both, with replacement (95 % percentiles).
    """
    rng = np.random.default_rng(seed)
    # Item means of a draw of seeds are linear in how often each seed was drawn, so a draw is two small products.
    found = np.empty(draws)
    items = first.shape[1]
    for draw in range(draws):
        chosen = rng.integers(0, items, items)
        means = [arm[rng.integers(0, len(arm), len(arm))].mean(0) for arm in (first, second)]
        found[draw] = float((means[0] - means[1])[chosen].mean())
    low, high = np.quantile(found, [0.025, 0.975])
    return Difference(float(first.mean() - second.mean()), float(low), float(high))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values of a family of tests, by name (Holm 1979)."""
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p))
        adjusted[name] = largest
    return adjusted


def samples_needed(sizes: Sequence[int], scores: NDArray[np.float64]) -> dict[str, float]:
    """``{"n90", "n99"}``: the size at which mean exact match first reaches 90 and 99 %, between two sizes on a
    logarithmic scale; infinity where none does. ``scores`` are ``[seeds, sizes]``."""
    means = np.asarray(scores, float).mean(0)
    return {f"n{round(100 * level)}": _crossing(sizes, means, level) for level in (0.9, 0.99)}


def samples_needed_interval(
    sizes: Sequence[int], scores: NDArray[np.float64], *, level: float, draws: int = 2000, seed: int = 0
) -> Needed:
    """The same for one level, with a 95 % interval from drawing seeds anew. A run at one size is another run than
    that seed's at the next, so seeds are drawn for each size by itself."""
    table = np.asarray(scores, float)
    rng = np.random.default_rng(seed)
    seeds, count = table.shape
    picked = rng.integers(0, seeds, (draws, seeds, count))
    means = np.take_along_axis(table[None], picked, axis=1).mean(1)
    found = np.array([_crossing(sizes, row, level) for row in means])
    low, high = np.quantile(found, [0.025, 0.975], method="inverted_cdf")
    return Needed(level, _crossing(sizes, table.mean(0), level), float(low), float(high))


def _crossing(sizes: Sequence[int], means: NDArray[np.float64], level: float) -> float:
    reached = np.flatnonzero(means >= level)
    if not len(reached):
        return math.inf
    place = int(reached[0])
    if place == 0:
        return float(sizes[0])
    share = (level - means[place - 1]) / (means[place] - means[place - 1])
    return float(np.exp(np.log(sizes[place - 1]) + share * np.log(sizes[place] / sizes[place - 1])))


def t_half_width(scores: Sequence[float] | NDArray[np.float64]) -> float:
    """Half of the 95 % t interval of a mean; infinite for a single score."""
    n = len(scores)
    return t_quantile(n - 1) * float(np.std(scores, ddof=1)) / math.sqrt(n) if n > 1 else math.inf


def extrapolates(scores: Sequence[float], *, level: float = 0.99, share: float = 0.8) -> bool:
    """The criterion for a claim beyond the trained range: ``level`` reached by a ``share`` of the seeds."""
    return sum(score >= level for score in scores) >= share * len(scores)


# Finished runs -----------------------------------------------------------------------------------------------------


def read_hits(results: Path, split: str) -> dict[str, dict[int, dict[str, bool]]]:
    """``{arm: {seed: {item: right?}}}`` of the runs in a study's results folder, named ``<arm>_S<seed>``."""
    arms: dict[str, dict[int, dict[str, bool]]] = defaultdict(dict)
    for file in sorted(results.glob(f"*/artifacts/predictions/{split}.jsonl")):
        named = re.fullmatch(r"(.+)_S(\d+)", file.parents[2].name)
        if named:
            arms[named[1]][int(named[2])] = {row["id"]: row["prediction"] == row["target"] for row in _rows(file)}
    return dict(arms)


def read_tables(results: Path, table: str) -> dict[str, dict[int, list[dict[str, Any]]]]:
    """``{arm: {seed: rows}}`` of ``tables/<table>.jsonl`` of the same runs, and of runs in stages, whose arms become
    ``<stage>/<arm>``. Arms and seeds are in order, numbers in names by their size."""
    arms: dict[str, dict[int, list[dict[str, Any]]]] = defaultdict(dict)
    for depth in ("*", "*/*"):
        for file in sorted(results.glob(f"{depth}/artifacts/tables/{table}.jsonl")):
            named = re.fullmatch(r"([^.].*)_S(\d+)", file.parents[2].relative_to(results).as_posix())
            if named:
                arms[named[1]][int(named[2])] = _rows(file)
    places = {arm: [part.zfill(12) if part.isdigit() else part for part in re.split(r"(\d+)", arm)] for arm in arms}
    return {arm: dict(sorted(arms[arm].items())) for arm in sorted(arms, key=places.__getitem__)}


def _rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def compare(arms: Mapping[str, Mapping[int, Mapping[str, bool]]], baseline: str) -> list[dict[str, Any]]:
    """Every arm against ``baseline``: difference with interval, and for the seeds that both have the McNemar tests,
    put together as the median p-value and adjusted by Holm over the arms.

    Raises:
        ValueError: there is no such arm.
    """
    if baseline not in arms:
        raise ValueError(f"there is no arm {baseline!r} among {sorted(arms)}")
    items = sorted(set.intersection(*(set(run) for arm in arms.values() for run in arm.values())))
    bits = {name: {seed: np.array([run[i] for i in items]) for seed, run in arm.items()} for name, arm in arms.items()}
    rows: dict[str, dict[str, Any]] = {}
    theirs = bits.pop(baseline)
    for name, mine in bits.items():
        found = paired_bootstrap(np.stack(list(mine.values())), np.stack(list(theirs.values())), draws=2000)
        tests = [mcnemar(mine[seed], theirs[seed]) for seed in sorted(set(mine) & set(theirs))]
        row = {"arm": name, "baseline": baseline, "items": len(items), "seeds": len(mine), **found._asdict()}
        rows[name] = row | {"mcnemar_p": float(np.median([test.p for test in tests])) if tests else 1.0}
    adjusted = holm({name: row["mcnemar_p"] for name, row in rows.items()})
    return [row | {"holm_p": adjusted[name]} for name, row in rows.items()]


def read_ladder(results: Path, metric: str) -> dict[str, tuple[list[int], NDArray[np.float64]]]:
    """``{arm: (sizes, scores [seeds, sizes])}`` of runs named ``<arm>_S<seed>`` in stages named ``n<size>``; sizes that
    lack a seed of the arm are left out.

    Raises:
        ValueError: a run has no such metric.
    """
    found: dict[str, dict[int, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    split, _, name = metric.partition("/")
    for file in sorted(results.glob("n*/*/artifacts/evaluation_results.json")):
        named = re.fullmatch(r"n(\d+)/(.+)_S(\d+)", f"{file.parents[2].name}/{file.parents[1].name}")
        if named:
            (splits,) = json.loads(file.read_text(encoding="utf-8")).values()
            if name not in splits.get(split, {}):
                raise ValueError(f"{file} has no {name!r} of a split {split!r}. Try one of {sorted(splits)}.")
            found[named[2]][int(named[1])][int(named[3])] = float(splits[split][name])
    ladders: dict[str, tuple[list[int], NDArray[np.float64]]] = {}
    for arm, by_size in found.items():
        most = max(by_size.values(), key=len)
        sizes = sorted(size for size, seeds in by_size.items() if seeds.keys() >= most.keys())
        ladders[arm] = sizes, np.array([[by_size[size][seed] for size in sizes] for seed in sorted(most)])
    return ladders


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one JSON line for each comparison, or with ``--needed`` for each arm and level of a sample ladder."""
    import argparse

    parser = argparse.ArgumentParser(description="Statistics between the finished runs of a study.")
    parser.add_argument("results", type=Path)
    parser.add_argument("--split", default="test_id")
    parser.add_argument("--baseline", default="char_reversed")
    parser.add_argument("--needed", action="store_true", help="N90 and N99 of a sample-efficiency ladder")
    told = parser.parse_args(arguments)
    if told.needed:
        for arm, (sizes, scores) in read_ladder(told.results, f"{told.split}/exact_match").items():
            for level in (0.9, 0.99):
                found = samples_needed_interval(sizes, scores, level=level)._asdict()
                print(
                    json.dumps({"arm": arm} | {k: v if math.isfinite(v) else "not reached" for k, v in found.items()})
                )
        return
    for row in compare(read_hits(told.results, told.split), told.baseline):
        print(json.dumps(row))


if __name__ == "__main__":
    main()
