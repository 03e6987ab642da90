from __future__ import annotations

from math import nan

import pytest

RISE = {"trend": {"window": 20, "against": 80, "fail": "<= 0"}}


def line(slope, last=100):
    return [(step, slope * step) for step in range(1, last + 1)]


@pytest.mark.parametrize(
    ("trend", "slope", "state"),
    [
        ({"fail": "<= 0"}, 0.01, "ok"),
        ({"fail": "<= 0"}, 0.0, "fail"),
        ({"fail": "<= 0"}, -0.01, "fail"),
        ({"fail": "> -0.01"}, -0.01, "ok"),
        ({"fail": "> -0.01"}, 0.0, "fail"),
        ({"warn": "< 1", "fail": "< 0.1"}, 0.01, "warn"),
        ({"fail": "< 0.5"}, 0.01, "ok"),
        ({"fail": "< 0.501"}, 0.01, "fail"),
    ],
)
def test_the_difference_of_the_means_is_held_against_the_bands(watch, trend, slope, state):
    found, row = watch({"trend": {"window": 20, "against": 80} | trend}, line(slope))
    assert row["state"] == state
    assert [one.step for one in found] == ([] if state == "ok" else [100])


def test_the_finding_names_both_windows_and_all_steps_that_went_in(watch):
    (found,), _ = watch(RISE, line(-0.01))
    assert found.threshold == "mean of the last 20 steps minus mean of the 80 before <= 0"
    assert found.value == pytest.approx(-0.5)
    assert found.window == (1, 100)
    (found,), _ = watch(RISE | {"stays": 50}, line(-0.01, last=200))
    assert (found.step, found.window) == (150, (1, 150))


def test_windows_that_never_fill_are_not_measured(watch):
    found, row = watch(RISE, line(-0.01, last=99))
    assert not found
    assert (row["state"], row["value"]) == ("not_measured", None)


def test_from_step_and_until_step_bound_what_goes_in(watch):
    series = [(step, 1.0 if step < 10 else 0.1 if step < 13 else 0.2) for step in range(20)]
    flat = {"trend": {"window": 3, "against": 3, "fail": "<= 0"}}
    found, _ = watch(flat, series)
    assert found[0].step == 5
    found, row = watch(flat | {"from_step": 10, "until_step": 15}, series)
    assert not found
    assert row["value"] == pytest.approx(0.1)


def test_within_applies_to_the_difference(watch):
    late = {"trend": {"window": 5, "against": 5, "fail": "<= 0"}, "within": 30}
    flat = [(step, 0.5) for step in range(40)]
    found, _ = watch(late, flat)
    assert [one.step for one in found] == [30]
    found, row = watch(late, [*flat[:20], (20, 0.6), *flat[21:]])
    assert not found
    assert row["state"] == "ok"


def test_a_nan_in_a_window_breaks_the_trend_and_is_named(watch):
    (found,), _ = watch(RISE | {"diagnosis": "Flat."}, [*line(0.01, last=98), (99, nan), (100, 1.0)])
    assert (found.step, found.value) == (100, "NaN")
    assert found.diagnosis == "At step 100 the change was NaN, and what is not finite counts as breaking. Flat."
