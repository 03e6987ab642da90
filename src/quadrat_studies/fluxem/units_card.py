"""What a reader must know about the units splits before believing a score: balance, overlap, trivial scores."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from quadrat_studies.fluxem.units_config import UnitsDataConfig
from quadrat_studies.fluxem.units_metrics import plain_scores, prediction_rows
from quadrat_studies.fluxem.units_questions import Question, from_row, number_text

GENERATOR = "fluxem.units/1"
Row = Mapping[str, Any]
Rows = Sequence[Row]


def write_card(path: Path, data: UnitsDataConfig, *, rows: Mapping[str, Rows]) -> None:
    """Write the card of the splits ``rows``; everything in it is counted from the rows themselves."""
    questions = {split: [from_row(row) for row in members] for split, members in rows.items()}
    keys = {split: [question.key() for question in found] for split, found in questions.items()}
    trained = {frozenset(question.units) for question in questions["train"]}
    card = {
        "schema": 1,
        "generator": GENERATOR,
        "data": data.model_dump(mode="json"),
        "splits": {
            split: _describe(members, questions[split], train=rows["train"], trained=trained)
            for split, members in rows.items()
        },
        "duplicates": {split: len(found) - len(set(found)) for split, found in keys.items()},
        "overlap": {f"{a}/{b}": len(set(keys[a]) & set(keys[b])) for a, b in combinations(keys, 2)},
    }
    path.write_text(json.dumps(card, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _describe(
    rows: Rows, questions: Sequence[Question], *, train: Rows, trained: set[frozenset[str]]
) -> dict[str, Any]:
    magnitudes = [abs(float(number)) for question in questions for number in question.numbers]
    return {
        "samples": len(rows),
        "magnitude_range": [min(magnitudes), max(magnitudes)],
        "tasks": _counts(row["task"] for row in rows),
        "booleans": _counts(row["target_text"] for row in rows if row["task"] == "can_add"),
        "types": _counts(name for row in rows for name in row["types"]),
        "units": _counts(unit for question in questions for unit in question.units),
        "novelty": _counts(row["novelty"] for row in rows if row["novelty"]),
        "unit_pairs": len({frozenset(question.units) for question in questions}),
        "unit_pair_in_train": float(np.mean([frozenset(question.units) in trained for question in questions])),
        "negative_numbers": sum(number.startswith("-") for question in questions for number in question.numbers),
        "answer_exponents": _counts(_exponent(row) for row in rows if row["task"] == "convert"),
        "longest_text": max(len(row["text"]) for row in rows),
        "longest_answer": max(len(row["target_text"]) for row in rows),
        "trivial": trivial_scores(rows, train),
    }


def trivial_scores(rows: Rows, train: Rows) -> dict[str, float]:
    """Every score of three ways to answer without knowing a unit, ``<way>_<score>``.

    majority: the commonest training answer of the task. copy_input: the number as given, with the unit asked for;
    ``true`` for equal units. mean: the geometric mean of the training answers, with the unit asked for; of ``true`` and
    ``false`` the one that went more often with the first unit. ``magnitude_only_exact_match`` is an expectation: sign,
    power of ten and unit known, digits guessed.
    """
    ways = {"majority": _majority(train), "copy_input": _copy_input, "mean": _mean(train)}
    values: dict[str, float] = {}
    for way, answer in ways.items():
        found = plain_scores(prediction_rows([{"id": "", **row} for row in rows], [answer(row) for row in rows]))
        # Only finite numbers go into a card; a way whose answers are no numbers has no error to report.
        values |= {f"{way}_{name}": value for name, value in found.items() if math.isfinite(value)}
    values["magnitude_only_exact_match"] = float(np.mean([_guess(row) for row in rows]))
    return values


def _majority(train: Rows) -> Callable[[Row], str]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in train:
        counts[row["task"]][row["target_text"]] += 1
    return lambda row: counts[row["task"]].most_common(1)[0][0] if counts[row["task"]] else ""


def _copy_input(row: Row) -> str:
    question = from_row(row)
    if question.task == "can_add":
        return "true" if question.units[0] == question.units[1] else "false"
    return f"{question.numbers[0]} {question.units[1]}"


def _mean(train: Rows) -> Callable[[Row], str]:
    values = [abs(row["target_value"]) for row in train if row["task"] == "convert" and row["target_value"]]
    middle = Fraction(math.exp(np.mean(np.log(values)))) if values else Fraction(1)
    votes: Counter[str] = Counter()
    for row in train:
        if row["task"] == "can_add":
            votes[from_row(row).units[0]] += 1 if row["target_value"] else -1

    def answer(row: Row) -> str:
        question = from_row(row)
        if question.task == "can_add":
            return "true" if votes[question.units[0]] > 0 else "false"
        return f"{number_text(middle, 3)} {question.units[1]}"

    return answer


def _guess(row: Row) -> float:
    if row["task"] == "can_add":
        return 0.5
    digits = sum(character.isdigit() for character in row["target_text"].partition("e")[0])
    return 1 / (9 * 10.0 ** (digits - 1))


def _exponent(row: Row) -> int:
    return int(row["target_text"].partition("e")[2].partition(" ")[0])


def _counts(values: Any) -> dict[str, int]:
    return {str(value): count for value, count in sorted(Counter(values).items())}
