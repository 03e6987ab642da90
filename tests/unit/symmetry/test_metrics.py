"""Scores of predictions that are known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from quadrat_studies.symmetry.config import DataConfig
from quadrat_studies.symmetry.data import draw_splits
from quadrat_studies.symmetry.metrics import accuracy, held_out_scores, pair_rows, run_class, short_name, wilson
from quadrat_studies.symmetry.tasks import function_task

ABOUT = DataConfig.model_validate({"train_rows": 300, "test_rows": 40})
SPLITS = draw_splits(ABOUT)
TASK = function_task(ABOUT)


def test_composite_symmetric_and_other_share_the_held_out_rows():
    rows = SPLITS["held_out"]
    predictions = rows.keys - 10
    predictions[:10] = rows.keys[:10] - 6
    predictions[10:14] = 0
    assert held_out_scores(TASK, rows, predictions) == {
        "composite_acc": 26 / 40,
        "symmetric_acc": 10 / 40,
        "other_acc": pytest.approx(4 / 40),
    }


def test_labels_of_the_held_out_pair_are_the_composite_answers():
    rows = SPLITS["held_out"]
    assert accuracy(rows.labels, rows) == 1.0
    assert held_out_scores(TASK, rows, rows.labels)["composite_acc"] == 1.0


def test_pair_table_has_every_pair_and_counts_its_own_rows():
    predictions = {split: rows.labels.copy() for split, rows in SPLITS.items()}
    of_12 = np.array([pair == (1, 2) for pair in SPLITS["test"].pairs])
    predictions["test"][np.flatnonzero(of_12)[:10]] = 0
    table = pair_rows(TASK, SPLITS, predictions)
    assert [row["pair"] for row in table] == [f"{a}{b}" for a in range(1, 5) for b in range(1, 5)]
    assert {row["rows"] for row in table} == {40}
    assert [row["pair"] for row in table if row["held_out"]] == ["43"]
    assert {row["pair"]: row["accuracy"] for row in table if row["accuracy"] < 1} == {"12": 0.75}


@pytest.mark.parametrize(
    ("composite", "symmetric", "found"),
    [
        (0.9, 0.0, "composite"),
        (0.1, 0.5, "symmetric"),
        (0.5, 0.3, "both"),
        (0.29, 0.29, "neither"),
        (0.3, 0.0, "composite"),
    ],
)
def test_class_of_a_run(composite, symmetric, found):
    assert run_class(composite, symmetric, threshold=0.3) == found


def test_short_names():
    names = ("test/composite_acc", "test/acc", "ood/acc", "train/mirror_acc", "test/loss")
    assert [short_name(name) for name in names] == [
        "composite_acc",
        "test_acc",
        "ood_acc",
        "train_mirror_acc",
        "test_loss",
    ]


def test_wilson_agrees_with_a_published_example():
    low, high = wilson(8, 10)
    assert (round(low, 3), round(high, 3)) == (0.490, 0.943)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(480, 480)[1] <= 1.0 + 1e-12
