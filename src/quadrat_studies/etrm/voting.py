"""Voting over augmented versions, and pass@k with denominators that are written down.

Pure functions of plain rows, without torch. Every evaluation votes by itself: votes of different checkpoints are never
mixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, final

from quadrat_studies.etrm.grids import Grid, Task, grid_hash

Z_95 = 1.959963984540054


@final
@dataclass(frozen=True, slots=True)
class Vote:
    """The answer to one query of one version, turned back to the original task; ``confidence`` is 0..1."""

    task: int
    query: int
    grid: Grid
    confidence: float


@final
@dataclass(frozen=True, slots=True)
class Candidate:
    """One of the answers to a query: how many votes, and their mean confidence."""

    grid: Grid
    votes: int
    confidence: float


def candidates(votes: Iterable[Vote]) -> dict[tuple[int, int], list[Candidate]]:
    """Answers by task and query: most votes first, then the more confident, then the first seen."""
    ballots: dict[tuple[int, int], dict[str, list[Vote]]] = {}
    for vote in votes:
        ballots.setdefault((vote.task, vote.query), {}).setdefault(grid_hash(vote.grid), []).append(vote)
    found: dict[tuple[int, int], list[Candidate]] = {}
    for place, ballot in ballots.items():
        each = [Candidate(g[0].grid, len(g), sum(v.confidence for v in g) / len(g)) for g in ballot.values()]
        found[place] = sorted(each, key=lambda c: (-c.votes, -c.confidence))
    return found


def pass_at(votes: Sequence[Vote], tasks: Sequence[Task], *, ks: Sequence[int], n_total: int) -> dict[str, float]:
    """``ARC/pass@k``: a query counts when its true grid is among the first ``k``; a task is the mean of its queries.

    The mean runs over the tasks that were evaluated and have solutions: ``ARC/n_evaluated``. ``ARC/n_total`` is the
    whole split, and ``origin/ARC/pass@k`` divides by it, as the published evaluator did whatever was evaluated.

    Args:
        votes: of this evaluation, all of them.
        tasks: what ``Vote.task`` counts through.
        ks: how many answers may be given.
        n_total: tasks of the split, evaluated or not.
    """
    found = candidates(votes)
    solved = [place for place, task in enumerate(tasks) if task.labelled and (place, 0) in found]
    values = {"ARC/n_evaluated": float(len(solved)), "ARC/n_total": float(n_total)}
    for k in ks:
        score = sum(_share_right(tasks[place], place, found, k=k) for place in solved)
        values[f"ARC/pass@{k}"] = score / max(len(solved), 1)
        values[f"origin/ARC/pass@{k}"] = score / max(n_total, 1)
    return values


def _share_right(task: Task, place: int, found: Mapping[tuple[int, int], Sequence[Candidate]], *, k: int) -> float:
    hits = 0
    for query, pair in enumerate(task.queries):
        assert pair.output is not None
        wanted = grid_hash(pair.output)
        hits += any(grid_hash(c.grid) == wanted for c in found.get((place, query), ())[:k])
    return hits / len(task.queries)


def submission(votes: Iterable[Vote], tasks: Sequence[Task], *, attempts: int = 2) -> dict[str, Any]:
    """The first answers to every query in the form ARC Prize takes; a missing one repeats the first."""
    found = candidates(votes)
    answers: dict[str, Any] = {}
    for place, task in enumerate(tasks):
        answers[task.id] = []
        for query in range(len(task.queries)):
            grids = [c.grid.tolist() for c in found.get((place, query), ())[:attempts]] or [[[0]]]
            grids += [grids[0]] * (attempts - len(grids))
            answers[task.id].append({f"attempt_{i + 1}": grid for i, grid in enumerate(grids)})
    return answers


def wilson(hits: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a proportion of ``hits`` in ``n``; (0, 1) when nothing was counted."""
    if n == 0:
        return 0.0, 1.0
    p, z = hits / n, Z_95 * Z_95 / n
    middle, spread = p + z / 2, Z_95 * sqrt(p * (1 - p) / n + z / (4 * n))
    return max(0.0, (middle - spread) / (1 + z)), min(1.0, (middle + spread) / (1 + z))
