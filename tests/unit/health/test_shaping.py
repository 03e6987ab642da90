"""Values held against their own past, smoothed, and judged only while something else holds."""

from __future__ import annotations

from math import inf, isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadrat.core.errors import UsageError
from quadrat.health.monitor import Monitor
from quadrat.health.rules import parse_rules
from quadrat.health.shaping import Past, Smoother


def seen(rule, rows):
    """``rows``: step, value of ``m``, value of ``aside``; None for what a row does not hold."""
    monitor = Monitor([{"id": "r", "metric": "m", **rule}])
    for step, value, aside in rows:
        row = {"m": value, "aside": aside}
        monitor.observe(step, {name: number for name, number in row.items() if number is not None})
    return monitor


def test_a_value_over_its_smallest_largest_and_first():
    def relate(kind):
        past = Past(kind)
        return [past.relate(value) for value in (2.0, 4.0, 1.0, 3.0)]

    assert relate("min") == [1.0, 2.0, 1.0, 3.0]
    assert relate("max") == [1.0, 1.0, 0.25, 0.75]
    assert relate("first") == [1.0, 2.0, 0.5, 1.5]


def test_what_is_not_finite_is_no_past_and_stays_odd():
    past = Past("min")
    assert isnan(past.relate(nan))
    assert past.relate(2.0) == 1.0
    assert past.relate(inf) == inf


def test_a_window_is_full_before_it_speaks_and_counts_steps():
    smoother = Smoother("mean", 20)
    assert [smoother.add(step, float(step)) for step in (10, 20, 30)] == [None, 15.0, 25.0]
    every = Smoother("median", 3)
    assert [every.add(step, value) for step, value in enumerate((1.0, 9.0, 2.0, 3.0))] == [None, None, 2.0, 3.0]


def test_a_median_bears_one_odd_value_and_a_mean_does_not():
    median, mean = Smoother("median", 3), Smoother("mean", 3)
    values = (1.0, nan, 2.0, nan, nan)
    assert [median.add(step, value) for step, value in enumerate(values)][2] == 1.5
    assert isnan([Smoother("median", 3).add(0, nan), median.add(5, nan)][1])
    assert isnan([mean.add(step, value) for step, value in enumerate(values)][2])


def test_a_rule_judges_only_while_the_other_metric_asks_for_it():
    rule = {"fail": "< 0.05", "when": {"aside": "> 0.3"}}
    assert seen(rule, [(1, 0.01, None), (2, 0.01, 0.2), (3, 0.01, nan)]).report()[0]["state"] == "not_measured"
    (found,) = seen(rule, [(1, 0.01, 0.2), (2, None, 0.9), (3, 0.01, None)]).findings
    assert (found.step, found.threshold) == (3, "< 0.05 while aside > 0.3")


def test_no_streak_reaches_over_a_time_that_was_not_judged():
    rule = {"fail": "< 1", "stays": 3, "when": {"aside": "> 0"}}
    rows = [(step, 0.0, -1.0 if step == 2 else 1.0) for step in range(9)]
    (found,) = seen(rule, rows).findings
    assert found.window == (3, 6)


def test_patience_waits_while_it_is_not_judged_and_windows_fill():
    patient = {"patience": 3, "goal": "max", "when": {"aside": "> 0"}}
    rows = [(step, 1.0, 1.0 if step > 5 else -1.0) for step in range(12)]
    assert [found.step for found in seen(patient, rows).findings] == [8]
    trend = {"trend": {"window": 2, "against": 2, "fail": "<= 0"}, "when": {"aside": "> 0"}}
    assert [found.step for found in seen(trend, rows).findings] == [6]


def test_a_within_is_not_decided_by_what_is_not_judged():
    rule = {"fail": "< 1", "within": 3, "when": {"aside": "> 0"}}
    rows = [(step, 5.0 if step == 1 else 0.0, -1.0 if step == 1 else 1.0) for step in range(5)]
    assert [found.step for found in seen(rule, rows).findings] == [3]


def test_a_finding_names_all_that_was_done_to_the_value():
    rule = {"relative": "min", "smooth": {"median": 3}, "fail": "> 3", "when": {"aside": "in [0, 1]"}}
    (found,) = seen(rule, [(step, 1.0 if step < 5 else 8.0, 0.5) for step in range(9)]).findings
    assert found.threshold == "over its smallest value so far median of 3 steps > 3 while aside in [0, 1]"
    assert (found.step, found.value, found.window) == (6, 8.0, (4, 6))


@given(st.lists(st.tuples(st.floats(-2, 2), st.floats(-1, 1)), max_size=40))
def test_replayed_and_live_are_equal_for_every_shape(values):
    rules = [
        {"id": "a", "metric": "m", "fail": "> 1", "stays": 2, "when": {"aside": "> 0"}},
        {"id": "b", "metric": "m", "warn": "outside [-1, 1]", "smooth": {"mean": 3}},
        {"id": "c", "metric": "m", "fail": "> 2", "relative": "max", "action": "stop"},
    ]
    live = Monitor(rules)
    rows = []
    for step, (value, aside) in enumerate(values):
        live.observe(step, {"m": value, "aside": aside})
        rows.append({"step": step, "metrics": {"m": value, "aside": aside}})
    again = Monitor.replay(rules, rows)
    assert (again.findings, again.report()) == (live.findings, live.report())


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"fail": "< 1", "when": "aside > 1"}, "write it like"),
        ({"fail": "< 1", "when": {"aside": "nonfinite"}}, "write what has to hold"),
        ({"fail": "< 1", "when": {}}, "write it like"),
        ({"fail": "< 1", "smooth": {"mode": 3}}, "write it like"),
        ({"fail": "< 1", "smooth": {"mean": 1}}, "at least 2"),
        ({"fail": "< 1", "relative": "median"}, "use one of min, max, first"),
        ({"fail": "in [2, 1]"}, "write what is bad"),
        ({"fail": "< 1", "smooth": {"mean": 90}, "until_step": 10}, "could never fire"),
    ],
)
def test_what_makes_no_sense_is_refused(rule, said):
    with pytest.raises(UsageError, match=said):
        parse_rules([{"id": "r", "metric": "m", **rule}])
