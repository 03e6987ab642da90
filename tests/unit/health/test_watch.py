from __future__ import annotations

import json

from quadrat.health.rules import parse_rule
from quadrat.health.watch import KEPT_TRANSITIONS, Watch

RULE = {
    "id": "r",
    "metric": "m",
    "warn": "< 0.2",
    "fail": "< 0.05",
    "action": "stop",
    "diagnosis": "D.",
    "remedy": "R.",
}


def test_a_warn_band_only_warns_and_a_fail_band_does_what_the_rule_says():
    watch = Watch(parse_rule(RULE))
    mild, bad = watch.see(1, {"m": 0.1}), watch.see(2, {"m": 0.01})
    assert (mild.level, mild.action) == ("warn", "warn")
    assert (bad.level, bad.action) == ("fail", "stop")
    assert (bad.rule, bad.metric, bad.threshold, bad.diagnosis, bad.remedy) == ("r", "m", "< 0.05", "D.", "R.")


def test_the_report_of_a_rule_before_during_and_after():
    watch = Watch(parse_rule(RULE))
    blank = watch.report()
    assert (blank["state"], blank["value"], blank["threshold"]) == ("not_measured", None, "< 0.05")
    watch.see(1, {"m": 0.5})
    fine = watch.report()
    assert (fine["state"], fine["first_step"], fine["value"], fine["window"]) == ("ok", None, 0.5, None)
    assert (fine["action"], fine["diagnosis"], fine["remedy"]) == ("stop", "", "")
    watch.see(2, {"m": 0.1})
    watch.see(3, {"m": 0.5})
    hurt = watch.report()
    assert (hurt["state"], hurt["first_step"], hurt["value"], hurt["window"]) == ("warn", 2, 0.1, [2, 2])
    assert (hurt["action"], hurt["diagnosis"], hurt["remedy"], hurt["threshold"]) == ("warn", "D.", "R.", "< 0.2")
    assert hurt["transitions"] == [
        {"step": 1, "state": "ok", "value": 0.5},
        {"step": 2, "state": "warn", "value": 0.1},
        {"step": 3, "state": "ok", "value": 0.5},
    ]
    assert json.loads(json.dumps(hurt, allow_nan=False)) == hurt


def test_a_report_is_a_copy_not_a_view():
    watch = Watch(parse_rule(RULE))
    watch.see(1, {"m": 0.5})
    watch.report()["transitions"][0]["state"] = "changed"
    assert watch.report()["transitions"] == [{"step": 1, "state": "ok", "value": 0.5}]


def test_a_fluttering_metric_is_counted_not_kept():
    watch = Watch(parse_rule(RULE))
    for step in range(KEPT_TRANSITIONS + 10):
        watch.see(step, {"m": 0.1 if step % 2 else 0.5})
    row = watch.report()
    assert len(row["transitions"]) == KEPT_TRANSITIONS
    assert row["transitions_left_out"] == 10


def test_a_ratio_needs_both_parts_in_one_row():
    watch = Watch(parse_rule({"id": "r", "metric": "a / b", "fail": "< 0.1"}))
    assert watch.see(1, {"a": 0.0}) is None
    assert watch.see(2, {"b": 1.0}) is None
    assert watch.see(3, {"a": 0.0, "b": None}) is None
    assert watch.report()["state"] == "not_measured"
    assert watch.see(4, {"a": 0.05, "b": 1.0}).value == 0.05


def test_a_ratio_over_zero_counts_as_breaking():
    watch = Watch(parse_rule({"id": "r", "metric": "a / b", "fail": "< 0.1"}))
    found = watch.see(1, {"a": 0.0, "b": 0.0})
    assert found.value == "NaN"
    assert found.diagnosis.startswith("At step 1 a / b was NaN")
