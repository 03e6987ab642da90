"""The sums of a run: right, and a pure function of its rows."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import pytest

from quadrat.journal.atomic import dumps
from quadrat.journal.ndjson import encode_metrics
from quadrat.journal.summary import summarize


def rows(*pairs: tuple[int, dict[str, Any]]) -> list[dict[str, Any]]:
    return [json.loads(encode_metrics(step, values)) for step, values in pairs]


def test_every_number_of_a_small_run() -> None:
    made = summarize(
        rows(
            (10, {"loss": 2.0, "acc": 0.5}),
            (20, {"loss": 1.0}),
            (30, {"loss": math.nan, "acc": 0.5}),
            (40, {"loss": 3.0}),
        )
    )
    assert made == {
        "schema": 1,
        "final": {"loss": 3.0, "acc": 0.5},
        "best": {
            "loss": {"min": 1.0, "min_step": 20, "max": 3.0, "max_step": 40},
            "acc": {"min": 0.5, "min_step": 10, "max": 0.5, "max_step": 10},
        },
        "summary": {
            "loss": {"n": 4, "mean": 2.0, "nonfinite": 1, "first": 2.0, "last_step": 40},
            "acc": {"n": 2, "mean": 0.5, "nonfinite": 0, "first": 0.5, "last_step": 30},
        },
        "rows": 4,
        "last_step": 40,
    }


def test_a_metric_that_was_never_finite_has_no_best() -> None:
    made = summarize(rows((1, {"a": math.nan}), (2, {"a": math.inf})))
    assert made["final"] == {"a": "Infinity"}
    assert made["best"] == {}
    assert made["summary"]["a"] == {"n": 2, "mean": None, "nonfinite": 2, "first": "NaN", "last_step": 2}


def test_nothing_comes_to_nothing() -> None:
    assert summarize([]) == {"schema": 1, "final": {}, "best": {}, "summary": {}, "rows": 0, "last_step": 0}


def test_the_mean_is_right_where_a_plain_sum_is_not() -> None:
    values = [1e16, 1.0, -1e16, 1.0] * 250
    made = summarize(rows(*enumerate({"a": value} for value in values)))
    assert made["summary"]["a"]["mean"] == pytest.approx(0.5)
    generator = random.Random(3)
    values = [generator.uniform(-1, 1) for _ in range(2000)]
    made = summarize(rows(*enumerate({"a": value} for value in values)))
    assert made["summary"]["a"]["mean"] == pytest.approx(math.fsum(values) / 2000, rel=1e-15)


def test_a_mean_beyond_floats_is_not_claimed() -> None:
    made = summarize(rows((1, {"a": 1.7e308}), (2, {"a": 1.7e308})))
    assert made["summary"]["a"]["mean"] is None
    assert made["best"]["a"]["max"] == 1.7e308


def test_what_is_no_metrics_row_is_passed_over() -> None:
    good = rows((1, {"a": 1.0}))
    bad = [{}, {"step": "x", "metrics": {}}, {"step": 3, "metrics": [1]}, {"step": 4, "metrics": {"b": "high"}}]
    made = summarize([*bad, *good])
    assert made["final"] == {"a": 1.0}
    assert "b" not in made["summary"]


def test_equal_rows_give_equal_bytes() -> None:
    some = rows((1, {"b": 0.1, "a": math.nan}), (2, {"a": 0.3, "b": 2}))
    assert dumps(summarize(some)) == dumps(summarize(iter(json.loads(json.dumps(some)))))
