"""Judging a gate: every way of adding up seeds, and what a broken run does to each of them."""

from __future__ import annotations

import math

import pytest

from quadrat.analyze.gates import Sample, judge, success_interval, value_of
from quadrat.core.verdicts import Status

DONE = Status.COMPLETED
GATE = {"metric": "acc", "pass": "> 0.90"}


def samples(*values, status=DONE):
    return [Sample(f"S{i}", status, value) for i, value in enumerate(values)]


def outcome(gate, runs):
    return str(judge("overfit", {**GATE, **gate}, samples=runs).outcome)


def test_the_mean_of_the_seeds_is_held_against_the_bar():
    verdict = judge("overfit", GATE, samples=samples(0.95, 0.88, 0.99))
    assert (str(verdict.outcome), verdict.n) == ("pass", 3)
    assert verdict.measured.startswith("mean 0.94 [")
    assert outcome({}, samples(0.90, 0.90)) == "fail"
    assert outcome({"pass": ">= 0.90"}, samples(0.90, 0.90)) == "pass"


@pytest.mark.parametrize("how", ["mean", "all", "ci_lower", "3_of_3"])
@pytest.mark.parametrize(
    "broken",
    [
        Sample("S2", Status.FAILED, 0.99),
        Sample("S2", Status.LOST, None),
        Sample("S2", DONE, math.nan),
        Sample("S2", DONE, math.inf),
        Sample("S2", DONE, None),
    ],
    ids=["crashed", "lost", "nan", "infinite", "never logged"],
)
def test_a_run_without_a_value_counts_against_the_gate(how, broken):
    good = samples(0.99, 0.98)
    verdict = judge("overfit", {**GATE, "over_seeds": how, "partial": "> 0"}, samples=[*good, broken])
    assert str(verdict.outcome) == "fail"
    assert (verdict.n, verdict.evidence["against"]) == (3, ["S2"])
    assert "S2" in verdict.measured
    assert outcome({"over_seeds": how}, [*good, Sample("S2", DONE, 0.985)]) == "pass"


def test_a_broken_run_counts_against_a_bar_from_above_too():
    assert outcome({"pass": "< 1"}, [Sample("a", DONE, 0.1), Sample("b", DONE, math.nan)]) == "fail"
    assert outcome({"pass": "< 1"}, samples(0.1, 0.2)) == "pass"


def test_a_run_that_a_rule_stopped_is_measured_by_what_it_reached():
    assert outcome({}, samples(0.95, status=Status.STOPPED)) == "pass"


@pytest.mark.parametrize(("how", "said"), [("2_of_3", "pass"), ("3_of_n", "fail"), ("all", "fail"), ("1_of_n", "pass")])
def test_so_many_of_the_seeds(how, said):
    assert outcome({"over_seeds": how}, samples(0.95, 0.5, 0.96)) == said


def test_another_number_of_seeds_than_the_criterion_speaks_of_is_inconclusive():
    verdict = judge("s", {**GATE, "over_seeds": "2_of_3"}, samples=samples(0.95, 0.96))
    assert (str(verdict.outcome), verdict.measured) == (
        "inconclusive",
        "the criterion speaks of 3 seeds, and 2 are declared",
    )


def test_partial_where_the_lower_bar_is_met():
    assert outcome({"partial": "> 0"}, samples(0.2, 0.1)) == "partial"
    assert outcome({"partial": "> 0"}, samples(0.0, 0.0)) == "fail"
    assert outcome({"partial": "> 0.4", "over_seeds": "all"}, samples(0.95, 0.5)) == "partial"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.30, 0.31, 0.32), "pass"),
        ((0.04, 0.05, 0.06), "partial"),
        ((-0.2, 0.2, 0.6), "inconclusive"),
        ((-0.5, -0.4, -0.45), "fail"),
        ((0.3, 0.3, 0.3), "pass"),
        ((0.3, 0.3), "pass"),
        ((0.3, 0.31), "inconclusive"),
        ((0.3,), "inconclusive"),
    ],
)
def test_the_lower_end_of_the_interval_has_to_clear_the_bar(values, said):
    gate = {"over_seeds": "ci_lower", "pass": ">= 0.05", "partial": "> 0"}
    assert outcome(gate, samples(*values)) == said


def test_for_a_bar_from_above_it_is_the_upper_end():
    gate = {"over_seeds": "ci_lower", "pass": "< 0.5"}
    assert outcome(gate, samples(0.40, 0.41, 0.42)) == "pass"
    assert outcome(gate, samples(0.2, 0.4, 0.6)) == "inconclusive"
    assert outcome(gate, samples(0.8, 0.81, 0.82)) == "fail"


@pytest.mark.parametrize("status", [Status.PENDING, Status.RUNNING, Status.PREEMPTED])
def test_nothing_is_judged_before_all_runs_have_ended(status):
    verdict = judge("s", GATE, samples=[*samples(0.99), Sample("S1", status)])
    assert (str(verdict.outcome), verdict.measured, verdict.n) == ("not_run", "1 of 2 runs have ended", 2)
    assert outcome({}, []) == "not_run"


def test_a_stage_without_a_gate_is_passed_when_every_run_completes():
    assert str(judge("s", None, samples=samples(None, None)).outcome) == "pass"
    verdict = judge("s", None, samples=[*samples(None), Sample("S1", Status.STOPPED)])
    assert (str(verdict.outcome), verdict.evidence["against"]) == ("fail", ["S1"])


def test_last_and_best_values():
    final, best = {"acc": 0.3, "odd": "NaN"}, {"acc": {"min": 0.1, "max": 0.8}}
    assert value_of(GATE, final=final, best=best) == 0.3
    assert value_of({**GATE, "value": "best"}, final=final, best=best) == 0.8
    assert value_of({**GATE, "value": "best", "pass": "< 1"}, final=final, best=best) == 0.1
    assert value_of({**GATE, "value": "best", "goal": "min"}, final=final, best=best) == 0.1
    assert math.isnan(value_of({**GATE, "metric": "odd"}, final=final, best=best))
    assert value_of({**GATE, "metric": "none"}, final=final, best=best) is None
    assert value_of(None, final=final, best=best) is None


def test_a_success_rate_is_given_with_its_exact_interval():
    low, high = success_interval(3, 3)
    assert (round(low, 4), high) == (0.2924, 1.0)  # 0.025 ** (1 / 3)
    low, high = success_interval(5, 10)
    assert (round(low, 4), round(high, 4)) == (0.1871, 0.8129)
    assert success_interval(0, 4)[0] == 0.0
    assert "0.29 to 1.00" in judge("s", {**GATE, "over_seeds": "all"}, samples=samples(0.95, 0.96, 0.97)).measured
