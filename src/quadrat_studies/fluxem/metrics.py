"""Scores as pure functions of prediction rows. Nothing here has seen a model.

A prediction row is ``{"id", "text", "target", "prediction", "operations", "carries"}``; target and prediction
are text. An answer that is not an integer counts as infinitely wrong; it is never dropped. Rows about units have other
fields and other scores, those of ``units_metrics``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from quadrat_studies.fluxem import units_metrics
from quadrat_studies.fluxem.problems import OPERATION_NAMES
from quadrat_studies.fluxem.units_questions import is_about_units

MOST_CARRIES = 3
_INTEGER = re.compile(r"-?[0-9]+")

Row = Mapping[str, Any]


def prediction_rows(rows: Sequence[Row], predictions: Sequence[str]) -> list[dict[str, Any]]:
    """The file that every score is computed from: split rows joined with what was answered."""
    if rows and is_about_units(rows[0]):
        return units_metrics.prediction_rows(rows, predictions)
    return [
        {
            "id": row["id"],
            "text": row["text"],
            "target": row["target_text"],
            "prediction": prediction,
            "operations": "".join(row["operations"]),
            "carries": row["carries"],
        }
        for row, prediction in zip(rows, predictions, strict=True)
    ]


def score(rows: Sequence[Row], prefix: str) -> dict[str, float]:
    """Every score of one split, named ``prefix/...``."""
    if rows and is_about_units(rows[0]):
        return units_metrics.score(rows, prefix)
    exact = np.array([row["prediction"] == row["target"] for row in rows], dtype=float)
    errors = np.array([relative_error(row["prediction"], row["target"]) for row in rows])
    values = {
        "exact_match": float(exact.mean()),
        "parse_rate": float(np.mean([parse(row["prediction"]) is not None for row in rows])),
        # No interpolation between order statistics: half-way to infinity is not a number.
        "relative_error_median": float(np.quantile(errors, 0.5, method="inverted_cdf")),
        "relative_error_p90": float(np.quantile(errors, 0.9, method="inverted_cdf")),
        "within_one_percent": float(np.mean(errors < 0.01)),
    }
    for stratum, members in strata(rows).items():
        values[f"exact_match_{stratum}"] = float(exact[members].mean())
    return {f"{prefix}/{name}": value for name, value in values.items()}


def strata(rows: Sequence[Row]) -> dict[str, list[int]]:
    """Row numbers by operation, by carries (sums) and borrows (differences), and by operations in a chain."""
    found: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        if len(row["operations"]) > 1:
            found[f"{len(row['operations'])}_ops"].append(index)
            continue
        found[OPERATION_NAMES[row["operations"]]].append(index)
        if row["carries"] is not None:
            word = "carries" if row["operations"] == "+" else "borrows"
            more = "_or_more" if row["carries"] >= MOST_CARRIES else ""
            found[f"{word}_{min(row['carries'], MOST_CARRIES)}{more}"].append(index)
    return dict(sorted(found.items()))


def relative_error(prediction: str, target: str) -> float:
    """``|prediction - target| / max(|target|, 1)``; infinite when the prediction is not an integer."""
    value, truth = parse(prediction), int(target)
    if value is None:
        return float("inf")
    # Integer true division is correctly rounded and overflows only beyond 1e308.
    return abs(value - truth) / max(abs(truth), 1)


def parse(text: str) -> int | None:
    """The integer that ``text`` is, whole and nothing else, or None."""
    return int(text) if _INTEGER.fullmatch(text) else None
