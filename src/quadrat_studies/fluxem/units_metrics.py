"""Scores of answers about units as pure functions of prediction rows. Nothing here has seen a model.

A prediction row is ``{"id", "text", "target", "prediction", "task", "types", "novelty"}``. An answer that is no
number with a known unit has an infinite value error, no unit and no dimension; it is never dropped.

    exact_match          all samples: the answer's text is the target's
    parse_rate           all samples: the answer is true or false, or a number with a known unit, as was asked
    boolean_accuracy     can_add
    value_error_...      convert: |number - true number| / |true number|, numbers as written
    unit_correct         convert: the unit is spelt as asked for
    dimension_correct    convert: the unit, however spelt, has the seven exponents of the target's
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from quadrat_studies.fluxem.units import Unit
from quadrat_studies.fluxem.units_parser import parse_unit
from quadrat_studies.fluxem.units_questions import NUMBER

Row = Mapping[str, Any]
_ANSWER = re.compile(rf"({NUMBER}) (\S.*)")
_LARGEST_EXPONENT = 400


class Answer(NamedTuple):
    """A conversion's answer, read."""

    value: Fraction
    text: str
    unit: Unit


def prediction_rows(rows: Sequence[Row], predictions: Sequence[str]) -> list[dict[str, Any]]:
    """The file that every score is computed from: split rows joined with what was answered."""
    kept = ("id", "text", "task", "types", "novelty")
    return [
        {**{name: row[name] for name in kept}, "target": row["target_text"], "prediction": prediction}
        for row, prediction in zip(rows, predictions, strict=True)
    ]


def score(rows: Sequence[Row], prefix: str) -> dict[str, float]:
    """Every score of one split, named ``prefix/...``; scores of a task that is not asked are left out."""
    values = plain_scores(rows)
    strata: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["task"] == "convert":
            strata[row["types"][0]].append(row)
    for name, members in sorted(strata.items()):
        values[f"exact_match_{name}"] = _mean([row["prediction"] == row["target"] for row in members])
    for novelty in sorted({row["novelty"] for row in rows if row["novelty"]}):
        found = plain_scores([row for row in rows if row["novelty"] == novelty])
        values |= {f"{name}_{novelty}": value for name, value in found.items()}
    return {f"{prefix}/{name}": value for name, value in values.items()}


def plain_scores(rows: Sequence[Row]) -> dict[str, float]:
    """Scores of all rows together, without strata."""
    exact = [row["prediction"] == row["target"] for row in rows]
    values = {"exact_match": _mean(exact), "parse_rate": _mean([_is_readable(row) for row in rows])}
    for task in ("convert", "can_add"):
        members = [hit for hit, row in zip(exact, rows, strict=True) if row["task"] == task]
        if members:
            values["boolean_accuracy" if task == "can_add" else "exact_match_convert"] = _mean(members)
    converted = [row for row in rows if row["task"] == "convert"]
    return values | (_conversion_scores(converted) if converted else {})


def _conversion_scores(rows: Sequence[Row]) -> dict[str, float]:
    pairs = [(parse(row["prediction"]), _parsed(row["target"])) for row in rows]
    errors = np.array([value_error(answer, target) for answer, target in pairs])
    return {
        # No interpolation between order statistics: half-way to infinity is not a number.
        "value_error_median": float(np.quantile(errors, 0.5, method="inverted_cdf")),
        "value_error_p90": float(np.quantile(errors, 0.9, method="inverted_cdf")),
        "value_within_one_percent": float(np.mean(errors < 0.01)),
        "unit_correct": _mean([answer is not None and answer.text == target.text for answer, target in pairs]),
        "dimension_correct": _mean(
            [answer is not None and answer.unit.dimension == target.unit.dimension for answer, target in pairs]
        ),
    }


def value_error(answer: Answer | None, target: Answer) -> float:
    """``|answer - target| / |target|`` of the numbers as written; infinite for none, and at 0 for any other."""
    if answer is None:
        return float("inf")
    gap = abs(answer.value - target.value)
    if not gap:
        return 0.0
    ratio = gap / abs(target.value) if target.value else None
    return float("inf") if ratio is None or ratio > 10**300 else float(ratio)


def error_kind(row: Row) -> str:
    """What is wrong with an answer: the first of these that fits.

    ``wrong_word`` true for false or the other way; ``unreadable``; ``dimension`` a unit of something else; ``unit``
    another unit of the same dimension; ``power_of_ten`` the right digits; ``last_digits`` within one percent;
    ``digits``.
    """
    if not _is_readable(row):
        return "unreadable"
    if row["task"] == "can_add":
        return "wrong_word"
    answer, target = _parsed(row["prediction"]), _parsed(row["target"])
    if answer.text != target.text:
        return "unit" if answer.unit.dimension == target.unit.dimension else "dimension"
    mantissas = [text.partition("e")[0] for text in (row["prediction"], row["target"])]
    if mantissas[0] == mantissas[1]:
        return "power_of_ten"
    return "last_digits" if value_error(answer, target) < 0.01 else "digits"


def parse(text: str) -> Answer | None:
    """A number and a known unit, whole and nothing else, or None."""
    match = _ANSWER.fullmatch(text)
    if match is None or abs(int(match[1].partition("e")[2])) > _LARGEST_EXPONENT:
        return None
    try:
        return Answer(Fraction(match[1]), match[2], parse_unit(match[2]))
    except ValueError:
        return None


def _parsed(text: str) -> Answer:
    answer = parse(text)
    if answer is None:
        raise ValueError(f"the target {text!r} is no quantity. Try building the data again.")
    return answer


def _is_readable(row: Row) -> bool:
    if row["task"] == "can_add":
        return row["prediction"] in ("true", "false")
    return parse(row["prediction"]) is not None


def _mean(hits: Sequence[bool]) -> float:
    return float(np.mean(hits))
