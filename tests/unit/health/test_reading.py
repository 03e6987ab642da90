from __future__ import annotations

from fractions import Fraction
from math import copysign, inf, isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadrat.health.reading import number, plain, ratio


@given(st.floats())
def test_what_plain_writes_number_reads(value):
    read = number(plain(value))
    assert isnan(read) if isnan(value) else read == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3.0),
        (True, 1.0),
        (np.float64(0.5), 0.5),
        (np.int64(7), 7.0),
        (Fraction(1, 4), 0.25),
        ("Infinity", inf),
        (10**400, inf),
        (-(10**400), -inf),
        (np.array(2.5), 2.5),
    ],
)
def test_number_reads_what_a_row_may_hold(value, expected):
    read = number(value)
    assert type(read) is float
    assert read == expected


@pytest.mark.parametrize("value", [None, "0.5", "nan", "", [], {}, object(), 1j, np.array([1.0, 2.0])])
def test_what_is_no_number_is_not_measured(value):
    assert number(value) is None


@pytest.mark.parametrize(
    ("top", "bottom", "expected"),
    [
        (1.0, 4.0, 0.25),
        (1.0, 0.0, inf),
        (-1.0, 0.0, -inf),
        (1.0, -0.0, -inf),
        (0.0, 0.0, nan),
        (nan, 0.0, nan),
        (1.0, inf, nan),
        (inf, inf, nan),
        (inf, 2.0, inf),
        (nan, 2.0, nan),
        (1.0, nan, nan),
        (1e308, 1e-308, inf),
    ],
)
def test_ratio(top, bottom, expected):
    got = ratio(top, bottom)
    assert isnan(got) if isnan(expected) else (got == expected and copysign(1, got) == copysign(1, expected))


@given(st.floats(), st.floats())
def test_a_ratio_is_finite_only_when_both_parts_are(top, bottom):
    got = ratio(top, bottom)
    if got - got == 0:
        assert top - top == 0
        assert bottom - bottom == 0
        assert got == top / bottom
