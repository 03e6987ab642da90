"""Sixteen numbers at once: each operation against numpy's."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from quadrat_studies.etrm import lanes

F = np.float32


@njit
def powers(values, result):
    for at in range(0, values.size, 16):
        lanes.store(result, at, lanes.exp2(lanes.load(values, at)))


@njit
def two(left, right, result):
    x, y = lanes.load(left, 0), lanes.load(right, 0)
    lanes.store(result, 0, lanes.add(x, y))
    lanes.store(result, 16, lanes.times(x, y))
    lanes.store(result, 32, lanes.over(x, y))
    lanes.store(result, 48, lanes.larger(x, y))
    lanes.store(result, 64, lanes.spread(lanes.total(x)))
    lanes.store(result, 80, lanes.spread(lanes.largest(x)))


@njit
def products(left, right, result, back):
    rows = lanes.rows_of(lanes.spread(F(1)))
    for at in range(3):
        rows = lanes.outer(rows, left, at, 3, lanes.load(right, at * 16))
    lanes.store_rows(result, 0, 16, rows)
    again = lanes.load_rows(result, 0, 16)
    lanes.store(back, 0, lanes.inner(lanes.spread(F(2)), left, 1, 3, again))


def test_powers_of_two_are_good_to_the_last_bits():
    values = np.linspace(-125.99, 126, 1 << 16, dtype=F)
    result = np.empty_like(values)
    powers(values, result)
    assert np.abs(result / 2.0 ** values.astype(float) - 1).max() < 2e-7
    whole = np.arange(-126, 114, dtype=F)
    powers(whole, result[:240])
    assert np.array_equal(result[:240], 2.0 ** whole.astype(float))


@pytest.mark.parametrize(
    ("value", "power"),
    [
        (-1e30, 2.0**-126),
        (-np.inf, 2.0**-126),
        (127.6, 2.0**127),
        (300, 2.0**127),
        (np.inf, 2.0**127),
        (np.nan, np.nan),
    ],
)
def test_a_power_far_off_is_the_least_or_the_most_and_a_nan_stays_one(value, power):
    result = np.empty(16, F)
    powers(np.full(16, value, F), result)
    np.testing.assert_array_equal(result, np.full(16, power, F))


def test_lane_by_lane_and_across():
    x, y = np.random.default_rng(0).normal(size=(2, 16)).astype(F)
    result = np.empty(96, F)
    two(x, y, result)
    expected = [x + y, x * y, x / y, np.maximum(x, y), np.full(16, x.sum()), np.full(16, x.max())]
    np.testing.assert_allclose(result.reshape(6, 16), expected, rtol=1e-6)


def test_tiles_grow_by_outer_products_and_fold_by_inner_ones():
    rng = np.random.default_rng(1)
    left, right = rng.normal(size=(8, 3)).astype(F), rng.normal(size=(3, 16)).astype(F)
    result, back = np.empty((8, 16), F), np.empty(16, F)
    products(left.reshape(-1), right.reshape(-1), result.reshape(-1), back)
    np.testing.assert_allclose(result, 1 + left @ right, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(back, 2 + left[:, 1] @ result, rtol=1e-5, atol=1e-6)
