from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadrat.health.conditions import parse_condition

FINITE = st.floats(allow_nan=False, allow_infinity=False)
OPS = st.sampled_from(["<", "<=", ">", ">="])


@pytest.mark.parametrize(
    ("written", "text", "bad", "good"),
    [
        ("< 0.2", "< 0.2", [0.1999, -1.0], [0.2, 0.3]),
        ("<=0.2", "<= 0.2", [0.2, 0.1], [0.2001]),
        (" >  1e-3 ", "> 1e-3", [0.0011], [0.001, -5.0]),
        (">= -.5", ">= -.5", [-0.5, 0.0], [-0.51]),
        ("> 3.", "> 3.", [3.5], [3.0]),
        ("nonfinite", "nonfinite", [], [0.0, 1e308, -1e308]),
        ("in [0.35,0.5]", "in [0.35, 0.5]", [0.35, 0.4, 0.5], [0.349, 0.501]),
        ("in (0.35, 0.5)", "in (0.35, 0.5)", [0.36], [0.35, 0.5]),
        (" outside [0.2, .5] ", "outside [0.2, .5]", [0.19, 0.51], [0.2, 0.3, 0.5]),
        ("outside (0.2, 0.5]", "outside (0.2, 0.5]", [0.2, 0.51], [0.21, 0.5]),
    ],
)
def test_a_condition_says_what_is_bad(written, text, bad, good):
    condition = parse_condition(written)
    assert condition is not None
    assert condition.text == text
    assert all(condition.breaks(value) for value in [*bad, nan, inf, -inf])
    assert not any(condition.breaks(value) for value in good)


@pytest.mark.parametrize(
    "written",
    [
        "0.2",
        "< ",
        "=< 1",
        "== 1",
        "!= 1",
        "< nan",
        "> inf",
        "< 1e999",
        "< 1_0",
        "< 1 < 2",
        "finite",
        "in [1, 1]",
        "in [2, 1]",
        "in 1, 2",
        "in [1, nan]",
        "between [1, 2]",
        "",
        0.2,
        True,
        None,
        ["< 1"],
    ],
)
def test_anything_else_is_no_condition(written):
    assert parse_condition(written) is None


@given(OPS, FINITE, OPS, FINITE, st.lists(FINITE))
def test_a_covering_band_breaks_wherever_the_covered_one_does(op, limit, other_op, other_limit, values):
    wide, narrow = parse_condition(f"{op} {limit!r}"), parse_condition(f"{other_op} {other_limit!r}")
    assert wide is not None
    assert narrow is not None
    if wide.covers(narrow):
        assert all(wide.breaks(value) for value in [*values, limit, other_limit] if narrow.breaks(value))
    elif op[0] == other_op[0]:  # then the other way round, and strictly wider
        assert narrow.covers(wide)


def test_opposite_bands_do_not_cover_each_other_and_every_band_covers_nonfinite():
    low, high, odd = (parse_condition(text) for text in ("< 0.1", "> 0.7", "nonfinite"))
    assert not low.covers(high)
    assert not high.covers(low)
    assert low.covers(odd)
    assert odd.covers(odd)
    assert not odd.covers(low)
    assert not parse_condition("< 0.1").covers(parse_condition("<= 0.1"))
    assert parse_condition("<= 0.1").covers(parse_condition("< 0.1"))
    ring, wide = parse_condition("outside [0.2, 0.5]"), parse_condition("outside [0.3, 0.4]")
    assert wide.covers(ring) and not ring.covers(wide)
    assert wide.covers(parse_condition("> 0.5")) and not wide.covers(parse_condition("in [0.2, 0.3]"))
