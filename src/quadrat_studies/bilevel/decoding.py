"""From logits to a ladder: per cell, or the best (k best) sequences that are ladders at all."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from quadrat_studies.bilevel.macros import SKIP, may_follow


def transitions(vocabulary: Sequence[int], *, ladder_rule: bool) -> Tensor:
    """Scores (M + 1, M + 1): 0 where a macro may follow, minus infinity where not.

    Without the ladder rule only a macro after a SKIP is forbidden (the seed's C).
    """
    macros = [*vocabulary, SKIP]
    allowed = [
        [(a != SKIP or b == SKIP) if not ladder_rule else may_follow(a, b) for b in macros] for a in macros
    ]  # fmt: skip
    return torch.where(torch.tensor(allowed), 0.0, -torch.inf)


def viterbi(logits: Tensor, table: Tensor, *, k: int = 1) -> tuple[Tensor, Tensor]:
    """The k best sequences under summed logits and transition scores, best first.

    A sequence of nothing but SKIP is no circuit and is not among them.

    Args:
        logits: (B, K, S).
        table: transition scores (S, S).
        k: how many; where fewer exist the rest have a score of minus infinity.

    Returns:
        columns (B, k, K) and scores (B, k).
    """
    size, cells, states = logits.shape
    table = table.to(logits)
    scores = logits.new_full((size, states, k), -torch.inf)
    scores[:, :, 0] = logits[:, 0]
    scores[:, -1] = -torch.inf
    back: list[Tensor] = []
    for cell in range(1, cells):
        # (B, from state and rank, to state)
        reached = (scores[:, :, :, None] + table[None, :, None, :]).reshape(size, states * k, states)
        best, origin = reached.topk(k, 1)
        scores = best.transpose(1, 2) + logits[:, cell, :, None]
        back.append(origin.transpose(1, 2))
    found, where = scores.reshape(size, states * k).topk(k, 1)
    path = [where // k]
    for origin in reversed(back):
        where = origin.reshape(size, states * k).gather(1, where)
        path.append(where // k)
    return torch.stack(path[::-1], 2), found


def per_cell(logits: Tensor) -> Tensor:
    """The likeliest column of each cell (B, K)."""
    return logits.argmax(2)


def not_empty(columns: Tensor, logits: Tensor) -> Tensor:
    """The seed's repair: an answer of nothing but SKIP gets the single best (cell, macro) pair."""
    skip = logits.shape[2] - 1
    empty = (columns == skip).all(1)
    best = logits[:, :, :-1].flatten(1).argmax(1)
    repaired = torch.full_like(columns, skip).scatter(1, (best // skip)[:, None], (best % skip)[:, None])
    return torch.where(empty[:, None], repaired, columns)


def packed(ids: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """Cells in use first, SKIPs last, in ``ids`` (B, K) and along with it in others (B, K, ...)."""
    order = (ids == SKIP).long().argsort(stable=True, dim=1)
    moved = [other.gather(1, order.reshape(*order.shape, *[1] * (other.ndim - 2)).expand_as(other)) for other in others]
    return ids.gather(1, order), *moved
