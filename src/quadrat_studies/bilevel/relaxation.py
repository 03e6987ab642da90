"""Structure that gradients can reach: gates over macros, and the ladder they mix.

A cell with gates g over its macros is a series branch Z = sum of g Z_m and a shunt branch Y = sum of g Y_m, one after
the other: [[1 + Z Y, Z], [Y, 1]]. Its determinant is one, so the relaxed ladder is a reciprocal network (and a passive
one), and with one gate open it is exactly the circuit of that macro. Gates come from one Gumbel draw, which the hard
sample and the soft weights share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from quadrat_studies.bilevel.macros import SER_TANK, SHUNT_NOTCH, SKIP

NARROW = 1e-6
"""How near to its resonance an inverted branch may come: -120 dB, far below any floor in use."""


@final
@dataclass(frozen=True, slots=True)
class Gates:
    """Gates (B, K, M + 1), SKIP last: soft, hard, and hard with the soft one's gradient."""

    soft: Tensor
    hard: Tensor

    @property
    def through(self) -> Tensor:
        """Hard in value, soft in gradient."""
        return self.hard + self.soft - self.soft.detach()

    @property
    def choice(self) -> Tensor:
        """Indices (B, K) of the open gates."""
        return self.hard.argmax(2)


def gumbel_gates(logits: Tensor, *, tau: float, noise: Tensor | None = None) -> Gates:
    """One draw. ``noise`` is standard Gumbel, drawn from the global stream when None."""
    if noise is None:
        uniform = torch.rand(logits.shape, dtype=logits.dtype, device=logits.device)
        noise = -(-uniform.clamp_min(1e-20).log()).clamp_min(1e-20).log()
    soft = ((logits + noise) / tau).softmax(2)
    hard = torch.zeros_like(soft).scatter_(2, soft.argmax(2, keepdim=True), 1.0)
    return Gates(soft, hard)


def prune(gates: Tensor, k: int) -> Tensor:
    """The k largest gates of each cell, renormalised; all of them when k is 0."""
    if k <= 0 or k >= gates.shape[2]:
        return gates
    floor = gates.topk(k, 2).values[..., -1:]
    kept = torch.where(gates >= floor, gates, 0.0)
    return kept / kept.sum(2, keepdim=True)


def mixed_db(values: Tensor, gates: Tensor, w: Tensor, *, vocabulary: Sequence[int], floor_db: float) -> Tensor:
    """|S21| in dB (B, F) of relaxed ladders between unit ends, not below the floor; twice differentiable.

    Args:
        values: logs of dimensionless values by cell and macro (B, K, M, 2).
        gates: (B, K, M + 1), SKIP last.
        w: normalised frequencies (B, F).
        vocabulary: which macros the M columns are.
        floor_db: the lowest level told apart.
    """
    columns = {macro: index for index, macro in enumerate(vocabulary)}
    up, down = values.exp(), (-values).exp()
    zero = values.new_zeros(values.shape[:2])

    def term(macro: int, slot: int, inverse: bool) -> Tensor:
        if macro not in columns:
            return zero
        index = columns[macro]
        return gates[:, :, index] * (down if inverse else up)[:, :, index, slot]

    # z = z_p w - z_n / w and y likewise, each macro by its p and n.
    z_p, z_n = term(0, 0, False) + term(4, 0, False), term(1, 0, True) + term(4, 1, True)
    y_p, y_n = term(3, 0, False) + term(6, 1, False), term(2, 0, True) + term(6, 0, True)
    inverse = 1 / w
    vr, vi = torch.ones_like(w), torch.zeros_like(w)
    ir, ii = torch.ones_like(w), torch.zeros_like(w)
    for k in reversed(range(values.shape[1])):
        z = z_p[:, k, None] * w - z_n[:, k, None] * inverse
        y = y_p[:, k, None] * w - y_n[:, k, None] * inverse
        if SER_TANK in columns:
            index = columns[SER_TANK]
            z = z - gates[:, k, index, None] / _tau(up, down, (k, index), w, rising=1)
        if SHUNT_NOTCH in columns:
            index = columns[SHUNT_NOTCH]
            y = y - gates[:, k, index, None] / _tau(up, down, (k, index), w, rising=0)
        ir, ii = ir - y * vi, ii + y * vr
        vr, vi = vr - z * ii, vi + z * ir
    power = 4 / ((vr + ir).square() + (vi + ii).square())
    return 10 * power.clamp_min(10 ** (floor_db / 10)).log10()


def _tau(up: Tensor, down: Tensor, place: tuple[int, int], w: Tensor, *, rising: int) -> Tensor:
    k, index = place
    tau = up[:, k, index, rising, None] * w - down[:, k, index, 1 - rising, None] / w
    return torch.where(tau.abs() < NARROW, NARROW, tau)


def macro_ids(choice: Tensor, vocabulary: Sequence[int]) -> Tensor:
    """Columns of a model's gates as macro ids, SKIP = 8."""
    return torch.tensor([*vocabulary, SKIP], device=choice.device)[choice]


def columns_of(ids: Tensor, vocabulary: Sequence[int]) -> Tensor:
    """Macro ids as columns of a model's gates; a macro outside the vocabulary counts as SKIP."""
    table = torch.full((SKIP + 1,), len(vocabulary), device=ids.device)
    for index, macro in enumerate(vocabulary):
        table[macro] = index
    return table[ids]


def chosen_values(values: Tensor, choice: Tensor) -> Tensor:
    """The values (B, K, 2) of the chosen columns; zeros where SKIP is chosen."""
    padded = torch.cat((values, torch.zeros_like(values[:, :, :1])), 2)
    return padded.gather(2, choice[:, :, None, None].expand(-1, -1, 1, 2)).squeeze(2)


def with_chosen(values: Tensor, choice: Tensor, *, replaced: Tensor) -> Tensor:
    """``values`` with those of the chosen columns replaced by (B, K, 2)."""
    padded = torch.cat((values, torch.zeros_like(values[:, :, :1])), 2)
    index = choice[:, :, None, None].expand(-1, -1, 1, 2)
    return padded.scatter(2, index, replaced[:, :, None])[:, :, :-1]


# Regularisers --------------------------------------------------------------------------------------------------------


def transition_penalty(
    logits: Tensor, *, vocabulary: Sequence[int], skip_penalty: float, redundant_penalty: float
) -> Tensor:
    """The expected penalty of neighbouring cells, summed over the ladder and averaged over the batch.

    ``skip_penalty`` for a macro after a SKIP, ``redundant_penalty`` for the same single-part macro twice.
    """
    size = len(vocabulary) + 1
    table = logits.new_zeros(size, size)
    table[-1, :-1] = skip_penalty
    for index, macro in enumerate(vocabulary):
        if macro < 4:
            table[index, index] = redundant_penalty
    p = logits.softmax(2)
    return torch.einsum("bks,st,bkt->b", p[:, :-1], table, p[:, 1:]).mean()


def query_asymmetry(queries: Tensor, *, core: Tensor | None = None) -> Tensor:
    """Mean squared distance of each cell's query (K, d) from its mirror image's, over the ``core`` cells or all."""
    distance = (queries - queries.flip(0)).square().sum(1)
    return distance.mean() if core is None else (distance * core).sum() / core.sum().clamp_min(1)
