from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadrat.core.errors import StudyError, UsageError
from quadrat.health.judge import FAIL, WARN
from quadrat.health.rules import RULE_KEYS, TREND_KEYS, Patience, Trend, parse_rule, parse_rules

BASE = {"id": "r", "metric": "m", "fail": "< 0.05"}
PATIENT = {"id": "r", "metric": "m", "patience": 300, "goal": "max"}
TREND = {"window": 20, "against": 80, "fail": "< 0.01"}


def problems(*rules):
    with pytest.raises(UsageError) as caught:
        parse_rules(rules)
    assert isinstance(caught.value, StudyError)
    return caught.value.problems


def test_every_key_of_the_language_ends_up_in_the_rule():
    rule = parse_rule(
        {**BASE, "metric": "grad/encoder_norm / grad/total_norm", "warn": "< 0.2", "from_step": 10, "until_step": 500}
        | {"stays": 50, "action": "stop", "diagnosis": " starved ", "remedy": "re-encode"}
    )
    assert rule.parts == ("grad/encoder_norm", "grad/total_norm")
    assert {level: band.text for level, band in rule.bands.items()} == {WARN: "< 0.2", FAIL: "< 0.05"}
    assert (rule.from_step, rule.until_step, rule.stays, rule.within) == (10, 500, 50, None)
    assert (rule.action, rule.diagnosis, rule.remedy) == ("stop", "starved", "re-encode")
    assert parse_rule({**PATIENT, "min_delta": 0.005}).patience == Patience(300, "max", 0.005)
    assert parse_rule({"id": "r", "metric": "m", "trend": TREND}).trend == Trend(20, 80)
    assert parse_rule({**BASE, "within": 1e2}).within == 100


def test_a_rule_is_frozen():
    rule = parse_rule(BASE)
    with pytest.raises(FrozenInstanceError):
        rule.stays = 3
    with pytest.raises(TypeError):
        rule.bands[WARN] = rule.bands[FAIL]


def test_defaults_written_out_are_the_same_as_left_out():
    dumped = dict.fromkeys(RULE_KEYS) | BASE | {"from_step": 0, "stays": 0, "min_delta": 0.0, "action": "warn"}
    assert parse_rule(dumped | {"diagnosis": "", "remedy": ""}) == parse_rule(BASE)
    assert parse_rule(dict.fromkeys(RULE_KEYS) | PATIENT | {"stays": 0}) == parse_rule(PATIENT)


