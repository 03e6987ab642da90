"""Every claim word is held against its interval; the best of several is called a selection."""

from __future__ import annotations

import pytest

from quadrat.logbook.check import check
from quadrat.logbook.claims import is_test
from quadrat.logbook.record import draft


def _pair(condition, values, low, high, *, metric="test_id/exact_match", p_holm=0.01):
    mean = sum(values) / len(values)
    return {
        "metric": metric,
        "condition": condition,
        "baseline": "token_only",
        "n": len(values),
        "measured": len(values),
        "values": values,
        "difference": mean,
        "low": low,
        "high": high,
        "method": "t interval 95 %" if low is not None else "values only",
        "p": p_holm / 2,
        "p_holm": p_holm,
    }


@pytest.fixture
def found(facts, answer):
    """A function: the findings on one sentence of analysis, as (rule, line's text)."""
    facts["comparisons"] = [
        _pair("hybrid", [-0.10, -0.07, -0.08], -0.124, -0.040, p_holm=0.11),
        _pair("wide", [0.2, 0.21, 0.22], 0.18, 0.24),
        _pair("deep", [0.01, -0.02, 0.03], -0.05, 0.06, p_holm=0.9),
        _pair("same", [0.0, 0.0, 0.0], None, None, p_holm=1.0),
        _pair("hybrid", [-0.2, -0.3, -0.25], -0.37, -0.13, metric="test_id/error_median"),
    ]
    facts["metrics"] = []
    answered = answer(draft(facts))

    def of(words):
        text = answered.replace("Nothing regressed.", words)
        assert text != answered
        lines = text.split("\n")
        return [(finding.rule, lines[finding.line - 1]) for finding in check(text, facts) if finding.rule != "R1"]

    return of


GOOD = [
    "On exact match `wide` is significantly above `token_only`.",
    "On exact match `wide` is better than `token_only`.",
    "`hybrid` is lower than `token_only` on `test_id/exact_match`.",
    "`hybrid` has a better error median than `token_only`.",
    "On exact match `deep` is not significantly different from `token_only`.",
    "On exact match `deep` is better than `token_only` in one seed, which is not established.",
    "On exact match the difference of `deep` may be no difference at all, which three seeds cannot tell.",
    "On exact match `same` makes no difference against `token_only`.",
    "On exact match `hybrid` is below `token_only` in every seed.",
    "The loss is given to four significant digits.",
    "The table above is better read from below.",
    "`deep` is deeper.",
    "The table above has the exact match of `deep`, see below.",
]
WRONG = [
    "The gain is significant.",
    "The gain in loss of `deep` is significant.",
    "On exact match `hybrid` differs significantly from `token_only`.",
    "On exact match `wide` is not significantly different from `token_only`.",
    "On exact match `deep` is better than `token_only`.",
    "On exact match `wide` is worse than `token_only`.",
    "`hybrid` is higher than `token_only` on `test_id/exact_match`.",
    "`hybrid` has a worse error median than `token_only`.",
    "On exact match `deep` does not differ from `token_only`.",
    "On exact match `deep` makes no difference.",
    "On exact match `deep` is above `token_only` in every seed.",
    "On exact match `wide` and `deep` lie above `token_only`.",
]


@pytest.mark.parametrize("words", GOOD)
def test_a_claim_that_its_interval_bears_is_let_pass(found, words):
    assert found(words) == []


@pytest.mark.parametrize("words", WRONG)
def test_a_claim_that_no_interval_bears_is_named_at_its_line(found, words):
    ((rule, line),) = found(words)
    assert rule == "R11"
    assert line == words


def test_the_line_of_a_claim_is_that_of_its_word(found):
    assert found("On exact match, as the table of results says,\n`deep` lies\nabove `token_only`.") == [
        ("R11", "above `token_only`.")
    ]


def test_questions_and_plans_are_no_claims(facts, answer):
    facts["comparisons"] = [_pair("deep", [0.01, -0.02, 0.03], -0.05, 0.06)]
    facts["metrics"] = []
    text = answer(draft(facts)).replace(
        "- [ ] Repeat hybrid_S2.", "- [ ] See if `deep` is significantly better on exact match."
    )
    assert [finding for finding in check(text, facts) if finding.rule != "R1"] == []


@pytest.mark.parametrize(
    "words",
    [
        "The best seed reaches 0.93 on the test set.",
        "`test_id/exact_match` is 0.93 at the best step.",
        "The best of three seeds on test data has 0.93.",
        "The maximum over all steps of `test_id/exact_match` is 0.93.",
        "| best run | `test_id/exact_match` |\n|---|---|\n| hybrid | much |",
    ],
)
def test_the_best_of_several_on_test_data_is_called_a_selection(found, words):
    hits = found(words)
    assert [rule for rule, _ in hits] == ["R12"]
    assert found(words.replace("best", "best (selected)", 1).replace("maximum", "selected maximum")) == []


def test_the_best_on_validation_is_nobodys_business(found):
    assert found("The best checkpoint goes by validation loss.") == []


def test_which_metrics_are_test_metrics():
    assert all(map(is_test, ["test/acc", "test_ood_length/exact_match", "all.exact_accuracy", "ood/acc", "ARC/pass@1"]))
    assert not any(map(is_test, ["train/loss", "validation/exact_match", "grad/test", "latest/x"]))
