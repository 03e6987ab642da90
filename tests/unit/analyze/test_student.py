"""The t distribution, held against scipy."""

from __future__ import annotations

import math

import pytest

from quadrat.analyze.student import incomplete_beta, t_quantile, two_sided_tail

special = pytest.importorskip("scipy.special")
stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize("a", [0.5, 1.0, 2.5, 30.0, 700.0])
@pytest.mark.parametrize("b", [0.5, 1.0, 4.0, 55.5])
@pytest.mark.parametrize("x", [0.0, 1e-12, 0.01, 0.3, 0.5, 0.77, 0.999999, 1.0])
def test_incomplete_beta_agrees_with_scipy(a, b, x):
    assert incomplete_beta(a, b, x) == pytest.approx(special.betainc(a, b, x), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("df", [1, 2, 3, 4, 9, 19, 99, 1000])
@pytest.mark.parametrize("t", [1e-9, 0.01, 0.5, 1.0, 2.776, 4.303, 12.7, 60.0, 1e4])
def test_the_tail_agrees_with_scipy(df, t):
    expected = 2 * stats.t.sf(t, df)
    assert two_sided_tail(t, df) == pytest.approx(expected, rel=1e-9, abs=1e-280)
    assert two_sided_tail(-t, df) == two_sided_tail(t, df)


def test_the_ends_of_the_tail():
    assert two_sided_tail(0.0, 5) == 1.0
    assert two_sided_tail(math.inf, 5) == 0.0


@pytest.mark.parametrize("df", [1, 2, 3, 4, 7, 29, 250, 5000])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99, 0.9999])
def test_the_quantile_agrees_with_scipy(df, confidence):
    assert t_quantile(df, confidence=confidence) == pytest.approx(stats.t.ppf(0.5 + confidence / 2, df), rel=1e-9)


@pytest.mark.parametrize(("df", "confidence"), [(0, 0.95), (-1, 0.95), (2, 0.0), (2, 1.0)])
def test_a_quantile_that_does_not_exist_is_refused(df, confidence):
    with pytest.raises(ValueError, match="no t quantile"):
        t_quantile(df, confidence=confidence)


def test_beta_outside_its_domain_is_refused():
    with pytest.raises(ValueError, match=r"x = 1\.5"):
        incomplete_beta(1.0, 1.0, 1.5)
