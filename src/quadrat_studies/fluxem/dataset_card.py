"""What a reader must know about the splits before believing a score: balance, overlap, trivial scores."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from quadrat_studies.fluxem.config import DataConfig
from quadrat_studies.fluxem.metrics import relative_error
from quadrat_studies.fluxem.problems import from_row

GENERATOR = "fluxem.arithmetic/1"
Rows = Sequence[Mapping[str, Any]]


def write_card(path: Path, data: DataConfig, *, rows: Mapping[str, Rows]) -> None:
    """Write the card of the splits ``rows``; everything in it is counted from the rows themselves."""
    keys = {split: [from_row(row).key() for row in members] for split, members in rows.items()}
    card = {
        "schema": 1,
        "generator": GENERATOR,
        "data": data.model_dump(mode="json"),
        "splits": {split: _describe(members, rows["train"]) for split, members in rows.items()},
        "duplicates": {split: len(found) - len(set(found)) for split, found in keys.items()},
        "overlap": {f"{a}/{b}": len(set(keys[a]) & set(keys[b])) for a, b in combinations(keys, 2)},
    }
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def read_card(folder: Path) -> dict[str, Any]:
    """The card in ``folder``."""
    return json.loads((folder / "dataset.json").read_text(encoding="utf-8"))


def _describe(rows: Rows, train: Rows) -> dict[str, Any]:
    operands = [span["value"] for row in rows for span in row["spans"]]
    answers = [row["target_value"] for row in rows]
    return {
        "samples": len(rows),
        "operand_range": [min(operands), max(operands)],
        "answer_range": [min(answers), max(answers)],
        "negative_answers": sum(answer < 0 for answer in answers),
        "distinct_answers": len(set(answers)),
        "operations": _counts(operation for row in rows for operation in row["operations"]),
        "operations_per_sample": _counts(len(row["operations"]) for row in rows),
        "answer_digits": _counts(len(str(abs(answer))) for answer in answers),
        "carries": _counts(row["carries"] for row in rows if row["carries"] is not None),
        "longest_text": max(len(row["text"]) for row in rows),
        "trivial": trivial_scores(rows, train),
    }


def trivial_scores(rows: Rows, train: Rows) -> dict[str, float]:
    """Exact match of answers that need no arithmetic, and what a constant costs in relative error.

    ``magnitude_only`` knows sign and number of digits and guesses the digits: an expectation, not a draw.
    """
    majority = Counter(row["target_text"] for row in train).most_common(1)[0][0]
    mean = round(sum(row["target_value"] for row in train) / len(train))
    targets = [row["target_text"] for row in rows]
    return {
        "majority_exact_match": _share(target == majority for target in targets),
        "copy_first_operand_exact_match": _share(row["target_text"] == str(row["spans"][0]["value"]) for row in rows),
        "mean_exact_match": _share(target == str(mean) for target in targets),
        "mean_relative_error_median": float(np.median([relative_error(str(mean), target) for target in targets])),
        "magnitude_only_exact_match": float(np.mean([_guess(target.lstrip("-")) for target in targets])),
    }


def _guess(digits: str) -> float:
    return 0.1 if len(digits) == 1 else 1 / (9 * 10.0 ** (len(digits) - 1))


def _share(hits: Any) -> float:
    return float(np.mean(list(hits)))


def _counts(values: Any) -> dict[str, int]:
    return {str(value): count for value, count in sorted(Counter(values).items())}
