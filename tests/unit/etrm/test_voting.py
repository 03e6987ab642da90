"""Voting and pass@k: order, ties, halves of a task, and denominators."""

from __future__ import annotations

import numpy as np
import pytest

from quadrat_studies.etrm.grids import Pair, Task
from quadrat_studies.etrm.voting import Vote, candidates, pass_at, submission, wilson


def grid(value):
    return np.full((1, 2), value, dtype=np.uint8)


def task(name, *answers):
    queries = tuple(Pair(grid(0), None if a is None else grid(a)) for a in answers)
    return Task(name, (Pair(grid(0), grid(0)),), queries)


def votes(task_place, query, *given):
    return [Vote(task_place, query, grid(value), confidence) for value, confidence in given]


def test_most_votes_then_confidence_then_first_seen():
    cast = votes(0, 0, (1, 0.9), (2, 0.1), (2, 0.1), (3, 0.95), (4, 0.9))
    found = candidates(cast)[0, 0]
    assert [int(c.grid[0, 0]) for c in found] == [2, 3, 1, 4]
    assert [(c.votes, round(c.confidence, 3)) for c in found] == [(2, 0.1), (1, 0.95), (1, 0.9), (1, 0.9)]


def test_a_task_is_the_mean_of_its_queries_and_k_counts_answers():
    tasks = [task("a", 1, 2), task("b", 5)]
    cast = [*votes(0, 0, (1, 0.5)), *votes(0, 1, (9, 0.9), (2, 0.5)), *votes(1, 0, (6, 0.9), (7, 0.8), (5, 0.7))]
    values = pass_at(cast, tasks, ks=(1, 2, 5), n_total=2)
    assert values["ARC/pass@1"] == 0.25
    assert values["ARC/pass@2"] == 0.5
    assert values["ARC/pass@5"] == 1.0


def test_the_denominator_is_what_was_evaluated_and_both_are_said():
    tasks = [task(str(i), i) for i in range(1, 5)]
    cast = [*votes(0, 0, (1, 0.5)), *votes(1, 0, (9, 0.5))]
    values = pass_at(cast, tasks, ks=(1,), n_total=400)
    assert values["ARC/pass@1"] == 0.5
    assert values["ARC/n_evaluated"] == 2
    assert values["ARC/n_total"] == 400
    assert values["origin/ARC/pass@1"] == 1 / 400


def test_unlabelled_tasks_are_not_scored():
    values = pass_at(votes(0, 0, (1, 0.5)), [task("a", None)], ks=(1,), n_total=1)
    assert values["ARC/n_evaluated"] == 0
    assert values["ARC/pass@1"] == 0


def test_a_submission_repeats_its_first_answer():
    tasks = [task("a", 1), task("b", 2)]
    answers = submission(votes(0, 0, (3, 0.5)), tasks)
    assert answers["a"] == [{"attempt_1": [[3, 3]], "attempt_2": [[3, 3]]}]
    assert answers["b"] == [{"attempt_1": [[0]], "attempt_2": [[0]]}]


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"), [(0, 77, 0.0, 0.0475), (4, 32, 0.0497, 0.2807), (32, 32, 0.8928, 1.0), (0, 0, 0, 1)]
)
def test_wilson_against_known_intervals(hits, n, low, high):
    assert wilson(hits, n) == pytest.approx((low, high), abs=2e-4)
