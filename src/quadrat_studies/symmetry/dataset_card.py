"""What a reader must know about the splits before believing a score: counts, leakage, trivial scores."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from quadrat_studies.symmetry.config import DataConfig
from quadrat_studies.symmetry.rows import Rows
from quadrat_studies.symmetry.tasks import HELD_OUT, held_out_cells

GENERATOR = "symmetry/1"


def write_card(path: Path, data: DataConfig, *, splits: Mapping[str, Rows]) -> None:
    """Write the card of ``splits``; everything in it is counted from the rows themselves."""
    card = {
        "schema": 1,
        "generator": GENERATOR,
        "data": data.model_dump(mode="json"),
        "splits": {split: _describe(rows, splits["train"]) for split, rows in splits.items()},
        "leakage": leakage(data, splits),
    }
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def read_card(folder: Path) -> dict[str, Any]:
    """The card in ``folder``."""
    return json.loads((folder / "dataset.json").read_text(encoding="utf-8"))


def leakage(data: DataConfig, splits: Mapping[str, Rows]) -> dict[str, int]:
    """Rows that are where they must not be; all zero in splits made by rule."""
    train = {row.tobytes() for row in splits["train"].tokens.astype(np.uint8)}
    found = {
        f"{split}_rows_in_train": sum(row.tobytes() in train for row in rows.tokens.astype(np.uint8))
        for split, rows in splits.items()
        if split != "train"
    }
    if data.task == "inverse":
        sets = {split: {frozenset(row[:3].tolist()) for row in rows.tokens} for split, rows in splits.items()}
        return found | {f"{split}_sets_in_train": len(sets["train"] & sets[split]) for split in ("test", "ood")}
    sides = {split: held_out_cells(data, rows.keys, rows.slots) for split, rows in splits.items()}
    return found | {
        "held_out_pair_in_train": len(splits["train"].of(HELD_OUT)),
        "test_cells_in_train": int(sides["train"].sum()),
        "train_cells_in_test": int((~sides["test"]).sum() + (~sides["held_out"]).sum()),
    }


def _describe(rows: Rows, train: Rows) -> dict[str, Any]:
    labels = rows.labels
    guess = Counter(train.labels.tolist()).most_common(1)[0][0]
    return {
        "rows": len(rows),
        "tokens": rows.tokens.shape[1],
        "token_range": [int(rows.tokens.min()), int(rows.tokens.max())],
        "label_range": [int(labels.min()), int(labels.max())],
        "distinct_labels": len(np.unique(labels)),
        "repeated_rows": len(rows) - len({row.tobytes() for row in rows.array}),
        "majority_label_share": float((labels == guess).mean()),
        **(_function_counts(rows) if rows.array[:, -3:].any() else {}),
    }


def _function_counts(rows: Rows) -> dict[str, Any]:
    return {
        "pairs": {f"{a}{b}": count for (a, b), count in sorted(Counter(rows.pairs).items())},
        "slots": {str(slot): count for slot, count in sorted(Counter(rows.slots.tolist()).items())},
    }
