"""Scores of prediction rows written by hand."""

from __future__ import annotations

import math

import pytest

from quadrat_studies.fluxem.metrics import parse, prediction_rows, relative_error, score, strata


def row(target: str, prediction: str, operations: str = "+", carries: int | None = 0):
    return {
        "id": "x", "text": "t", "target": target, "prediction": prediction,
        "operations": operations, "carries": carries,
    }  # fmt: skip


ROWS = [
    row("95", "95"),
    row("-10", "-11", "-", 1),
    row("200", "201", "*", None),
    row("100", "", "+", 4),
    row("7", "7...", "-", 0),
]


def test_every_score_of_five_rows():
    assert score(ROWS, "s") == {
        "s/exact_match": 1 / 5,
        "s/parse_rate": 3 / 5,
        "s/relative_error_median": 0.1,
        "s/relative_error_p90": math.inf,
        "s/within_one_percent": 2 / 5,
        "s/exact_match_add": 1 / 2,
        "s/exact_match_subtract": 0.0,
        "s/exact_match_multiply": 0.0,
        "s/exact_match_carries_0": 1.0,
        "s/exact_match_carries_3_or_more": 0.0,
        "s/exact_match_borrows_0": 0.0,
        "s/exact_match_borrows_1": 0.0,
    }


def test_unparsed_answers_are_never_dropped():
    worse = [*ROWS, row("1", "x"), row("1", "x")]
    assert score(worse, "s")["s/relative_error_median"] == math.inf
    assert score(worse, "s")["s/parse_rate"] == 3 / 7


def test_chains_are_told_apart_by_length():
    rows = [row("1", "1", "+-", None), row("1", "2", "+-*", None), row("1", "1", "***", None)]
    assert strata(rows) == {"2_ops": [0], "3_ops": [1, 2]}
    assert score(rows, "s")["s/exact_match_3_ops"] == 0.5


@pytest.mark.parametrize(
    ("prediction", "target", "error"),
    [("95", "95", 0.0), ("-5", "5", 2.0), ("3", "0", 3.0), ("0", "0", 0.0), ("", "5", math.inf), ("5.0", "5", math.inf),
     ("1e3", "1000", math.inf), ("--5", "-5", math.inf), ("9" * 30, "9" * 30, 0.0)],
)  # fmt: skip
def test_relative_error(prediction, target, error):
    assert relative_error(prediction, target) == error


@pytest.mark.parametrize("text", ["", "-", "1 2", "+1", "1...", "٣", " 1", "1\n"])
def test_what_is_no_integer(text):
    assert parse(text) is None


def test_prediction_rows_hold_text_alone_of_target_and_prediction():
    rows = [
        {
            "id": "a",
            "text": "1 + 1",
            "target_text": "2",
            "target_value": 2,
            "operations": ["+"],
            "carries": 0,
            "spans": [],
        }
    ]
    assert prediction_rows(rows, ["3"]) == [
        {"id": "a", "text": "1 + 1", "target": "2", "prediction": "3", "operations": "+", "carries": 0}
    ]
    with pytest.raises(ValueError, match="zip"):
        prediction_rows(rows, [])
