"""Estimates over seeds: what they count, what they claim, and that the claim holds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadrat.analyze.stats import Method, holm, paired, t_interval, wilson

stats = pytest.importorskip("scipy.stats")
NAN, INF = math.nan, math.inf


def test_three_values_get_a_t_interval():
    values = [0.41, 0.45, 0.38]
    found = t_interval(values)
    low, high = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert (found.n, found.failed, found.measured, found.method) == (3, 0, 3, Method.T)
    assert found.mean == pytest.approx(np.mean(values))
    assert found.sd == pytest.approx(np.std(values, ddof=1))
    assert (found.low, found.high) == (pytest.approx(low, rel=1e-9), pytest.approx(high, rel=1e-9))
    assert found.basis == "t interval 95 %"


def test_the_interval_holds_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(7)
    for n in (3, 5, 10):
        draws = rng.normal(0.3, 2.0, size=(2000, n))
        found = [t_interval(row) for row in draws]
        coverage = np.mean([estimate.low <= 0.3 <= estimate.high for estimate in found])
        # Four standard errors of a share of 0.95 over 2000 draws are 0.02.
        assert coverage == pytest.approx(0.95, abs=0.02), f"n = {n}"


def test_a_normal_quantile_in_place_of_t_would_be_caught_by_the_coverage_test():
    rng = np.random.default_rng(7)
    draws = rng.normal(0.3, 2.0, size=(4000, 3))
    half = 1.96 * draws.std(axis=1, ddof=1) / math.sqrt(3)
    assert np.mean(np.abs(draws.mean(axis=1) - 0.3) <= half) < 0.85


@pytest.mark.parametrize(
    ("values", "method"),
    [
        ([], Method.NONE),
        ([NAN, NAN], Method.NONE),
        ([0.5], Method.ONE),
        ([0.5, NAN, NAN], Method.ONE),
        ([0.5, 0.6], Method.VALUES),
        ([0.5, 0.6, NAN], Method.VALUES),
        ([0.5, 0.5], Method.NO_VARIATION),
        ([0.1] * 5, Method.NO_VARIATION),
    ],
)
def test_no_interval_without_three_values_that_vary(values, method):
    found = t_interval(values)
    assert found.method is method
    assert not found.has_interval
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_identical_values_keep_their_exact_mean():
    found = t_interval([0.1, 0.1, 0.1])
    assert (found.mean, found.sd) == (0.1, 0.0)


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_a_run_without_a_finite_value_counts_and_is_told(bad):
    found = t_interval([0.4, bad, 0.5, 0.6])
    assert (found.n, found.failed, found.measured) == (4, 1, 3)
    assert found.is_partial
    assert found.mean == pytest.approx(0.5)
    assert found.method is Method.T
    assert found.basis == "t interval 95 %, 3 of 4 measured"
    assert len(found.values) == 4
    assert found.finite == (0.4, 0.5, 0.6)


def test_more_confidence_is_wider():
    narrow, wide = t_interval([1, 2, 3], confidence=0.9), t_interval([1, 2, 3], confidence=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high
    assert wide.basis == "t interval 99 %"


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=8))
def test_no_list_of_floats_breaks_an_estimate(values):
    found = t_interval(values)
    assert found.n == len(values)
    assert found.n == found.failed + len(found.finite)
    if found.has_interval:
        assert found.low <= found.mean <= found.high


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (3, 3), (499, 1000)])
def test_wilson_agrees_with_scipy(hits, n):
    found = wilson(hits, n)
    expected = stats.binomtest(hits, n).proportion_ci(method="wilson")
    assert found.low == pytest.approx(expected.low, abs=1e-12)
    assert found.high == pytest.approx(expected.high, abs=1e-12)
    assert 0.0 <= found.low <= found.share <= found.high <= 1.0


def test_wilson_of_nothing_knows_nothing():
    found = wilson(0, 0)
    assert math.isnan(found.share)
    assert (found.low, found.high) == (0.0, 1.0)


@pytest.mark.parametrize(("hits", "n"), [(-1, 3), (4, 3), (0, -1)])
def test_wilson_refuses_what_is_no_proportion(hits, n):
    with pytest.raises(ValueError, match="hits"):
        wilson(hits, n)


def test_paired_differences_agree_with_scipy():
    a, b = {42: 0.81, 123: 0.84, 456: 0.90}, {42: 0.70, 123: 0.79, 456: 0.78}
    found = paired(a, b)
    test = stats.ttest_rel(list(a.values()), list(b.values()))
    interval = test.confidence_interval()
    assert found.pairs == 3
    assert found.t == pytest.approx(test.statistic)
    assert found.p == pytest.approx(test.pvalue, rel=1e-9)
    assert found.difference.low == pytest.approx(interval.low)
    assert found.difference.high == pytest.approx(interval.high)


def test_pairs_are_made_by_seed_and_not_by_order():
    forward = paired({1: 1.0, 2: 5.0, 3: 9.5}, {1: 0.9, 2: 4.7, 3: 9.0})
    shuffled = paired({3: 9.5, 1: 1.0, 2: 5.0}, {2: 4.7, 3: 9.0, 1: 0.9})
    assert forward == shuffled
    assert forward.p is not None
    assert forward.p < 0.2  # unpaired these arms could not be told apart


def test_a_seed_that_one_side_lacks_is_counted_and_not_paired():
    found = paired({1: 0.5, 2: 0.6, 3: 0.7, 4: NAN}, {1: 0.4, 2: 0.45, 3: 0.5, 4: 0.5, 5: 0.5})
    assert found.seeds == (1, 2, 3, 4, 5)
    assert (found.difference.n, found.pairs, found.difference.failed) == (5, 3, 2)
    assert math.isnan(found.difference.values[3])
    assert math.isnan(found.difference.values[4])


def test_two_pairs_are_values_without_a_test():
    found = paired({1: 0.5, 2: 0.7}, {1: 0.4, 2: 0.5})
    assert found.p is None
    assert found.difference.method is Method.VALUES


def test_differences_that_differ_by_rounding_alone_do_not_vary():
    # 0.3 - 0.2 and 1.1 - 1.0 differ in the last bits; a t test on those would claim p = 1e-30.
    found = paired({1: 0.3, 2: 1.1, 3: 0.7}, {1: 0.2, 2: 1.0, 3: 0.6})
    assert len(set(found.difference.values)) > 1
    assert found.difference.method is Method.NO_VARIATION
    assert found.p is None
    assert found.difference.mean == pytest.approx(0.1)


def test_infinity_on_both_sides_is_no_difference():
    found = paired({1: INF, 2: 1.0}, {1: INF, 2: 0.5})
    assert found.pairs == 1


def test_holm_agrees_with_the_textbook():
    # Ordered 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, then made monotone.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_counts_the_comparisons_that_could_not_be_tested():
    assert holm([0.01, None, 0.02]) == [pytest.approx(0.03), None, pytest.approx(0.04)]


def test_holm_of_one_changes_nothing_and_never_passes_one():
    assert holm([0.03]) == [0.03]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_keeps_the_false_alarms_of_a_whole_family_in_bounds():
    rng = np.random.default_rng(3)
    families = rng.uniform(size=(4000, 8))
    alarms = np.mean([min(holm(list(row))) < 0.05 for row in families])
    assert alarms == pytest.approx(0.05, abs=0.014)
