from __future__ import annotations

import json
from itertools import pairwise
from math import inf, nan
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadrat.core.errors import StoreError, UsageError
from quadrat.health.monitor import Monitor
from quadrat.health.reading import plain

RULES = [
    {"id": "band", "metric": "a", "warn": "< 0.4", "fail": "< 0.1"},
    {"id": "stays", "metric": "a", "fail": "< 0.4", "stays": 6, "action": "stop"},
    {"id": "ratio", "metric": "a / b", "fail": "< 0.4", "stays": 3},
    {"id": "within", "metric": "b", "warn": "> 0.6", "fail": "> 0.9", "from_step": 3, "within": 9},
    {"id": "stuck", "metric": "c", "patience": 7, "goal": "min", "min_delta": 0.05, "action": "stop"},
    {"id": "rise", "metric": "b", "trend": {"window": 3, "against": 5, "warn": "< 0.1", "fail": "<= 0"}, "stays": 2},
    {"id": "odd", "metric": "c", "fail": "nonfinite", "until_step": 20},
    {"id": "never", "metric": "d", "fail": "> 0"},
]
NUMBER = st.floats(0, 1) | st.sampled_from([0.0, 1, nan, inf, -inf])
ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.dictionaries(st.sampled_from("abcx"), NUMBER, max_size=4)), max_size=40
).map(lambda rows: [(sum(gap for gap, _ in rows[: at + 1]), values) for at, (_, values) in enumerate(rows)])


def stored(rows):
    """Rows as they come back from metrics.ndjson: through bytes, strict JSON."""
    lines = [
        json.dumps({"step": step, "metrics": {k: plain(v) for k, v in values.items()}}, allow_nan=False)
        for step, values in rows
    ]
    return [json.loads(line) for line in lines]


@given(ROWS, st.integers(0, 40))
def test_live_replayed_and_resumed_find_the_same(rows, cut):
    live = Monitor(RULES)
    fired = [found for step, values in rows for found in live.observe(step, values)]
    replayed = Monitor.replay(RULES, stored(rows))
    resumed = Monitor.replay(RULES, stored(rows[:cut]))
    for step, values in rows[cut:]:
        resumed.observe(step, values)
    assert tuple(fired) == live.findings == replayed.findings == resumed.findings
    assert live.report() == replayed.report() == resumed.report()
    assert json.loads(json.dumps(live.report(), allow_nan=False)) == live.report()


@given(ROWS)
def test_the_report_and_the_findings_tell_one_story(rows):
    monitor = Monitor.replay(RULES, stored(rows))
    for rule, row in zip(RULES, monitor.report(), strict=True):
        mine = [found for found in monitor.findings if found.rule == rule["id"]]
        assert [found.level for found in mine] in ([], ["warn"], ["fail"], ["warn", "fail"])
        assert all((found.action == "stop") <= (found.level == "fail") for found in mine)
        assert all(found.window[0] <= found.step == found.window[1] for found in mine)
        measured = [entry["state"] for entry in row["transitions"]]
        assert row["state"] == (mine[-1].level if mine else "ok" if measured else "not_measured")
        assert row["first_step"] == (mine[-1].step if mine else None)
        assert all(one != two for one, two in pairwise(measured))
    assert monitor.report()[-1]["state"] == "not_measured"


@given(ROWS)
def test_rules_do_not_see_each_other(rows):
    together = Monitor.replay(RULES, stored(rows)).report()
    alone = [Monitor.replay([rule], stored(rows)).report()[0] for rule in RULES]
    assert together == alone


@given(ROWS, st.randoms())
def test_the_order_of_the_names_in_a_row_does_not_matter(rows, random):
    shuffled = [(step, dict(random.sample(sorted(values.items()), len(values)))) for step, values in rows]
    assert Monitor.replay(RULES, stored(rows)).findings == Monitor.replay(RULES, stored(shuffled)).findings


def test_findings_of_one_row_come_in_the_order_of_the_rules():
    rules = [{"id": name, "metric": metric, "fail": "< 1"} for name, metric in (("z", "b"), ("y", "a"), ("x", "b"))]
    assert [found.rule for found in Monitor(rules).observe(0, {"a": 0.0, "b": 0.0})] == ["z", "y", "x"]


