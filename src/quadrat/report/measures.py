"""The numbers of a study as plain rows: each metric by condition, each condition against its baseline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from quadrat.analyze.declaration import Condition, is_reference
from quadrat.analyze.rows import MEASURING, Row
from quadrat.analyze.stats import Estimate, Method, t_interval
from quadrat.analyze.table import Comparison, StudyTable
from quadrat.report.settings import place


def measured(table: StudyTable, metrics: Iterable[str]) -> list[dict[str, Any]]:
    """One row per metric and condition that has it."""
    groups = table.conditions()
    return [
        _row(table, condition, groups[condition], metric=metric, estimate=estimate)
        for metric in metrics
        for condition, estimate in table.by_condition(metric)
    ]


def yardsticks(table: StudyTable) -> list[dict[str, Any]]:
    """The oracles and trivial answers; one that is the same in every run is one row, for the condition ``all``."""
    found: list[dict[str, Any]] = []
    for metric in filter(is_reference, table.metrics()):
        values = [row.value(metric) for row in table.rows if row.status in MEASURING and metric in row.final]
        estimate = t_interval(values)
        if estimate.method in (Method.NO_VARIATION, Method.ONE) and estimate.failed == 0:
            head = {"metric": metric, "stage": None, "condition": "all", "oracle": True}
            found.append({**head, **plain_estimate(estimate), "by_seed": []})
        else:
            found += measured(table, [metric])
    return found


def _row(
    table: StudyTable, condition: Condition, rows: Sequence[Row], *, metric: str, estimate: Estimate
) -> dict[str, Any]:
    seeds = [
        {
            "seed": row.seed,
            "run": row.declared.place,
            "status": str(row.status),
            "value": value,
            "last": row.final.get(metric),
        }
        for row, value in zip(rows, estimate.values, strict=True)
    ]
    return {
        "metric": metric,
        "stage": condition.stage,
        "condition": place(table, condition),
        "oracle": is_reference(metric),
        **plain_estimate(estimate),
        "by_seed": seeds,
    }


def plain_estimate(estimate: Estimate) -> dict[str, Any]:
    """An estimate as plain data. ``values`` holds the measured ones only; ``n`` counts the others too."""
    level = f" {100 * estimate.confidence:g} %" if estimate.method is Method.T else ""
    return {
        "n": estimate.n,
        "measured": estimate.measured,
        "mean": estimate.mean,
        "sd": estimate.sd,
        "low": estimate.low,
        "high": estimate.high,
        "method": f"{estimate.method}{level}",
        "values": list(estimate.finite),
    }


def compared(table: StudyTable) -> list[dict[str, Any]]:
    """Every declared comparison; all of them together are the family that Holm's p is adjusted over."""
    return [_comparison(table, found) for found in table.against_baseline()]


def _comparison(table: StudyTable, found: Comparison) -> dict[str, Any]:
    estimate = plain_estimate(found.result.difference)
    difference = estimate.pop("mean")
    return {
        "metric": found.metric,
        "stage": found.condition.stage,
        "condition": place(table, found.condition),
        "baseline": place(table, found.baseline),
        **estimate,
        "difference": difference,
        "t": found.result.t,
        "p": found.result.p,
        "p_holm": found.p_holm,
        "family": found.family,
    }
