"""Ladders ask what they say, the same for every model; the gallery sorts errors by what is wrong."""

from __future__ import annotations

from collections import Counter

import pytest

from quadrat_studies.fluxem.config import Config
from quadrat_studies.fluxem.gallery import error_gallery, error_kind, evaluation_results, model_name
from quadrat_studies.fluxem.ladders import ladder_problems, ladder_table
from quadrat_studies.fluxem.problems import carry_count


def config(**ladders):
    return Config.model_validate({"data": {"id_range": [0, 99], "operations": ["+", "-", "*"]}, "ladders": ladders})


def numbers(text):
    return [int(part) for part in text.replace("*", " ").replace("+", " ").replace("-", " ").split()]


def test_no_ladder_unless_asked():
    assert ladder_problems(config()) == {}


def test_magnitude_is_digits_by_digits_with_the_trained_square_marked():
    rungs = ladder_problems(config(magnitude_digits=3, cell_size=4))["magnitude"]
    assert set(Counter(rung.cell for rung in rungs).values()) == {4} and len(rungs) == 4 * 27
    for rung in rungs:
        cell = dict(rung.cell)
        assert [len(str(n)) for n in numbers(rung.text)] == [cell["digits_left"], cell["digits_right"]]
        assert cell["trained"] is (max(cell["digits_left"], cell["digits_right"]) <= 2)
        assert str(eval(rung.text)) == rung.target


def test_operands_are_added_and_subtracted_from_the_left():
    rungs = ladder_problems(config(operands=5, cell_size=6))["operands"]
    assert [dict(rung.cell)["operands"] for rung in rungs] == [2] * 6 + [3] * 6 + [4] * 6 + [5] * 6
    for rung in rungs:
        assert len(numbers(rung.text)) == dict(rung.cell)["operands"]
        assert "*" not in rung.text and "(" not in rung.text and str(eval(rung.text)) == rung.target


def test_carries_are_those_of_column_arithmetic():
    rungs = ladder_problems(config(carries=3, cell_size=5))["carries"]
    cells = {(dict(rung.cell)["operation"], dict(rung.cell)["carries"]) for rung in rungs}
    assert cells == {(word, carries) for word in ("add", "subtract") for carries in range(4)} - {("subtract", 3)}
    for rung in rungs:
        cell = dict(rung.cell)
        assert carry_count(*numbers(rung.text), subtract=cell["operation"] == "subtract") == cell["carries"]


def test_problems_are_the_same_every_time_and_a_table_counts_them():
    rungs = ladder_problems(config(operands=3, cell_size=3))["operands"]
    assert rungs == ladder_problems(config(operands=3, cell_size=3))["operands"]
    answers = [rung.target for rung in rungs]
    answers[0] = "no"
    assert ladder_table(rungs, answers) == [
        {"operands": 2, "trained": True, "items": 3, "correct": 2, "exact_match": 2 / 3},
        {"operands": 3, "trained": False, "items": 3, "correct": 3, "exact_match": 1.0},
    ]


@pytest.mark.parametrize(
    ("prediction", "kind"),
    [
        ("12...", "unreadable"), ("-1234", "sign"), ("1244", "carry"), ("1134", "carry"), ("1235", "last_digit"),
        ("1239", "last_digit"), ("1734", "one_digit"), ("123", "length"), ("9876", "digits"),
    ],
)  # fmt: skip
def test_kinds_of_error(prediction, kind):
    assert error_kind(prediction, "1234") == kind


def row(index, prediction, target="10"):
    return {
        "id": f"r{index}", "text": "4 + 6", "target": target, "prediction": prediction, "operations": "+", "carries": 1,
    }  # fmt: skip


def test_the_gallery_shows_the_first_of_each_kind_and_counts_all():
    rows = [row(i, "-10") for i in range(8)] + [row(8, "x"), row(9, "10")]
    table = error_gallery({"test_id": rows})
    assert [(line["kind"], line["of_this_kind"], line["items"]) for line in table] == [("sign", 8, 10)] * 5 + [
        ("unreadable", 1, 10)
    ]
    assert [line["id"] for line in table] == ["r0", "r1", "r2", "r3", "r4", "r8"]


def test_results_in_the_seeds_layout():
    found = evaluation_results("hybrid", {"test_id": [row(0, "10"), row(1, "x"), row(2, "10")]})
    assert found == {
        "hybrid": {
            "test_id": {
                "exact_match": 2 / 3, "numeric_accuracy_1pct": 2 / 3, "median_relative_error": 0.0,
                "mean_relative_error": float("inf"),
            }
        }
    }  # fmt: skip
    assert model_name(config().model) == "token_only"
