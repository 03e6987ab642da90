"""From a trained network to its scores: which rows are looked at, what it answers, how good that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quadrat.tensor.stack import cross_entropy
from quadrat_studies.symmetry.config import Config
from quadrat_studies.symmetry.metrics import accuracy, held_out_scores, pair_rows
from quadrat_studies.symmetry.model import Network
from quadrat_studies.symmetry.rows import Rows
from quadrat_studies.symmetry.tasks import DEFINED, Ints, function_task

EVALUATION_BATCH = 100
"""Rows looked at together. The same for every size of a pack: another size rounds another way."""


def looked_at(config: Config, splits: Mapping[str, Rows], count: int) -> dict[str, Rows]:
    """The rows that an evaluation looks at: the first of each split, and of the pair that mirrors the held-out one."""
    chosen = {split: rows.first(count) for split, rows in splits.items()}
    if config.data.task == "fully_symmetric":
        for split in ("train", "test"):
            chosen[f"{split}_mirror"] = splits[split].of(DEFINED).first(count)
    return chosen


@torch.inference_mode()
def predict(network: Network, rows: Rows, *, device: str) -> tuple[Ints, Tensor]:
    """The symbols that each member answers ``[R, rows]`` and its mean loss ``[R]``."""
    replicas = network.embedding.shape[0]
    tokens, labels = torch.from_numpy(rows.tokens).to(device), torch.from_numpy(rows.labels).to(device)
    symbols: list[Tensor] = []
    total = torch.zeros(replicas, dtype=torch.float64, device=device)
    for some, right in zip(tokens.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
        logits = network(some.expand(replicas, -1, -1))
        total += cross_entropy(logits, right.expand(replicas, -1)) * len(some)
        symbols.append(logits.argmax(-1))
    return torch.cat(symbols, dim=1).cpu().numpy().astype(np.int64), (total / len(rows)).cpu()


def score(
    config: Config, splits: Mapping[str, Rows], *, predictions: Mapping[str, Ints], losses: Mapping[str, float]
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """One member's scores, and its pair table (empty in the inverse task)."""
    values = {f"{split}/acc": accuracy(predictions[split], splits[split]) for split in ("train", "test")}
    values["test/loss"] = losses["test"]
    if config.data.task == "inverse":
        return values | {"ood/acc": accuracy(predictions["ood"], splits["ood"]), "ood/loss": losses["ood"]}, []
    task = function_task(config.data)
    if task.has_composition:
        found = held_out_scores(task, splits["held_out"], predictions["held_out"])
        values |= {f"test/{name}": value for name, value in found.items()}
    else:
        values["test/unseen_acc"] = accuracy(predictions["held_out"], splits["held_out"])
        for split in ("train", "test"):
            mirror = f"{split}_mirror"
            values[f"{split}/mirror_acc"] = accuracy(predictions[mirror], splits[mirror])
    return values, pair_rows(task, splits, predictions)
