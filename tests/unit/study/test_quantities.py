from __future__ import annotations

import math

import pytest

from quadrat.study.quantities import Comparison, Demand, Policy, parse_size


@pytest.mark.parametrize(
    ("text", "unit", "count"),
    [
        ("50 epochs", "epochs", 50),
        ("1 epoch", "epochs", 1),
        ("200 steps", "steps", 200),
        ("200steps", "steps", 200),
        ("30 seconds", "seconds", 30),
        ("2 minutes", "seconds", 120),
        ("1.5 hours", "seconds", 5400),
        ("0.5 seconds", "seconds", 0.5),
    ],
)
def test_policies(text: str, unit: str, count: float):
    assert Policy.parse(text) == Policy(unit, count)


@pytest.mark.parametrize(
    "text", ["50", "0 steps", "1.5 epochs", "-2 steps", "2 days", "steps", "", "9e9 steps", "5 stepss"]
)
def test_no_policies(text: str):
    with pytest.raises(ValueError, match="should be"):
        Policy.parse(text)


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("> 0.90", 0.9, False),
        (">= 0.90", 0.9, True),
        ("< 1e-3", 9e-4, True),
        ("<= -1", -1, True),
        ("<0.5", 0.5, False),
        ("> 0", math.nan, False),
        ("< 0", math.nan, False),
        (">= .5", math.inf, True),
    ],
)
def test_comparisons(text: str, value: float, holds: bool):
    assert Comparison.parse(text).holds(value) is holds


def test_a_comparison_says_which_way_is_better():
    assert Comparison.parse("> 0").goal == "max"
    assert Comparison.parse("<= 0").goal == "min"
    assert str(Comparison.parse(">=0.05")) == ">= 0.05"


@pytest.mark.parametrize("text", ["0.9", "> x", "=> 3", "> 90%", "== 1", "", ">"])
def test_no_comparisons(text: str):
    with pytest.raises(ValueError, match="comparison"):
        Comparison.parse(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2 GiB", 2 << 30),
        ("500 MB", 500_000_000),
        ("1.5 KiB", 1536),
        ("3B", 3),
        (17, 17),
        ("1 Gi", 1 << 30),
        ("2 TB", 2 * 10**12),
    ],
)
def test_sizes(text: str | int, size: int):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["2", "2 potatoes", "-1 GB", "", "GiB", -1, True])
def test_no_sizes(text: str | int):
    with pytest.raises(ValueError, match="should be a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "metric", "comparison"),
    [
        ("test/acc >= 0.5", "test/acc", ">= 0.5"),
        ("  loss<1e-3 ", "loss", "< 0.001"),
        ("grad/encoder / grad/total > .1", "grad/encoder / grad/total", "> 0.1"),
    ],
)
def test_demands(text: str, metric: str, comparison: str):
    found = Demand.parse(text)
    assert (found.metric, str(found.comparison)) == (metric, comparison)
    assert str(found) == f"{metric} {comparison}"


@pytest.mark.parametrize("text", ["", "acc", ">= 0.5", "acc >= high", "acc = 1", "acc > 1 > 2", " > 1"])
def test_no_demands(text: str):
    with pytest.raises(ValueError, match="a metric and a comparison"):
        Demand.parse(text)