@pytest.mark.parametrize(
    ("metric", "parts"),
    [
        ("train/loss", ("train/loss",)),
        ("a / b", ("a", "b")),
        ("ARC/pass@1 / all.exact accuracy", ("ARC/pass@1", "all.exact accuracy")),
    ],
)
def test_a_slash_within_a_name_is_no_ratio(metric, parts):
    assert parse_rule({**BASE, "metric": metric}).parts == parts


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": None}, "needs 'id'"),
        ({"id": 7}, "id is 7"),
        ({"metric": ""}, "needs 'metric'"),
        ({"metric": "  "}, "metric is"),
        ({"metric": "a / b / c"}, "a / b / c"),
        ({"metric": "a /b"}, "a /b"),
        ({"metric": "a / "}, "metric is"),
        ({"fail": 0.05}, "fail is 0.05"),
        ({"warn": "0.2"}, "warn is '0.2'"),
        ({"fail": None}, "nothing is bad"),
        ({"warn": "< 0.01"}, "could never be seen"),
        ({"warn": "< 0.05"}, "could never be seen"),
        ({"warn": "nonfinite"}, "could never be seen"),
        ({"from_step": -1}, "from_step is -1"),
        ({"stays": 2.5}, "stays is 2.5"),
        ({"stays": True}, "stays is True"),
        ({"until_step": float("inf")}, "until_step is inf"),
        ({"until_step": float("nan")}, "until_step is nan"),
        ({"within": "100"}, "within is '100'"),
        ({"from_step": 9, "until_step": 8}, "lies before"),
        ({"stays": 5, "within": 5}, "stays and within"),
        ({"stays": 51, "from_step": 10, "until_step": 60}, "could never fire"),
        ({"within": 51, "until_step": 50}, "could never fire"),
        ({"action": "kill"}, "action is 'kill'"),
        ({"action": ["stop"]}, "action is"),
        ({"fail": None, "warn": "< 1", "action": "stop"}, "only ever warns"),
        ({"goal": "max"}, "without patience"),
        ({"min_delta": 0.1}, "without patience"),
        ({"diagnosis": 5}, "diagnosis is 5"),
        ({"trend": TREND}, "fail beside trend"),
        ({"patience": 5, "goal": "min"}, "fail and patience"),
        ({"unitl_step": 5}, "'unitl_step'"),
    ],
)
def test_each_fault_is_named_with_its_rule_and_a_remedy(change, said):
    found = problems(BASE | change)
    assert any(said in problem.what for problem in found), found
    assert all(problem.remedy for problem in found)
    assert all("rule" in problem.where for problem in found)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"goal": None}, "needs a goal"),
        ({"goal": "up"}, "goal is 'up'"),
        ({"patience": 0}, "patience is 0"),
        ({"min_delta": -0.1}, "min_delta is -0.1"),
        ({"min_delta": "1"}, "min_delta is '1'"),
        ({"stays": 5}, "stays and patience"),
        ({"within": 5}, "within and patience"),
        ({"trend": TREND}, "trend and patience"),
        ({"until_step": 299}, "could never fire"),
    ],
)
def test_faults_of_patience(change, said):
    assert any(said in problem.what for problem in problems(PATIENT | change))


@pytest.mark.parametrize(
    ("trend", "said"),
    [
        ([20, 80], "trend is [20, 80]"),
        (TREND | {"window": 0}, "window is 0"),
        (TREND | {"against": None}, "needs 'against'"),
        (TREND | {"fail": None}, "nothing is bad"),
        (TREND | {"fail": "falls"}, "fail is 'falls'"),
        (TREND | {"widnow": 3}, "'widnow'"),
        (TREND | {"against": 400}, "could never fire"),
    ],
)
def test_faults_of_a_trend(trend, said):
    found = problems({"id": "r", "metric": "m", "trend": trend, "until_step": 100})
    assert any(said in problem.what for problem in found), found


def test_the_nearest_key_is_suggested():
    assert "did you mean 'until_step'?" in problems(BASE | {"unitl_step": 5})[0].remedy
    inner = problems({"id": "r", "metric": "m", "trend": TREND | {"widnow": 3}})[0]
    assert "did you mean 'window'?" in inner.remedy
    assert all(key in inner.remedy for key in TREND_KEYS)


def test_all_faults_of_all_rules_come_at_once():
    found = problems({"id": "one", "stays": -1}, "nonfinit", 3, {"metric": "m", "fail": "< 1"}, BASE, BASE)
    wheres = [problem.where for problem in found]
    assert wheres.count("rule 'one'") == 2
    assert {"rule 2", "rule 3", "rule 4", "rule 'r'"} < set(wheres)
    assert "two rules have the id 'r'." in [problem.what for problem in found]
    assert "did you mean 'nonfinite'?" in next(p for p in found if p.where == "rule 2").remedy


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text("a1<> /.", max_size=4)
    | st.just("< 1")
    | st.just("max")
)
NESTED = VALUES | st.lists(VALUES, max_size=2) | st.dictionaries(st.sampled_from(TREND_KEYS), VALUES)


@given(st.dictionaries(st.sampled_from([*RULE_KEYS, "x"]), NESTED))
def test_any_mapping_is_a_rule_or_a_list_of_problems(written):
    try:
        rule = parse_rule({**BASE, **written})
    except StudyError as refused:
        assert refused.problems
    else:
        assert rule.id
        assert rule.patience is not None or rule.bands
