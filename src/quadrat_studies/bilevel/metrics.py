"""Metrics by exact definition, each on plain tensors, with what is trivially had beside it.

Ids are macro ids with SKIP = 8, (N, K). An answer and its label are compared cell by cell over the same K.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from quadrat_studies.bilevel.macros import DUAL, SKIP

BOOTSTRAPS = 1000


def dual_ids(ids: Tensor) -> Tensor:
    """Every macro's dual."""
    return torch.tensor(DUAL, device=ids.device)[ids]


def structure(predicted: Tensor, label: Tensor) -> dict[str, float]:
    """The seed's four, and whole sequences.

    ``macro_acc`` counts all K cells, padding included; ``macro_non_skip_acc`` the cells whose *label* is no SKIP.
    Lengths count cells that are no SKIP; ``len_bias`` is predicted minus label. ``seq_equiv`` is exact up to the dual.
    """
    same = predicted == label
    live = label != SKIP
    mine, true = (predicted != SKIP).sum(1), live.sum(1)
    gap = (mine - true).double()
    exact = same.all(1)
    equal = exact | (predicted == dual_ids(label)).all(1)
    return {
        "macro_acc": _mean(same),
        "macro_non_skip_acc": float((same & live).sum() / live.sum()),
        "len_mae": float(gap.abs().mean()),
        "len_bias": float(gap.mean()),
        "len_exact": _mean(mine == true),
        "seq_exact": _mean(exact),
        "seq_equiv": _mean(equal),
        "parts_ratio": float(mine.double().mean() / true.double().mean()),
    }


def trivial(label: Tensor, kinds: Tensor, *, train_label: Tensor, train_kinds: Tensor) -> dict[str, float]:
    """What needs no curve: SKIP everywhere, and each filter type's commonest sequence in the training split."""
    skips = structure(torch.full_like(label, SKIP), label)
    guess = torch.full_like(label, SKIP)
    for kind in kinds.unique().tolist():
        rows = train_label[train_kinds == kind]
        if len(rows):
            sequences, counts = rows.unique(dim=0, return_counts=True)
            guess[kinds == kind] = sequences[counts.argmax()].to(guess)
    majority = structure(guess, label)
    found = {
        f"trivial/skip_{name}": skips[name] for name in ("macro_acc", "macro_non_skip_acc", "len_mae", "len_exact")
    }
    return found | {f"trivial/majority_{name}": value for name, value in majority.items()}


def curve_errors(curve: Tensor, wanted: Tensor, *, floor_db: float = -240.0) -> Tensor:
    """Mean over frequencies of the squared difference in dB, not below the floor: (N,)."""
    return (curve.clamp_min(floor_db) - wanted.clamp_min(floor_db)).square().mean(1)


def passes(flags: Tensor, constrained: Tensor) -> float:
    """Share of passing circuits among those that are asked for anything."""
    return _mean(flags[constrained]) if bool(constrained.any()) else float("nan")


def by_type(flags: Tensor, kinds: Sequence[str], name: str) -> dict[str, float]:
    """A share for each filter type."""
    found: dict[str, float] = {}
    for kind in sorted(set(kinds)):
        rows = torch.tensor([other == kind for other in kinds])
        found[f"{name}/{kind}"] = _mean(flags[rows])
    return found


def interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % percentile bootstrap of a mean over designs, always with the same draws."""
    rng = np.random.default_rng(0)
    array = np.asarray(values, dtype=np.float64)
    means = array[rng.integers(len(array), size=(BOOTSTRAPS, len(array)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def prefixed(values: Mapping[str, float], prefix: str) -> dict[str, float]:
    """Names under a prefix."""
    return {f"{prefix}/{name}": value for name, value in values.items()}


def _mean(flags: Tensor) -> float:
    return float(flags.double().mean())
