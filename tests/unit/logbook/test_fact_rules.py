from __future__ import annotations

import copy

import pytest

from quadrat.logbook.check import check
from quadrat.logbook.record import draft, fill
from quadrat.logbook.render import RENDERERS
from quadrat.logbook.template import AUTO_FIELDS


@pytest.fixture
def found(facts, answer):
    """A function: the findings of an answered record of changed facts, as (rule, field) pairs."""

    def of(**changes):
        changed = {**copy.deepcopy(facts), **changes}
        text = fill(answer(draft(facts)), changed, force=True).text
        return [(finding.rule, finding.field) for finding in check(text, changed)]

    return of


def test_good_facts_have_no_findings(found):
    assert found() == []


def _without(facts, dotted):
    changed = copy.deepcopy(facts)
    *way, last = dotted.split(".")
    here = changed
    for key in way:
        here = here[key]
    del here[last]
    return changed


@pytest.mark.parametrize(
    ("field", "key"), [(field, key) for field in AUTO_FIELDS for key in (*field.known, *field.given)], ids=str
)
def test_each_fact_taken_out_in_turn_is_named_at_its_block(facts, answer, field, key):
    changed = _without(facts, key)
    text = fill(answer(draft(facts)), changed, force=True).text
    lines = text.split("\n")
    hits = [f for f in check(text, changed) if (f.rule, f.field) == ("R1", field.name) and "not recorded" in f.reason]
    assert len(hits) == 1
    assert f"auto:{field.block} " in lines[hits[0].line - 1]


def test_a_question_is_more_than_a_word(found):
    assert found(question="Why?") == [("R1", "Question")]


@pytest.mark.parametrize("status", ["running", "pending", "lost", "preempted"])
def test_a_run_that_has_not_ended_is_named(found, facts, status):
    runs = copy.deepcopy(facts["runs"])
    runs[-1]["status"] = status
    assert ("R2", "runs") in found(runs=runs)


def test_a_run_that_is_cited_has_to_exist(facts, answer):
    text = answer(draft(facts))
    changed = {**facts, "runs": facts["runs"][:-1], "status_account": "5 planned = 5 completed"}
    assert any("hybrid_S2 is cited" in finding.reason for finding in check(text, changed))


def test_a_planned_run_that_nobody_accounts_for_is_named(found):
    assert found(status_account="7 planned = 5 completed + 1 failed") == [("R2", "runs")]


@pytest.mark.parametrize("name", sorted(set(RENDERERS) - {"front"}))
def test_one_block_edited_by_hand_is_named(facts, answer, name):
    text = answer(draft(facts)).replace(f"<!-- /auto:{name} -->", f"and more\n<!-- /auto:{name} -->")
    for known in (facts, None):
        (finding,) = check(text, known)
        assert (finding.rule, finding.field) == ("R3", name)
        assert "edited by hand" in finding.reason
        assert f"auto:{name} " in text.split("\n")[finding.line - 1]


def test_front_matter_edited_by_hand_is_named(facts, answer):
    text = answer(draft(facts)).replace("runs: [", "runs: [  ")
    assert [(f.rule, f.field) for f in check(text, facts)] == [("R3", "front")]


def test_a_block_that_is_out_of_date_is_named_and_not_called_edited(facts, answer):
    text = answer(draft(facts))
    changed = copy.deepcopy(facts)
    changed["metrics"][1]["values"] = [0.92, 0.92]
    (finding,) = check(text, changed)
    assert (finding.rule, finding.field) == ("R3", "metrics")
    assert "out of date" in finding.reason


def test_seeds_are_those_of_the_runs(found, facts):
    assert found(seeds=[0, 1, 2, 2]) == [("R6", "Seed(s)")]
    assert ("R6", "Seed(s)") in found(seeds=[0, 1])
    assert found(seeds=[0, 1, 2, 3]) == [("R6", "Seed(s)"), ("R6", "Seed(s)")]
    assert found(seeds=[0, 1, 2, 3], amendments=[{"time": "t", "reason": "seed 3 was dropped", "changes": []}]) == []
    runs = copy.deepcopy(facts["runs"])
    runs[1] |= {"seed": 0}
    assert ("R6", "Seed(s)") in found(runs=runs)


