"""Circle codes: adding is turning, decoding is exact, remainders come together again."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quadrat_studies.fluxem import circular
from quadrat_studies.fluxem.config import MODULI

PERIODS = [10**place for place in range(1, 13)]
NUMBERS = st.integers(-(10**11), 10**11)


@given(NUMBERS, NUMBERS)
@settings(max_examples=60, deadline=None)
def test_turning_by_a_number_adds_it(a, b):
    code = circular.turn(circular.encode_circles(np.array(a), PERIODS), circular.encode_circles(np.array(b), PERIODS))
    assert circular.decode_decimal(code) == (a + b) % 10**12


@given(st.lists(NUMBERS, min_size=1, max_size=9))
@settings(max_examples=40, deadline=None)
def test_remainders_survive_the_circle_and_name_the_number(values):
    numbers = np.array(values) % (prod(MODULI) // 2)
    remainders = circular.decode_circles(circular.encode_circles(numbers, MODULI), MODULI)
    assert (remainders == numbers[:, None] % np.array(MODULI)).all()
    assert (circular.decode_residues(remainders, MODULI) == numbers).all()


def test_sums_differences_and_products_are_those_of_the_remainders():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 700, (2, 500))
    moduli = np.array(MODULI)
    for found, value in ((a[:, None] + b[:, None], a + b), (a[:, None] - b[:, None], a - b), ((a * b)[:, None], a * b)):
        assert (circular.decode_residues(found % moduli, MODULI) == value).all()


def test_digits_survive_an_angle_off_by_less_than_a_twentieth_of_a_turn():
    rng = np.random.default_rng(1)
    numbers = rng.integers(0, 10**12, 2000)
    code = circular.encode_circles(numbers, PERIODS).astype(float)
    for size, right in ((0.045, True), (0.09, False)):
        angle = 2 * np.pi * rng.choice([-size, size], (2000, 12))
        noise = np.stack([np.cos(angle), np.sin(angle)], -1).reshape(2000, -1)
        assert bool((circular.decode_decimal(circular.turn(code, noise)) == numbers).all()) is right


def test_a_negative_number_reads_as_its_complement():
    assert circular.decode_decimal(circular.encode_circles(np.array([-1, -250]), PERIODS[:3])).tolist() == [999, 750]


def test_points_lie_on_the_circle_whatever_the_period():
    for period in (3, 4096, 4097, 10**15):
        code = circular.encode_circles(np.array([0, 1, period - 1, 10**15 + 1]), [period])
        np.testing.assert_allclose(np.hypot(code[:, 0], code[:, 1]), 1.0, atol=1e-6)
        np.testing.assert_allclose(code[0], [1.0, 0.0], atol=1e-6)


def test_too_large_a_ring_is_refused():
    with pytest.raises(circular.TooManyNumbers, match="64 bits"):
        circular.decode_residues(np.zeros((1, 4), np.int64), [2**16 - 1, 2**16, 2**16 + 1, 2**17 - 1])
