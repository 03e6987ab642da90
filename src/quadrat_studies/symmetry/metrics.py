"""Scores as pure functions of predictions. Nothing here has seen a model.

A prediction is the symbol with the highest logit at the last position. On sequences with the held-out pair it may be
the composite answer, the symmetric one, or neither; on the same rows, so the two never add up to more than 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from quadrat_studies.symmetry.rows import Rows
from quadrat_studies.symmetry.tasks import HELD_OUT, FunctionTask, Ints

TRACKED: Mapping[str, tuple[str, ...]] = {
    "composite": ("test/composite_acc", "test/symmetric_acc"),
    "fully_symmetric": ("test/mirror_acc", "test/unseen_acc"),
    "inverse": ("test/acc", "ood/acc"),
}
"""What the best value over training is kept of, by task."""


def accuracy(predictions: Ints, rows: Rows) -> float:
    """Share of rows answered with their label."""
    return float((predictions == rows.labels).mean())


def held_out_scores(task: FunctionTask, rows: Rows, predictions: Ints) -> dict[str, float]:
    """Shares of composite, symmetric and other answers to the held-out pair."""
    keys = rows.keys
    composite = float((predictions == task.answers(HELD_OUT, keys)).mean())
    symmetric = float((predictions == task.symmetric(keys)).mean())
    if composite + symmetric > 1.0 + 1e-12:
        raise AssertionError(f"composite ({composite}) and symmetric ({symmetric}) answers exclude each other")
    other = float(1.0 - composite - symmetric)
    return {"composite_acc": composite, "symmetric_acc": symmetric, "other_acc": max(other, 0.0)}


def pair_rows(task: FunctionTask, splits: Mapping[str, Rows], predictions: Mapping[str, Ints]) -> list[dict[str, Any]]:
    """One row for each pair of a function task: how many test sequences, and how many were answered with the label."""
    table: list[dict[str, Any]] = []
    for pair in task.pairs:
        split = "held_out" if pair == HELD_OUT else "test"
        rows = splits[split]
        here = (rows.array[:, -3] == pair[0]) & (rows.array[:, -2] == pair[1])
        hits = predictions[split][here] == rows.labels[here]
        share = float(hits.mean()) if len(hits) else float("nan")
        table.append(
            {"pair": f"{pair[0]}{pair[1]}", "held_out": pair == HELD_OUT, "rows": len(hits), "accuracy": share}
        )
    return table


def run_class(composite: float, symmetric: float, *, threshold: float) -> str:
    """``composite``, ``symmetric``, ``both`` or ``neither``."""
    match composite >= threshold, symmetric >= threshold:
        case True, True:
            return "both"
        case True, False:
            return "composite"
        case False, True:
            return "symmetric"
        case _:
            return "neither"


def short_name(metric: str) -> str:
    """A metric's name in a summary: ``test/composite_acc`` is ``composite_acc``, ``ood/acc`` is ``ood_acc``."""
    split, _, name = metric.partition("/")
    return name if split == "test" and name not in ("acc", "loss") else f"{split}_{name}"


def wilson(hits: int, count: int, *, z: float = 1.959964) -> tuple[float, float]:
    """The Wilson interval of a share (0.95 by default)."""
    if count == 0:
        return 0.0, 1.0
    share, spread = hits / count, z * z / count
    middle = (share + spread / 2) / (1 + spread)
    half = z * np.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return float(middle - half), float(middle + half)