def test_uncommitted_changes_have_to_be_saved(found, facts):
    assert found(git={**facts["git"], "diff": None}) == [("R8", "Git commit")]
    assert found(git={**facts["git"], "diff": None, "dirty": False}) == []
    assert found(git=None) == []


def test_gates_that_one_arm_passes_and_another_fails_leave_the_conclusion_open(facts, answer):
    gates = [{"stage": "s", "condition": arm, "outcome": found} for arm, found in (("a", "pass"), ("b", "fail"))]
    text = fill(answer(draft(facts)), {**facts, "gates": gates}).text
    for word in ("supported", "refuted", "inconclusive"):
        assert check(text.replace("**Verdict:** supported", f"**Verdict:** {word}"), {**facts, "gates": gates}) == []


@pytest.mark.parametrize(
    ("outcomes", "right"),
    [
        (["pass"], {"supported"}),
        (["pass", "pass"], {"supported"}),
        (["pass", "fail"], {"refuted", "inconclusive"}),
        (["fail", "not_run"], {"refuted", "inconclusive"}),
        (["pass", "inconclusive"], {"inconclusive"}),
        (["partial"], {"inconclusive"}),
        (["not_run"], {"inconclusive"}),
        ([], {"supported", "refuted", "inconclusive"}),
    ],
)
def test_the_conclusion_agrees_with_the_gates(facts, answer, outcomes, right):
    changed = {**facts, "gates": [{"stage": f"s{i}", "outcome": outcome} for i, outcome in enumerate(outcomes)]}
    text = fill(answer(draft(facts)), changed).text
    for word in ("supported", "refuted", "inconclusive"):
        found = check(text.replace("**Verdict:** supported", f"**Verdict:** {word}"), changed)
        assert [(f.rule, f.field) for f in found] == ([] if word in right else [("R9", "Verdict")])


def test_failed_runs_count_in_n(found, facts):
    metrics = copy.deepcopy(facts["metrics"])
    metrics[1]["n"] = 2
    assert found(metrics=metrics) == [("R10", "test_id/exact_match (hybrid)")]


def test_n_of_a_condition_in_several_stages_is_that_of_one_stage(found, facts):
    runs = [{**run, "stage": stage} for stage in ("overfit", "generalize") for run in facts["runs"]]
    account = "12 planned = 10 completed + 2 failed"
    assert found(runs=runs, status_account=account) == []
    metrics = [{**row, "stage": "overfit"} for row in copy.deepcopy(facts["metrics"])]
    assert found(runs=runs, status_account=account, metrics=metrics) == []
    metrics[1]["n"] = 6
    assert found(runs=runs, status_account=account, metrics=metrics) == [("R10", "test_id/exact_match (hybrid)")]


def test_there_are_as_many_values_as_runs_that_measured(found, facts):
    metrics = copy.deepcopy(facts["metrics"])
    metrics[1] |= {"measured": 4, "values": [0.9, 0.9, 0.9]}
    assert found(metrics=metrics) == [("R10", "test_id/exact_match (hybrid)")] * 2


def test_an_interval_needs_three_values_and_a_method(found, facts):
    metrics = copy.deepcopy(facts["metrics"])
    metrics[1] |= {"low": 0.8, "high": 1.0, "method": "t"}
    assert found(metrics=metrics) == [("R11", "test_id/exact_match (hybrid)")]
    metrics = copy.deepcopy(facts["metrics"])
    metrics[0]["method"] = None
    assert found(metrics=metrics) == [("R11", "test_id/exact_match (token_only)")]
    comparisons = [{**facts["comparisons"][0], "low": 0.4, "high": 0.6, "measured": 2, "method": "t"}]
    assert found(comparisons=comparisons) == [("R11", "test_id/exact_match (hybrid)")]


def test_the_hypothesis_is_the_one_that_was_declared(found):
    other = "Number features lower exact match."
    assert found(hypothesis=other) == [("R14", "Hypothesis")]
    assert found(hypothesis_locked=None) == [("R14", "Hypothesis")]
    assert found(hypothesis_locked=True) == []
    told = [{"time": "t", "reason": "hypothesis made sharper", "changes": []}]
    assert found(hypothesis=other, amendments=told) == []
