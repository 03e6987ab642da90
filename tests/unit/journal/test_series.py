"""Rows as arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from quadrat.journal.series import build_series


def row(step: Any, **values: Any) -> dict[str, Any]:
    return {"step": step, "metrics": values}


def test_each_metric_gets_its_own_steps() -> None:
    rows = [row(1, a=1.0, b=2), row(2, a=3.0), row(3, b=4.0), row(4, b=5.0, a=6.0), row(5, a=7.0, b=8.0)]
    series, bad = build_series(rows)
    assert bad == 0
    assert series["a"].steps.tolist() == [1, 2, 4, 5]
    assert series["a"].values.tolist() == [1.0, 3.0, 6.0, 7.0]
    assert series["b"].steps.tolist() == [1, 3, 4, 5]
    assert series["b"].values.tolist() == [2.0, 4.0, 5.0, 8.0]
    assert (series["a"].steps.dtype, series["a"].values.dtype) == (np.int64, np.float64)
    assert len(series["a"]) == 4


def test_names_of_non_finite_numbers_are_numbers() -> None:
    series, bad = build_series([row(1, a="NaN"), row(2, a="Infinity"), row(3, a="-Infinity"), row(4, a=1)])
    assert bad == 0
    assert math.isnan(series["a"].values[0])
    assert series["a"].values[1:].tolist() == [math.inf, -math.inf, 1.0]


def test_steps_that_go_back_keep_the_order_of_the_file() -> None:
    series, _ = build_series([row(5, a=1.0), row(3, a=2.0, b=0.0), row(4, a=3.0)])
    assert series["a"].steps.tolist() == [5, 3, 4]


@pytest.mark.parametrize("wrong", ["high", None, [1, 2], {"x": 1}, 10**400])
def test_a_value_that_is_no_number_is_counted_and_costs_no_other(wrong: Any) -> None:
    series, bad = build_series([row(1, a=1.0, b=1.0), row(2, a=wrong, b=2.0), row(3, a=3.0, b=3.0)])
    assert bad == 1
    assert series["a"].steps.tolist() == [1, 3]
    assert series["b"].values.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("wrong", [{}, {"step": 1}, {"step": "1", "metrics": {}}, row(2**64, a=1.0)])
def test_a_row_that_is_no_metrics_row_is_counted(wrong: dict[str, Any]) -> None:
    series, bad = build_series([wrong, row(1, a=1.0)])
    assert bad == 1
    assert series["a"].steps.tolist() == [1]
