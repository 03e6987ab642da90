"""What the two tables are made of."""

from __future__ import annotations

import pytest

from quadrat.analyze.table import load_study_table
from quadrat.exports.tables import kind_of, split_of, tables_of


@pytest.mark.parametrize(
    ("metric", "split"),
    [
        ("train/loss", "train"),
        ("training/loss", "training"),
        ("validation/exact_match", "validation"),
        ("test_ood_length/exact_match", "test_ood_length"),
        ("oracle/test_id/exact_match", "test_id"),
        ("all.exact_accuracy", "all"),
        ("held_out/acc", "held_out"),
        ("grad/encoder_norm", ""),
        ("ARC/pass@1", ""),
        ("testimony/x", ""),
        ("allocation", ""),
        ("loss", ""),
    ],
)
def test_the_split_of_a_metric(metric, split):
    assert split_of(metric) == split


def test_the_kind_of_a_column():
    assert kind_of([1, None, 2]) is int
    assert kind_of([1, 2.0]) is float
    assert kind_of([True, False]) is bool
    assert kind_of([True, 1]) is str
    assert kind_of(["a", 1]) is str
    assert kind_of([None]) is str


def test_every_declared_run_is_a_row(study):
    first = next(study.runs())
    for path in sorted(first.path.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    first.path.rmdir()
    runs, metrics = tables_of(load_study_table(study), tick=lambda done, total: None)
    names = [column.name for column in runs.columns]
    gone = next(row for row in runs.rows if row[names.index("run")] == first.name)
    assert gone[names.index("status")] == "pending"
    assert first.name not in {row[2] for row in metrics.rows}
