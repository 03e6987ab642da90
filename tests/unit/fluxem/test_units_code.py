"""Codes of quantities: multiplying is adding, converting is one subtraction."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadrat_studies.fluxem import algebra
from quadrat_studies.fluxem.units import Quantity
from quadrat_studies.fluxem.units_code import EXPONENTS, TURNS, WIDTH, encode, phases
from quadrat_studies.fluxem.units_parser import parse_unit
from quadrat_studies.fluxem.units_table import UNIT_TYPES

RATIOS = sorted({unit for units in UNIT_TYPES.values() for unit in units if parse_unit(unit).scale == "ratio"})
VALUES = st.fractions(min_value=-(10**6), max_value=10**6, max_denominator=1000)
QUANTITIES = st.builds(lambda value, unit: Quantity(value, parse_unit(unit)), VALUES, st.sampled_from(RATIOS))


def of(value, unit: str) -> Quantity:
    return Quantity.of(value, parse_unit(unit))


@given(QUANTITIES, QUANTITIES)
def test_the_code_of_a_product_is_the_sum_and_of_a_quotient_the_difference(a, b):
    x, y, xy = encode([a, b, a * b])
    np.testing.assert_allclose(
        x[:11] + y[:11], [*xy[:1], x[1] + y[1], x[2] + y[2], 0, *xy[4:11]], atol=1e-9 if a.value and b.value else 60
    )
    assert float(algebra.decode_log((x + y)[:4])) == pytest.approx(float((a * b).si), rel=1e-11)
    if b.value:
        ratio = encode([a / b])[0]
        np.testing.assert_array_equal((x - y)[EXPONENTS], ratio[EXPONENTS])
        got = float(algebra.decode_log(algebra.divide(x[:4], y[:4])))
        assert got == pytest.approx(float((a / b).si), rel=1e-11)


def test_coordinates_are_what_they_are_called():
    code = encode([of(8, "m/s"), of(-4, "kg"), of(0, "A s"), of(-50, "degC"), of(2, "delta_degF")])
    assert code.shape == (5, WIDTH)
    np.testing.assert_allclose(code[:, 0], [3, 2, 0, math.log2(223.15), math.log2(10 / 9)])
    assert code[:, 1:4].tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert code[0, EXPONENTS].tolist() == [0, 1, -1, 0, 0, 0, 0]
    assert code[2, EXPONENTS].tolist() == [0, 0, 1, 1, 0, 0, 0]
    assert code[:, 11:].tolist() == [[0, 0], [0, 0], [0, 0], [1, 0], [0, 1]]


def test_quantities_can_be_added_only_when_their_exponents_agree():
    for first in RATIOS:
        for second in RATIOS:
            a, b = encode([of(3, first), of(5, second)])
            agree = bool((a[EXPONENTS] == b[EXPONENTS]).all())
            assert agree == (parse_unit(first).dimension == parse_unit(second).dimension)


@given(st.fractions(min_value=Fraction(1, 1000), max_value=1000), st.sampled_from(["in", "mi", "m"]))
def test_phases_turn_with_the_factor(value, unit):
    before, after = phases([of(value, "m"), of(value, unit)]).reshape(2, len(TURNS), 2)
    angle = 2 * math.pi * math.log10(parse_unit(unit).factor) * np.array(TURNS)
    turned = before[:, 0] * np.cos(angle) - before[:, 1] * np.sin(angle)
    np.testing.assert_allclose(after[:, 0], turned, atol=1e-6)


def test_phases_depend_on_the_mantissa_alone_and_zero_has_none():
    found = phases([of("2.44e-3", "m"), of("2.44e5", "m"), of("-2.44", "m"), of(0, "m")])
    np.testing.assert_allclose(found[:3], found[[0, 0, 0]], atol=1e-9)
    assert (found[3] == 0).all()


def test_equal_quantities_have_equal_codes_in_every_process():
    np.testing.assert_allclose(encode([of("2.54", "cm")]), encode([of(1, "in")]), atol=1e-12)
