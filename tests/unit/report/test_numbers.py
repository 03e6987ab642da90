"""Numbers as a reader wants them."""

from __future__ import annotations

import math

import pytest

from quadrat.report.numbers import NONE, decimals, duration, number, probability, size


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ([], 3),
        ([0.0, math.nan], 3),
        ([0.98, 0.1], 3),
        ([0.98, 1.0], 3),
        ([0.0345], 4),
        ([0.00045], 6),
        ([12.5], 2),
        ([123456.0], 0),
        ([1e7], None),
        ([3e-6], None),
        ([math.inf, 0.5], 3),
    ],
)
def test_decimals_follow_the_largest(values, places):
    assert decimals(values) == places


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (0.12349, 3, "0.123"),
        (-0.5, 2, "\N{MINUS SIGN}0.50"),
        (-0.0001, 2, "0.00"),
        (None, 3, NONE),
        (math.nan, 3, "NaN"),
        (math.inf, 3, "∞"),
        (-math.inf, 3, "\N{MINUS SIGN}∞"),
        (1234567.0, None, "1.23e+06"),
        (1.5e-7, None, "1.50e\N{MINUS SIGN}07"),
    ],
)
def test_a_number(value, places, text):
    assert number(value, places) == text


def test_probability_never_claims_zero():
    assert probability(1e-9) == "< 0.001"
    assert probability(0.0384) == "0.038"
    assert probability(None) == NONE


def test_durations_and_sizes():
    assert [duration(value) for value in (None, 3.21, 61.4, 7260, math.nan)] == [
        NONE,
        "3.2 s",
        "1 min 1 s",
        "2 h 1 min",
        NONE,
    ]
    assert [size(value) for value in (None, 12, 2048, 5 * 2**20, 8 * 2**30)] == [
        NONE,
        "12 B",
        "2.0 KiB",
        "5.0 MiB",
        "8.0 GiB",
    ]
