"""Colours of means: on a scale that does not exaggerate, and with text that can be read on every one of them."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from quadrat.report.colour_scale import Scale, ink_on, luminance, scale_of
from quadrat.report.drawing import INK, MUTED, PALETTE, PAPER, RULE


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("means", "goal", "scale"),
    [
        ([0.03, 0.07, math.nan], "max", Scale(0.0, 1.0)),
        ([0.03, 0.07], "min", Scale(0.03, 0.07, reverse=True)),
        ([0.5, 1.5], "max", Scale(0.5, 1.5)),
        ([-0.5, 0.5], "max", Scale(-0.5, 0.5)),
        ([0.01, 50.0], "min", Scale(0.01, 50.0, logarithmic=True, reverse=True)),
        ([2.0, 2.0], "max", Scale(1.0, 3.0)),
        ([math.nan], "max", Scale(0.0, 1.0)),
        ([], "min", Scale(0.0, 1.0, reverse=True)),
    ],
)
def test_the_ends_of_a_scale(means, goal, scale):
    assert scale_of(means, goal=goal) == scale


def test_a_scale_of_nothing_but_zeros_has_two_ends():
    found = scale_of([0.0, 0.0], goal="min")
    assert found.low < 0.0 < found.high
    assert found.colour(0.0)


def test_luminance_is_that_of_the_rules_for_readable_text():
    assert (luminance("#000000"), luminance("#ffffff")) == (0.0, pytest.approx(1.0))
    assert luminance("#ff0000") == pytest.approx(0.2126)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)


def test_brighter_is_better():
    high, low = Scale(0.0, 1.0), Scale(0.0, 1.0, reverse=True)
    assert luminance(high.colour(1.0)) > luminance(high.colour(0.0))
    assert luminance(low.colour(0.0)) > luminance(low.colour(1.0))


def test_brightness_grows_all_the_way():
    found = [luminance(Scale(0.0, 1.0).colour(value)) for value in np.linspace(0, 1, 50)]
    assert all(later > earlier for earlier, later in pairwise(found))


def test_a_logarithmic_scale_goes_by_factors():
    scale = Scale(0.01, 100.0, logarithmic=True)
    assert scale.colour(1.0) == Scale(0.0, 1.0).colour(0.5)
    assert len(scale.steps()) == len(Scale(0.0, 1.0).steps())
    assert scale.steps()[0][0] == pytest.approx(0.01)


def test_a_value_beyond_the_ends_gets_the_end():
    assert Scale(0.0, 1.0).colour(7.0) == Scale(0.0, 1.0).colour(1.0)
    assert Scale(0.0, 1.0).colour(-7.0) == Scale(0.0, 1.0).colour(0.0)


def test_text_is_readable_on_every_colour_in_both_themes():
    for value in np.linspace(0, 1, 200):
        colour = Scale(0.0, 1.0).colour(value)
        assert contrast(ink_on(colour), colour) >= 4.5, value
        # A page changes the house colours when it is dark; a cell and its text must stay as they are.
        assert not {colour, ink_on(colour)} & {INK, MUTED, PAPER, RULE, *PALETTE}