def test_without_rules_or_rows_there_is_nothing_to_say():
    assert Monitor([]).observe(1, {"a": nan}) == []
    assert Monitor([]).report() == []
    assert [row["state"] for row in Monitor(RULES).report()] == ["not_measured"] * len(RULES)


def test_a_stop_comes_once():
    monitor = Monitor([{"id": "r", "metric": "m", "fail": "> 1", "action": "stop"}])
    stops = [len(monitor.observe(step, {"m": value})) for step, value in enumerate([0.0, 2.0, 3.0, 0.0, 4.0])]
    assert stops == [0, 1, 0, 0, 0]


@pytest.mark.parametrize(
    "row", [{}, {"step": 1}, {"metrics": {}}, {"step": "1", "metrics": {}}, {"step": 1, "metrics": []}]
)
def test_a_row_that_no_writer_wrote_is_named(row):
    with pytest.raises(StoreError, match="row 2 "):
        Monitor.replay(RULES, [{"step": 0, "metrics": {}}, row])


def test_bad_rules_are_refused_before_the_first_row():
    with pytest.raises(UsageError, match="rule 'r'"):
        Monitor([{"id": "r", "metric": "m"}])


# The seed's own figures for a good run and a bad one, held against its thresholds: strict, the good run passes one
# check with nothing to spare; as the "quick check" wants them (above, not at), it fails that check itself.
SEED = {"good": {"grad/encoder_norm": 0.20, "encoder_cross_sample_var": 0.13}}
SEED["bad"] = {"grad/encoder_norm": 0.02, "encoder_cross_sample_var": 0.05}


@pytest.mark.parametrize(
    ("run", "rule", "state"),
    [
        ("good", {"metric": "grad/encoder_norm", "warn": "< 0.2", "fail": "< 0.05"}, "ok"),
        ("good", {"metric": "grad/encoder_norm", "warn": "<= 0.2", "fail": "< 0.05"}, "warn"),
        ("good", {"metric": "encoder_cross_sample_var", "warn": "<= 0.15", "fail": "< 0.1"}, "warn"),
        ("bad", {"metric": "grad/encoder_norm", "warn": "< 0.2", "fail": "< 0.05"}, "fail"),
        ("bad", {"metric": "encoder_cross_sample_var", "fail": "< 0.05"}, "ok"),
        ("bad", {"metric": "encoder_cross_sample_var", "warn": "<= 0.15", "fail": "< 0.1"}, "fail"),
    ],
)
def test_the_seed_s_good_and_bad_runs(run, rule, state):
    monitor = Monitor([{"id": "r", **rule}])
    monitor.observe(10, SEED[run])
    assert monitor.report()[0]["state"] == state


def test_early_stop_rules_catch_a_starved_encoder_before_step_100():
    rule = {"id": "starved", "metric": "grad/encoder_norm", "fail": "< 0.05", "from_step": 10, "until_step": 500}
    monitor = Monitor([rule | {"stays": 50, "action": "stop"}])
    found = [one for step in range(100) for one in monitor.observe(step, {"grad/encoder_norm": 0.0071})]
    assert [(one.step, one.window, one.value, one.action) for one in found] == [(60, (10, 60), 0.0071, "stop")]


def test_a_nan_of_a_finding_is_text_so_findings_compare_equal():
    rule = {"id": "r", "metric": "m", "fail": "nonfinite"}
    (one,), (two,) = (Monitor([rule]).observe(1, {"m": nan}) for _ in range(2))
    assert one == two
    assert one.value == "NaN"


def test_observing_is_cheap():
    """Bars with room for a busy machine: five times the aim of 5 us without and 20 us with ten rules at work."""
    row = {f"m{at}": 0.5 for at in range(10)}
    idle = Monitor([{"id": "r", "metric": "elsewhere", "fail": "< 0"}])
    busy = Monitor(
        [{"id": f"r{at}", "metric": f"m{at}", "warn": "< 0.2", "fail": "< 0.05", "stays": 5} for at in range(10)]
    )
    for monitor, bar in ((idle, 25e-6), (busy, 100e-6)):
        best = inf
        for _ in range(5):
            start = perf_counter()
            for step in range(200):
                monitor.observe(step, row)
            best = min(best, (perf_counter() - start) / 200)
        assert best < bar
