"""The oracle is right but where floating point decides a tie, and never looks at the target."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from quadrat_studies.fluxem.units import conversion
from quadrat_studies.fluxem.units_config import UnitsDataConfig
from quadrat_studies.fluxem.units_data import TEST_SPLITS, draw_splits
from quadrat_studies.fluxem.units_oracle import oracle_answers
from quadrat_studies.fluxem.units_parser import parse_unit
from quadrat_studies.fluxem.units_questions import Question, from_row


@pytest.fixture(scope="module")
def splits():
    drawn = draw_splits(UnitsDataConfig(domain="units", train_size=1, test_size=600))
    return {name: [question.row() for question in questions] for name, questions in drawn.items()}


def is_tie(row) -> bool:
    question = from_row(row)
    exact = conversion(*map(parse_unit, question.units)).exact(question.numbers[0])
    rounded = Fraction(row["target_text"].split(" ")[0])
    place = Fraction(10) ** (int(row["target_text"].partition("e")[2].partition(" ")[0]) - 2)
    return abs(exact - rounded) > place * Fraction(499999, 10**6)


@pytest.mark.parametrize("split", TEST_SPLITS)
def test_float64_codes_miss_only_ties(splits, split):
    missed = [
        row for row, got in zip(splits[split], oracle_answers(splits[split]), strict=True) if got != row["target_text"]
    ]
    assert len(missed) < 0.01 * len(splits[split])
    assert all(row["task"] == "convert" and is_tie(row) for row in missed)


def test_float32_codes_miss_more(splits):
    rows = splits["test_ood_magnitude"]
    answers = oracle_answers(rows, "float32")
    missed = sum(got != row["target_text"] for row, got in zip(rows, answers, strict=True))
    assert 0 < missed < 0.1 * len(rows)


def test_it_computes_from_the_text_and_never_looks_at_the_target():
    row = Question("convert", ("2.44e2",), ("in", "cm"), ("length", "length")).row()
    spoilt = {**json.loads(json.dumps(row)), "target_text": "9", "target_value": 9.0, "spans": []}
    assert oracle_answers([spoilt]) == ["6.20e2 cm"]
