from __future__ import annotations

from fractions import Fraction
from math import inf, isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadrat.health.window import Windows, mean


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_the_mean_is_the_exact_one_rounded(values):
    exact = Fraction(sum(map(Fraction, values)), len(values))
    assert mean(values) == pytest.approx(float(exact), rel=1e-12, abs=1e-300)


def test_the_mean_of_what_is_not_finite_is_not_finite():
    assert isnan(mean([1.0, nan]))
    assert mean([1.0, inf]) == inf
    assert isnan(mean([inf, -inf]))
    assert mean([1e308, 1e308]) == 1e308


def test_windows_are_judged_once_full_whatever_the_logging_interval():
    for every in (1, 2, 5, 10):
        windows = Windows(recent=20, before=80)
        full = [step for step in range(every, 301, every) if windows.change(step, float(step)) is not None]
        assert full[0] == 100
        assert full == list(range(100, 301, every))


def test_a_gap_in_the_series_empties_the_windows():
    windows = Windows(recent=2, before=2)
    changes = {step: windows.change(step, float(step)) for step in (1, 2, 3, 4, 50, 52, 53)}
    assert changes == {1: None, 2: None, 3: None, 4: 2.0, 50: None, 52: 2.0, 53: 2.5}


STEPS = st.lists(st.integers(0, 40), max_size=30).map(sorted)
VALUES = st.lists(st.floats(-10, 10), min_size=30, max_size=30)


@given(STEPS, VALUES, st.integers(1, 8), st.integers(1, 8))
def test_the_change_agrees_with_slicing_the_whole_series(steps, values, recent, before):
    windows = Windows(recent=recent, before=before)
    series = list(zip(steps, values, strict=False))
    stride = next((step - steps[0] for step in steps if step > steps[0]), 0) if steps else 0
    for end, (now, value) in enumerate(series, start=1):
        got = windows.change(now, value)
        new = [v for s, v in series[:end] if now - recent < s]
        old = [v for s, v in series[:end] if now - recent - before < s <= now - recent]
        full = now - steps[0] + stride * (now > steps[0]) >= recent + before and old
        assert got == (mean(new) - mean(old) if full else None)


def test_a_spike_that_has_passed_leaves_no_trace():
    windows = Windows(recent=2, before=2)
    for step, value in enumerate([1e30, 0.1, 0.2, 0.3, 0.4]):
        change = windows.change(step, value)
    assert change == (0.3 + 0.4) / 2 - (0.1 + 0.2) / 2
