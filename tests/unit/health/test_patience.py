from __future__ import annotations

from math import inf, isfinite, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

MAX = {"patience": 10, "goal": "max"}
STEPS = st.lists(st.integers(0, 60), unique=True, max_size=25).map(sorted)
VALUE = st.sampled_from([0.0, 0.1, 0.12, 0.5, 1.0, -1.0, nan, inf, -inf])
SERIES = STEPS.flatmap(lambda steps: st.tuples(*(st.tuples(st.just(step), VALUE) for step in steps)))


@pytest.mark.parametrize(
    ("rule", "series", "at"),
    [
        (MAX, [(0, 0.1), (9, 0.1)], None),
        (MAX, [(0, 0.1), (10, 0.1)], 10),
        (MAX, [(0, 0.1), (9, 0.2), (18, 0.2), (19, 0.1)], 19),
        (MAX, [(0, 0.1), (10, 0.2)], None),
        (MAX | {"min_delta": 0.1}, [(0, 0.1), (10, 0.2)], 10),
        (MAX | {"min_delta": 0.1}, [(0, 0.0), (5, 0.06), (10, 0.12), (19, 0.2)], None),
        (MAX | {"goal": "min"}, [(0, 3.0), (5, 2.0), (14, 2.5), (15, 2.0)], 15),
        (MAX | {"goal": "min"}, [(0, 3.0), (5, 4.0), (10, 2.9)], None),
        (MAX, [(0, 0.1), (5, inf), (10, 0.1)], 10),
        (MAX, [(0, nan), (10, nan)], 10),
        (MAX, [(0, nan), (9, 0.1), (18, 0.1)], None),
        (MAX | {"from_step": 5}, [(0, 0.9), (5, 0.1), (14, 0.2), (15, 0.2)], None),
        (MAX | {"until_step": 12}, [(5, 0.1), (12, 0.1), (15, 0.1)], None),
    ],
)
def test_when_patience_ends(watch, rule, series, at):
    found, row = watch(rule | {"action": "stop"}, series)
    assert [one.step for one in found] == ([] if at is None else [at])
    assert row["state"] == ("ok" if at is None else "fail")
    assert all(one.action == "stop" and one.level == "fail" for one in found)


def test_the_finding_shows_the_best_value_and_since_when_it_stands(watch):
    (found,), row = watch(MAX | {"min_delta": 0.01}, [(0, 0.1), (3, 0.4), (8, 0.405), (13, 0.2)])
    assert (found.value, found.window) == (0.4, (3, 13))
    assert found.threshold == "no new max by more than 0.01 in 10 steps"
    assert row["value"] == 0.4
    (found,), _ = watch(MAX | {"diagnosis": "Stuck."}, [(0, 0.1), (4, nan), (10, 0.1)])
    assert found.diagnosis == "At step 4 m was NaN, and what is not finite counts as breaking. Stuck."
    (found,), _ = watch(MAX | {"diagnosis": "Stuck."}, [(0, 0.1), (4, nan), (6, 0.2), (16, 0.1)])
    assert found.diagnosis == "Stuck."
    (found,), _ = watch(MAX | {"goal": "min"}, [(2, nan), (12, inf)])
    assert (found.value, found.window, found.threshold) == ("NaN", (2, 12), "no new min in 10 steps")


@given(SERIES, st.integers(1, 30), st.sampled_from(["max", "min"]), st.sampled_from([0.0, 0.05, 0.2]))
def test_patience_agrees_with_looking_back_over_the_whole_series(watch, series, patience, goal, min_delta):
    found, _ = watch({"patience": patience, "goal": goal, "min_delta": min_delta}, series)
    sign = 1 if goal == "max" else -1
    bests = []  # every value that was a new best, with its step
    expected = None
    for step, value in series:
        if isfinite(value) and (not bests or sign * (value - bests[-1][1]) > min_delta):
            bests.append((step, value))
        since = bests[-1][0] if bests else series[0][0]
        if expected is None and step - since >= patience:
            expected = step
    assert [one.step for one in found] == ([] if expected is None else [expected])
