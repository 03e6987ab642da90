"""The card of the units splits is counted from the rows, and its trivial scores are what it says."""

from __future__ import annotations

import json

import pytest

from quadrat_studies.fluxem.units_card import trivial_scores, write_card
from quadrat_studies.fluxem.units_config import UnitsDataConfig
from quadrat_studies.fluxem.units_data import SPLITS, draw_splits
from quadrat_studies.fluxem.units_questions import Question

DATA = UnitsDataConfig(domain="units", train_size=400, validation_size=40, test_size=120)


def rows_of(questions) -> list[dict]:
    return [question.row() for question in questions]


@pytest.fixture
def rows():
    return {split: rows_of(questions) for split, questions in draw_splits(DATA).items()}


def card_of(rows, tmp_path):
    write_card(tmp_path / "dataset.json", DATA, rows=rows)
    return json.loads((tmp_path / "dataset.json").read_text())


def test_the_card_counts_what_is_there(rows, tmp_path):
    card = card_of(rows, tmp_path)
    assert card["generator"] == "fluxem.units/1" and card["data"]["seed"] == 42
    assert set(card["overlap"].values()) == {0} and len(card["overlap"]) == 10
    assert set(card["duplicates"].values()) == {0}
    assert list(card["splits"]) == list(SPLITS)
    for split in SPLITS:
        described = card["splits"][split]
        assert described["samples"] == len(rows[split])
        assert sum(described["tasks"].values()) == len(rows[split])
        assert sum(described["units"].values()) == 2 * len(rows[split])
        assert abs(described["booleans"]["true"] - described["booleans"]["false"]) <= 3
        assert described["longest_text"] == max(len(row["text"]) for row in rows[split])
    assert card["splits"]["train"]["unit_pair_in_train"] == 1.0
    assert card["splits"]["test_ood_types"]["unit_pair_in_train"] == 0.0
    assert card["splits"]["test_ood_types"]["novelty"] == {"compound": 40, "pair": 40, "symbol": 40}
    low, high = card["splits"]["test_ood_magnitude"]["magnitude_range"]
    assert low < 1e-7 and high > 1e7


def test_the_card_counts_an_overlap_that_is_there(rows, tmp_path):
    added = next(row for row in rows["train"] if row["task"] == "can_add" and row["types"][0] != row["types"][1])
    left, right = added["text"].removeprefix("Can you add ").removesuffix("?").split(" and ")
    twin = {**added, "text": f"Can you add {right} and {left}?", "types": added["types"][::-1]}
    rows["test_id"][1] = twin
    rows["validation"][1] = rows["validation"][0]
    card = card_of(rows, tmp_path)
    assert card["overlap"]["train/test_id"] == 1
    assert card["duplicates"]["validation"] == 1


def test_trivial_scores_on_rows_made_by_hand():
    def convert(number, source, target):
        return Question("convert", (number,), (source, target), ("x", "x")).row()

    def can_add(u, v):
        return Question("can_add", ("1.00e0", "2.00e0"), (u, v), ("x", "y")).row()

    train = [convert("1.00e0", "m", "km")] * 2 + [convert("1.00e1", "km", "m")] + [can_add("m", "s")] * 2
    train += [can_add("km", "m")]  # numbers 1e-3, 1e-3, 1e4: the geometric mean is 0.215
    test = [
        convert("1.00e0", "m", "km"),  # the majority's answer
        convert("2.15e-4", "km", "m"),  # 0.215 m: the mean's
        convert("5.00e0", "K", "delta_degC"),  # a copy of the input
        can_add("m", "m"), can_add("km", "s"), can_add("s", "h"), can_add("m", "h"),
    ]  # fmt: skip
    found = trivial_scores(test, train)
    assert found["majority_exact_match_convert"] == found["mean_exact_match_convert"] == pytest.approx(1 / 3)
    assert found["copy_input_exact_match_convert"] == pytest.approx(1 / 3)
    assert found["majority_unit_correct"] == pytest.approx(1 / 3)
    assert found["majority_dimension_correct"] == pytest.approx(2 / 3)
    assert found["copy_input_unit_correct"] == found["mean_dimension_correct"] == 1.0
    assert found["copy_input_value_error_median"] == pytest.approx(0.999)  # the errors are 999, 0.999 and 0
    assert found["majority_boolean_accuracy"] == 2 / 4  # always "false"
    assert found["copy_input_boolean_accuracy"] == 3 / 4  # m and m alone
    assert found["mean_boolean_accuracy"] == 1 / 4  # km went with "true", m with "false", s with nothing
    assert found["magnitude_only_exact_match"] == pytest.approx((3 / 900 + 4 / 2) / 7)
    assert found["mean_exact_match"] == pytest.approx(2 / 7)


def test_every_score_has_a_trivial_one_beside_it(rows):
    from quadrat_studies.fluxem.units_metrics import plain_scores, prediction_rows

    members = [{"id": "", **row} for row in rows["test_id"]]
    names = set(plain_scores(prediction_rows(members, [row["target_text"] for row in members])))
    found = trivial_scores(rows["test_id"], rows["train"])
    for name in names:
        assert f"copy_input_{name}" in found and f"mean_{name}" in found
