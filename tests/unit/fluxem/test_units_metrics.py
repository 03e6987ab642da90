"""Scores of prediction rows about units, written by hand."""

from __future__ import annotations

import math

import pytest

from quadrat_studies.fluxem import metrics
from quadrat_studies.fluxem.units_metrics import error_kind, parse, plain_scores, prediction_rows, score, value_error
from quadrat_studies.fluxem.units_questions import Question


def row(target: str, prediction: str, kind: str = "length", novelty: str | None = None):
    task = "can_add" if target in ("true", "false") else "convert"
    return {
        "id": "x", "text": "t", "task": task, "types": [kind, kind], "novelty": novelty,
        "target": target, "prediction": prediction,
    }  # fmt: skip


ROWS = [
    row("6.20e2 cm", "6.20e2 cm"),
    row("6.20e2 cm", "6.51e2 mm"),
    row("4.00e0 s", "4.01e0 g", "time"),
    row("4.00e0 s", "4.00e0 s...", "time"),
    row("true", "true"),
    row("false", "False"),
    row("false", "6.20e2 cm"),
]


def test_every_score_of_seven_rows():
    assert score(ROWS, "s") == pytest.approx(
        {
            "s/exact_match": 2 / 7,
            "s/parse_rate": 4 / 7,
            "s/exact_match_convert": 1 / 4,
            "s/boolean_accuracy": 1 / 3,
            "s/value_error_median": 0.0025,
            "s/value_error_p90": math.inf,
            "s/value_within_one_percent": 2 / 4,
            "s/unit_correct": 1 / 4,
            "s/dimension_correct": 2 / 4,
            "s/exact_match_length": 1 / 2,
            "s/exact_match_time": 0.0,
        }
    )


def test_novelties_are_scored_apart():
    rows = [
        row("1.0e0 s", "1.0e0 s", novelty="pair"),
        row("1.0e0 s", "", novelty="symbol"),
        row("true", "true", novelty="pair"),
    ]
    found = score(rows, "s")
    assert (found["s/exact_match_pair"], found["s/exact_match_symbol"]) == (1.0, 0.0)
    assert found["s/boolean_accuracy_pair"] == found["s/unit_correct_pair"] == 1.0
    assert "s/boolean_accuracy_symbol" not in found


def test_unparsed_answers_are_never_dropped():
    worse = [*ROWS, *[row("1.0e0 s", answer) for answer in ("", "x", "1.0e0", "e0 s")]]
    found = plain_scores(worse)
    assert found["value_error_median"] == math.inf
    assert found["dimension_correct"] == 2 / 8


def test_a_split_of_one_task_has_no_scores_of_the_other():
    assert "boolean_accuracy" not in plain_scores(ROWS[:4])
    assert set(plain_scores(ROWS[4:])) == {"exact_match", "parse_rate", "boolean_accuracy"}


@pytest.mark.parametrize(
    ("prediction", "target", "error"),
    [("6.20e2 cm", "6.20e2 cm", 0.0), ("6.20e2 m", "6.20e2 cm", 0.0), ("-1.0e0 s", "1.0e0 s", 2.0),
     ("0e0 s", "5e0 s", 1.0), ("", "5e0 s", math.inf), ("0e0 K", "0.0e0 K", 0.0), ("1e-9 degC", "0e0 degC", math.inf),
     ("9e399 s", "1e0 s", math.inf), ("5 s", "5e0 s", math.inf)],
)  # fmt: skip
def test_value_error(prediction, target, error):
    assert value_error(parse(prediction), parse(target)) == pytest.approx(error)


@pytest.mark.parametrize(
    "text",
    ["", "5e0", "5e0 ", "5e0 xyz", "5 s", "+5e0 s", "5e0 s...", "5e0  s", "1e99999999 s", "\u0665e0 s", "5e0 s\n"],
)
def test_what_is_no_answer(text):
    assert parse(text) is None


def test_a_unit_spelt_otherwise_has_the_dimension_but_is_not_the_unit():
    found = plain_scores([row("1.0e0 kg m/s", "1.0e0 m kg/s")])
    assert found["unit_correct"] == 0.0 and found["dimension_correct"] == 1.0


def test_rows_about_units_and_about_arithmetic_find_their_own_scores():
    units = {"id": "a", **Question("can_add", ("1e0", "1e0"), ("m", "m"), ("length", "length")).row()}
    rows = metrics.prediction_rows([units], ["true"])
    assert rows == prediction_rows([units], ["true"])
    assert rows[0] == {
        "id": "a", "text": "Can you add 1e0 m and 1e0 m?", "task": "can_add", "types": ["length", "length"],
        "novelty": None, "target": "true", "prediction": "true",
    }  # fmt: skip
    assert metrics.score(rows, "s") == score(rows, "s")
    sums = [{"id": "b", "text": "1 + 1", "target_text": "2", "operations": ["+"], "carries": 0}]
    assert "s/exact_match_add" in metrics.score(metrics.prediction_rows(sums, ["2"]), "s")


def test_a_broken_target_is_said():
    with pytest.raises(ValueError, match="no quantity"):
        plain_scores([row("5 apples", "")])


@pytest.mark.parametrize(
    ("prediction", "kind"),
    [
        ("6.20e2", "unreadable"), ("true", "unreadable"), ("6.20e2 s", "dimension"), ("6.20e2 m", "unit"),
        ("6.20e3 cm", "power_of_ten"), ("6.21e2 cm", "last_digits"), ("9.99e2 cm", "digits"),
    ],
)  # fmt: skip
def test_kinds_of_error_in_a_conversion(prediction, kind):
    assert error_kind(row("6.20e2 cm", prediction)) == kind


def test_kinds_of_error_in_true_or_false():
    asked = row("true", "false")
    assert error_kind(asked) == "wrong_word"
    assert error_kind({**asked, "prediction": "5 m"}) == "unreadable"
