"""Numbers in a person's own tables are held against what was measured."""

from __future__ import annotations

import pytest

from quadrat.logbook.check import check
from quadrat.logbook.record import draft

# In the facts: token_only has 0.41231, 0.42117, 0.39911, mean 0.41086, interval 0.38312 to 0.43861; hybrid 0.91, 0.93.
GOOD = [
    "| Metric | Value |\n|---|---|\n| `test_id/exact_match` of token_only | 0.41 |",
    "| Metric | token_only | hybrid |\n|---|---|---|\n| exact match | 0.4109 | 0.92 |",
    "| Condition | test_id/exact_match |\n|---|---|\n| token_only | 41.1 % |\n| hybrid | 92 % |",
    "| Condition | test_id/exact_match (%) |\n|---|---|\n| token_only | 41.1 [38.3, 43.9] |",
    "| Condition | exact match | Parameters |\n|---|---|---|\n| token_only | 0.411 | 418836 |",
    "| exact match | S0 | S1 |\n|---|---|---|\n| token_only | 0.412 | 0.421 |",
    "| Condition | exact match |\n|---|---|\n| token_only | 0.411 \u00b1 0.028 (n = 3) |",
    "| Thing | Value |\n|---|---|\n| width | 999 |",
    "```\n| exact match | Value |\n|---|---|\n| token_only | 0.99 |\n```",
    "| Condition | exact match |\n|---|---|\n| token_only | hybrid_S2 |",
]
WRONG = [
    ("| Metric | Value |\n|---|---|\n| `test_id/exact_match` of token_only | 0.45 |", 2, "0.45"),
    ("| Metric | token_only | hybrid |\n|---|---|---|\n| exact match | 0.92 | 0.92 |", 2, "0.92"),
    ("| Condition | test_id/exact_match |\n|---|---|\n| token_only | 41.1 % |\n| hybrid | 95 % |", 3, "95"),
    ("| Condition | exact match |\n|---|---|\n| hybrid | 0.9149 |", 2, "0.9149"),
    ("| Condition | exact match |\n|---|---|\n| token_only | 0.411 [0.38, 0.45] |", 2, "0.45"),
    ("Condition | exact match\n---|---\ntoken_only | 0.52", 2, "0.52"),
]


@pytest.fixture
def found(facts, answer):
    facts["metrics"][0]["values"] = [0.41231, 0.42117, 0.39911]
    answered = answer(draft(facts))

    def of(words):
        text = answered.replace("Nothing regressed.", f"Nothing regressed.\n\n{words}\n")
        start = text[: text.index(words)].count("\n")
        return [(f.rule, f.line - 1 - start, f.reason) for f in check(text, facts)]

    return of


@pytest.mark.parametrize("words", GOOD)
def test_a_number_that_was_measured_is_let_pass(found, words):
    assert found(words) == []


@pytest.mark.parametrize(("words", "line", "number"), WRONG)
def test_a_number_that_was_not_is_named_at_its_line(found, words, line, number):
    ((rule, at, reason),) = found(words)
    assert (rule, at) == ("R4", line)
    assert reason.startswith(f"{number} is not among")


def test_the_last_digit_may_be_off_by_half(found):
    table = "| Metric | token_only |\n|---|---|\n| exact match | {} |"
    assert found(table.format("0.410")) != []
    assert found(table.format("0.4123")) == []
    assert found(table.format("0.41231")) == []
    assert found(table.format("0.41236")) != []


def test_metrics_that_only_single_runs_hold_are_known_too(facts, answer):
    facts["runs"][0]["final"] = {"test_id/parse_rate": 0.75}
    facts["runs"][1]["final"] = {"test_id/parse_rate": 0.25}
    answered = answer(draft(facts))
    table = "| Metric | token_only |\n|---|---|\n| parse rate | {} |"
    for shown, rules in (("0.75", []), ("0.5", []), ("0.6", ["R4"])):
        text = answered.replace("Nothing regressed.", table.format(shown))
        assert [f.rule for f in check(text, facts) if f.rule != "R1"] == rules
