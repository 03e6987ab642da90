"""The oracle is exact where its codes are, and shows where they are not."""

from __future__ import annotations

import pytest

from quadrat_studies.fluxem.config import DataConfig
from quadrat_studies.fluxem.data import TEST_SPLITS, draw_splits
from quadrat_studies.fluxem.oracle import oracle_answers
from quadrat_studies.fluxem.problems import Problem


@pytest.fixture(scope="module")
def splits():
    return {name: [p.row("parentheses") for p in problems] for name, problems in draw_splits(DataConfig()).items()}


def correct(rows, answers) -> float:
    return sum(row["target_text"] == answer for row, answer in zip(rows, answers, strict=True)) / len(rows)


@pytest.mark.parametrize("split", TEST_SPLITS)
def test_float64_codes_solve_the_small_splits(splits, split):
    assert correct(splits[split], oracle_answers(splits[split])) == 1.0


def test_float32_codes_do_not_solve_large_products(splits):
    rows = [row for row in splits["test_ood_magnitude"] if row["operations"] == ["*"]]
    assert correct(rows, oracle_answers(rows, "float32")) < 0.5


def test_large_products_are_beyond_float64_codes_too():
    rows = [Problem((999_999_937, 999_999_893), ("*",)).row("parentheses")]
    assert oracle_answers(rows) != [rows[0]["target_text"]]


def test_it_computes_from_the_spans_and_never_looks_at_the_target():
    row = Problem((40, 2), ("+",)).row("parentheses")
    assert oracle_answers([{**row, "target_text": "9", "target_value": 9, "text": "?"}]) == ["42"]
