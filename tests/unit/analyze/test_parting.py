"""Where two series part, and by how much."""

from __future__ import annotations

import math

import pytest

from quadrat.analyze.parting import Parting, Tolerance, Walk, is_clock


def walked(a, b, **tolerance):
    """Two lists of rows, each a mapping of metrics, at steps 1, 2, ..."""
    walk = Walk(Tolerance(**tolerance))
    walk.over(*([{"step": step, "metrics": row} for step, row in enumerate(rows, 1)] for rows in (a, b)))
    return walk


def test_equal_series_do_not_part():
    walk = walked([{"loss": 1.0, "x": "NaN"}], [{"loss": 1.0, "x": "NaN"}])
    assert (walk.first, walk.beyond, walk.largest) == (None, None, 0.0)


def test_the_first_difference_and_the_first_that_matters_are_both_told():
    walk = walked([{"a": 1.0}, {"a": 1.0, "b": 2.0}], [{"a": 1.0 + 1e-9}, {"a": 1.0, "b": 2.02}])
    assert walk.first == Parting(1, "a", 1.0, 1.0 + 1e-9)
    assert walk.beyond == Parting(2, "b", 2.0, 2.02)
    assert walk.largest == pytest.approx(0.02 / 2.02)


@pytest.mark.parametrize(("a", "b"), [(1.0, "NaN"), ("Infinity", "-Infinity"), (1.0, None), (None, 1.0)])
def test_what_is_no_number_on_one_side_is_beyond_every_tolerance(a, b):
    rows = [{"m": value} if value is not None else {} for value in (a, b)]
    walk = walked([rows[0]], [rows[1]], relative=1e9, absolute=1e9)
    assert walk.beyond == Parting(1, "m", a, b)
    assert walk.largest == math.inf


def test_a_series_that_ends_early_parts_where_it_ends():
    assert walked([{"m": 1}, {"m": 2}], [{"m": 1}]).beyond == Parting(2, None, "there", "none")
    assert walked([{"m": 1}], [{"m": 1}, {"m": 2}]).beyond == Parting(2, None, "none", "there")
    walk = Walk(Tolerance())
    walk.over([{"step": 1, "metrics": {}}], [{"step": 2, "metrics": {}}])
    assert walk.beyond is not None
    assert walk.beyond.words() == "row of step 1: then this one, now step 2"


def test_clocks_are_passed_over_and_named():
    walk = walked([{"time/step": 1.0, "loss": 1.0}], [{"time/step": 9.0, "loss": 1.0}])
    assert walk.beyond is None
    assert walk.clocks == {"time/step"}
    assert [name for name in ("train/seconds", "tokens_per_second", "train/loss", "timeliness") if is_clock(name)] == [
        "train/seconds",
        "tokens_per_second",
    ]


@pytest.mark.parametrize(("b", "holds"), [(1.0 + 9e-7, True), (1.0 + 3e-6, False), (1, True)])
def test_the_tolerance_is_relative_and_absolute(b, holds):
    assert Tolerance().holds(1.0, b) is holds
    assert Tolerance(relative=0.0, absolute=1e-3).holds(0.0, 9e-4)
