"""Columns against the baseline's column: one number a seed, over the rows that are whole."""

from __future__ import annotations

import math

import pytest

from quadrat.analyze.contrast import contrasts
from quadrat.analyze.declaration import Declared
from quadrat.analyze.rows import Row
from quadrat.analyze.stats import Method, paired
from quadrat.core.verdicts import Status

VALUES = {
    (0, 0): (0.1, 0.2, 0.4),
    (0, 1): (0.3, 0.3, 0.3),
    (1, 0): (0.5, 0.9, 0.6),
    (1, 1): (0.7, 0.8, 0.9),
}


def runs(*values):
    return [
        Row(
            Declared(f"S{seed}", None, None, {}, seed=seed, identity=None),
            Status.FAILED if value is None else Status.COMPLETED,
            final={"acc": 1.0 if value is None else value},
        )
        for seed, value in enumerate(values)
    ]


def compared(values, *, base=0):
    cells = {place: runs(*found) for place, found in values.items()}
    xs = sorted({i for i, _ in values})
    ys = sorted({j for _, j in values})
    return contrasts(cells, metric="acc", base=base, xs=[f"x{i}" for i in xs], ys=[f"y{j}" for j in ys])


def test_each_seed_counts_once_with_its_mean_over_the_rows():
    (found,) = compared(VALUES)
    assert (found.x, found.baseline, found.ys, found.rows) == ("x1", "x0", ("y0", "y1"), 2)
    wanted = paired({0: 0.6, 1: 0.85, 2: 0.75}, {0: 0.2, 1: 0.25, 2: 0.35})
    assert found.result.difference.values == pytest.approx((0.4, 0.6, 0.4))
    assert found.result.p == pytest.approx(wanted.p)
    assert found.result.difference.n == 3  # seeds, not the six runs of a column


def test_a_row_with_a_run_missing_is_left_out_for_every_seed():
    (found,) = compared({**VALUES, (1, 1): (0.7, None, 0.9)})
    assert (found.ys, found.rows) == (("y0",), 2)
    assert found.result.difference.values == pytest.approx((0.4, 0.7, 0.2))


def test_without_a_whole_row_nothing_is_compared_and_every_seed_still_counts():
    (found,) = compared({**VALUES, (0, 0): (None, 0.2, 0.4), (1, 1): (0.7, None, 0.9)})
    assert (found.ys, found.rows, found.p_holm) == ((), 2, None)
    assert (found.result.difference.n, found.result.difference.method) == (3, Method.NONE)


def test_a_seed_that_only_some_rows_have_is_not_averaged_over_fewer_rows():
    (found,) = compared({**VALUES, (0, 1): (0.3, 0.3), (1, 1): (0.7, 0.8)})
    assert found.ys == ("y0", "y1")
    assert (found.result.difference.n, found.result.pairs) == (3, 2)
    assert math.isnan(found.result.difference.values[2])


def test_holm_is_over_all_columns_together():
    more = {(2, 0): (0.6, 0.8, 0.9), (2, 1): (0.6, 0.9, 0.9)}
    first, second = compared({**VALUES, **more})
    assert (first.family, second.family) == (2, 2)
    smaller, larger = sorted((first, second), key=lambda found: found.result.p)
    assert smaller.p_holm == pytest.approx(2 * smaller.result.p)
    assert larger.p_holm >= larger.result.p


def test_a_column_that_shares_no_row_with_the_baseline_is_left_out():
    cells = {(0, 0): (0.1, 0.2, 0.3), (1, 1): (0.1, 0.2, 0.3)}
    assert compared(cells) == ()
    assert compared(VALUES, base=None) == ()
