from __future__ import annotations

from math import inf, isfinite, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

GRADIENT = {"warn": "< 0.2", "fail": "< 0.05"}
STEPS = st.lists(st.integers(0, 60), unique=True, max_size=25).map(sorted)
VALUE = st.sampled_from([0.0, 0.1, 0.5, 1.0, nan, inf])
SERIES = STEPS.flatmap(lambda steps: st.tuples(*(st.tuples(st.just(step), VALUE) for step in steps)))


def levels(found):
    return [(one.level, one.step) for one in found]


@pytest.mark.parametrize(
    ("rule", "series", "expected", "state"),
    [
        (GRADIENT, [(1, 0.3), (2, 0.2)], [], "ok"),
        (GRADIENT, [(1, 0.1), (2, 0.1), (3, 0.01), (4, 0.1)], [("warn", 1), ("fail", 3)], "fail"),
        (GRADIENT, [(1, 0.01), (2, 0.1), (3, 0.01)], [("fail", 1)], "fail"),
        (GRADIENT, [], [], "not_measured"),
        ({"warn": "> 0.7", "fail": "< 0.1"}, [(1, 0.8), (2, 0.05)], [("warn", 1), ("fail", 2)], "fail"),
        (GRADIENT | {"from_step": 2}, [(1, 0.0)], [], "not_measured"),
        (GRADIENT | {"from_step": 2}, [(2, 0.0)], [("fail", 2)], "fail"),
        (GRADIENT | {"until_step": 2}, [(2, 0.0)], [("fail", 2)], "fail"),
        (GRADIENT | {"until_step": 2}, [(2, 0.5), (3, 0.0)], [], "ok"),
        (GRADIENT | {"stays": 50}, [(10, 0.0), (59, 0.0)], [], "ok"),
        (GRADIENT | {"stays": 50}, [(10, 0.0), (60, 0.0)], [("fail", 60)], "fail"),
        (GRADIENT | {"stays": 50}, [(10, 0.0), (59, 0.3), (60, 0.0), (109, 0.0)], [], "ok"),
        # Half of the streak is only in the warn band: it holds, and fail starts later.
        (GRADIENT | {"stays": 5}, [(0, 0.1), (3, 0.0), (5, 0.0), (8, 0.0)], [("warn", 5), ("fail", 8)], "fail"),
        # What came before from_step does not count towards stays.
        (GRADIENT | {"stays": 5, "from_step": 5}, [(0, 0.0), (5, 0.0), (9, 0.0)], [], "ok"),
        (GRADIENT | {"within": 10}, [(0, 0.0), (5, 0.3), (10, 0.0), (99, 0.0)], [], "ok"),
        (GRADIENT | {"within": 10}, [(0, 0.0), (9, 0.0)], [], "not_measured"),
        (GRADIENT | {"within": 10}, [(0, 0.0), (9, 0.0), (10, 0.3)], [], "ok"),
        (GRADIENT | {"within": 10}, [(0, 0.0), (12, 0.1), (13, 0.0)], [("warn", 12)], "warn"),
        (GRADIENT | {"within": 10}, [(0, 0.1), (12, 0.0), (13, 0.3)], [("warn", 12)], "warn"),
        (GRADIENT | {"within": 10, "from_step": 5}, [(3, 0.5), (14, 0.0), (15, 0.0)], [("fail", 15)], "fail"),
        (GRADIENT | {"within": 0}, [(4, 0.0)], [("fail", 4)], "fail"),
    ],
)
def test_what_fires_and_when(watch, rule, series, expected, state):
    found, row = watch(rule, series)
    assert levels(found) == expected
    assert row["state"] == state


@pytest.mark.parametrize("odd", [nan, inf, -inf])
@pytest.mark.parametrize("band", ["< 0.05", "> 5", "nonfinite"])
def test_a_value_that_is_not_finite_breaks_every_band_and_is_named(watch, odd, band):
    (found,), _ = watch({"fail": band, "diagnosis": "Too small."}, [(7, odd)])
    name = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(odd)]
    assert found.value == name
    if band == "nonfinite":
        assert found.diagnosis == "Too small."
    else:
        assert found.diagnosis.startswith(f"At step 7 m was {name}")
        assert found.diagnosis.endswith("Too small.")


def test_a_nan_inside_a_streak_is_named_though_the_last_value_is_finite(watch):
    (found,), _ = watch({"fail": "< 0.05", "stays": 4}, [(1, 0.0), (3, nan), (4, inf), (5, 0.01)])
    assert (found.value, found.window) == (0.01, (1, 5))
    assert found.diagnosis.startswith("At step 3 m was NaN")
    (found,), _ = watch({"fail": "< 0.05", "stays": 4}, [(1, nan), (2, 0.5), (3, 0.0), (7, 0.0)])
    assert found.diagnosis == ""


def test_within_names_the_nan_that_decided(watch):
    (found,), _ = watch({"fail": "< 0.05", "within": 5}, [(1, 0.0), (6, nan)])
    assert (found.value, found.window) == ("NaN", (0, 6))
    assert found.diagnosis.startswith("At step 6 m was NaN")
    (found,), _ = watch({"fail": "nonfinite", "within": 5, "diagnosis": "No start."}, [(1, inf), (6, nan)])
    assert (found.value, found.diagnosis) == ("NaN", "No start.")


def breaks(band, value):
    return not isfinite(value) or (value < float(band[2:]) if band[0] == "<" else value > float(band[2:]))


@given(SERIES, st.integers(0, 20), st.integers(0, 30), st.integers(0, 60))
def test_stays_agrees_with_looking_back_over_the_whole_series(watch, series, stays, first, length):
    """The oracle: at a step, look for an earlier bad value so far back with nothing good since."""
    if stays > length:
        return
    rule = {"fail": "< 0.3", "stays": stays, "from_step": first, "until_step": first + length}
    found, _ = watch(rule, series)
    seen = [(step, value) for step, value in series if first <= step <= first + length]
    fires = [
        now
        for end, (now, _) in enumerate(seen)
        if any(
            now - then >= stays and all(breaks("< 0.3", value) for _, value in seen[start : end + 1])
            for start, (then, _) in enumerate(seen[: end + 1])
        )
    ]
    assert levels(found) == [("fail", step) for step in fires[:1]]


@given(SERIES, st.integers(0, 30), st.integers(0, 30))
def test_within_agrees_with_looking_at_the_whole_series(watch, series, first, within):
    found, row = watch({"warn": "< 0.7", "fail": "< 0.3", "from_step": first, "within": within}, series)
    seen = [(step, value) for step, value in series if step >= first]
    late = [step for step, _ in seen if step >= first + within]
    counted = [value for step, value in seen if not late or step <= late[0]]
    stuck = [level for level, band in (("fail", "< 0.3"), ("warn", "< 0.7")) if all(breaks(band, v) for v in counted)]
    if late and stuck:
        assert levels(found) == [(stuck[0], late[0])]
    else:
        assert not found
        assert row["state"] == ("ok" if counted and not stuck else "not_measured")
