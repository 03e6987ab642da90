from __future__ import annotations

import pytest

from quadrat.logbook.facts import condition_of, in_condition, items, lookup, number, rows, troubles, value


def test_a_missing_key_is_told_from_an_empty_one():
    facts = {"git": {"commit": None}, "rerun": None}
    assert lookup(facts, "git.commit") == (True, None)
    assert lookup(facts, "git.branch") == (False, None)
    assert lookup(facts, "rerun.level") == (False, None)
    assert value(facts, "machine.cpu") is None


def test_rows_of_the_wrong_shape_are_no_rows():
    assert rows({"runs": [{"name": "a"}, "b", None]}, "runs") == [{"name": "a"}]
    assert items({"runs": "abc"}, "runs") == []


def test_numbers():
    row = {"a": 1, "b": True, "c": "NaN", "d": float("inf"), "e": None}
    assert [number(row, key) for key in "abcdef"] == [1.0, None, None, None, None, None]


@pytest.mark.parametrize(
    ("name", "seed", "condition"),
    [
        ("L2_G0.5_S42", 42, "L2_G0.5"),
        ("hybrid_S0", 0, "hybrid"),
        ("s42-wide", 42, "wide"),
        ("N42_S42", 42, "N42"),
        ("S7", 7, "all"),
        ("wide", 7, None),
        ("L42", 2, None),
    ],
)
def test_the_condition_of_a_run_is_its_name_without_the_seed(name, seed, condition):
    assert condition_of({"name": name, "seed": seed}) == condition


def test_a_condition_is_known_by_arm_name_and_stage():
    run = {"name": "wide_S1", "seed": 1, "arm": "wide", "stage": "overfit"}
    assert all(in_condition(run, name) for name in ("wide", "overfit/wide", "all", "wide_S1"))
    assert not in_condition(run, "narrow")


def test_troubles_are_the_runs_that_did_not_complete_and_the_rules_that_failed(facts):
    assert troubles(facts) == ["run hybrid_S2 failed"]
    facts["health"][0]["level"] = "fail"
    assert troubles(facts) == ["run hybrid_S2 failed", "rule starved failed"]
    assert troubles({}) == []
