"""What a person wants to look at after a run: wrong answers by kind, and the scores in the layout of seed 004.

Both are pure functions of prediction rows, as ``metrics`` makes them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from quadrat_studies.fluxem import units_metrics
from quadrat_studies.fluxem.config import ModelConfig
from quadrat_studies.fluxem.metrics import parse, relative_error, score
from quadrat_studies.fluxem.units_questions import is_about_units

EXAMPLES = 5
SEED_NAMES = {
    "exact_match": ("exact_match",),
    "numeric_accuracy_1pct": ("within_one_percent", "value_within_one_percent"),
    "median_relative_error": ("relative_error_median", "value_error_median"),
    "boolean_accuracy": ("boolean_accuracy",),
    "dimensional_correctness": ("dimension_correct",),
}
"""The seed's metrics, and what they are called here: about arithmetic, about units."""

Predictions = Mapping[str, Sequence[Mapping[str, Any]]]
"""Prediction rows by split."""


def model_name(config: ModelConfig) -> str:
    """``token_only``, ``hybrid``, or representation and read-out where answers are not written in digits."""
    return config.representation if config.readout == "digits" else f"{config.representation}_{config.readout}"


def evaluation_results(name: str, predictions: Predictions) -> dict[str, dict[str, dict[str, float]]]:
    """``{model: {split: {metric: number}}}``, the file ``evaluation_results.json`` of seed 004.

    An answer that is no number counts as infinitely wrong here as well, so the mean of relative errors is infinite
    as soon as there is one. The seed left such answers out.
    """
    return {name: {split: _seed_scores(rows) for split, rows in predictions.items()}}


def _seed_scores(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    found = {key.partition("/")[2]: value for key, value in score(rows, "split").items()}
    values = {theirs: found[mine] for theirs, names in SEED_NAMES.items() for mine in names if mine in found}
    if not is_about_units(rows[0]):
        values["mean_relative_error"] = float(
            np.mean([relative_error(row["prediction"], row["target"]) for row in rows])
        )
    return values


def error_gallery(predictions: Predictions) -> list[dict[str, Any]]:
    """Up to ``EXAMPLES`` wrong answers of each kind and split, with how many of that kind there are.

    The first ones by row, not the worst or the best looking.
    """
    table: list[dict[str, Any]] = []
    for split, rows in predictions.items():
        kinds: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for row in rows:
            if row["prediction"] != row["target"]:
                about_units = is_about_units(row)
                kind = units_metrics.error_kind(row) if about_units else error_kind(row["prediction"], row["target"])
                kinds[kind].append(row)
        for kind, members in sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0])):
            for row in members[:EXAMPLES]:
                shown = {name: row[name] for name in ("id", "text", "target", "prediction")}
                table.append({"split": split, "kind": kind, "of_this_kind": len(members), "items": len(rows), **shown})
    return table


def error_kind(prediction: str, target: str) -> str:
    """What is wrong with an answer to arithmetic: the first of these that fits.

    ``unreadable`` no integer; ``sign`` the size is right; ``one_digit`` and ``last_digit`` one digit of the right
    number of digits is wrong; ``carry`` off by a power of ten; ``length`` another number of digits; ``digits``.
    """
    value, truth = parse(prediction), parse(target)
    if value is None or truth is None:
        return "unreadable" if truth is not None else "other"
    if value == -truth:
        return "sign"
    ours, theirs = str(abs(value)), str(abs(truth))
    wrong = [place for place, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b]
    gap = str(abs(value - truth))
    if len(gap) > 1 and gap.rstrip("0") == "1":
        return "carry"
    if len(ours) != len(theirs):
        return "length"
    if len(wrong) == 1 and value * truth >= 0:
        return "last_digit" if wrong[0] == len(ours) - 1 else "one_digit"
    return "digits"
