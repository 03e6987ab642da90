"""From ideal to standard values without giving up the mask: fix parts one by one, fit the others again.

The part that is nearest to a standard value (by ratio) is fixed first; what its rounding spoils, the parts that are
still free make up for. When all are fixed, single parts are moved by one place of the series as long as that lowers
the worst shortfall.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from quadrat_studies.bilevel.ladder import FLOOR, Ladder, decibels, power
from quadrat_studies.bilevel.masks import Mask
from quadrat_studies.bilevel.solver import Target, levenberg_marquardt
from quadrat_studies.bilevel.standard import Series, snap

PASSES = 6


@final
@dataclass(frozen=True, slots=True)
class Snapped:
    """Circuits of standard values, and whether they meet their mask: fitted again, and snapped all at once."""

    x: Tensor
    passes: Tensor
    naive_x: Tensor
    naive_passes: Tensor


def snap_circuits(
    ladder: Ladder, target: Target, *, mask: Mask, scale: Tensor, series: Series, iterations: int = 6
) -> Snapped:
    """Standard values for a batch of circuits; ``scale`` is SI value over dimensionless value, (B, K, 2)."""
    wanted = Target(target.curve, target.w, target.floor_db, mask, mask_weight=10.0)
    naive = _nearest(ladder.x, scale, series)
    used = ladder.used()
    fixed = ~used
    current = ladder
    for _ in range(int(used.sum((1, 2)).max())):
        distance = (_nearest(current.x, scale, series) - current.x).abs().masked_fill(fixed, torch.inf)
        place = distance.flatten(1).argmin(1)
        chosen = torch.zeros_like(fixed).flatten(1).scatter_(1, place[:, None], True).reshape(fixed.shape) & used
        x = torch.where(chosen & ~fixed, _nearest(current.x, scale, series), current.x)
        fixed = fixed | chosen
        current = current.with_values(x)
        if fixed.all():
            break
        current = current.with_values(
            levenberg_marquardt(current, wanted, iterations=iterations, free=~fixed, tolerance=1e-6).x
        )
    best = _better(ladder, naive, current.x, target.w, mask)
    best = _neighbours(ladder, best, target.w, mask=mask, scale=scale, series=series)
    return Snapped(best, _passes(ladder, best, target.w, mask), naive, _passes(ladder, naive, target.w, mask))


def _nearest(x: Tensor, scale: Tensor, series: Series, *, shift: Tensor | int = 0) -> Tensor:
    return (snap(x.exp() * scale, series, shift=shift) / scale).log()


def _shortfall(ladder: Ladder, x: Tensor, w: Tensor, mask: Mask) -> Tensor:
    """How far circuits are from their mask: the worst dB, and a little of the sum to break ties."""
    low, high = mask.shortfall(decibels(power(ladder.with_values(x), w)[0], floor=FLOOR))
    both = low + high
    return both.amax(1) + 1e-3 * both.sum(1)


def _passes(ladder: Ladder, x: Tensor, w: Tensor, mask: Mask) -> Tensor:
    return mask.passes(decibels(power(ladder.with_values(x), w)[0], floor=FLOOR))


def _better(ladder: Ladder, first: Tensor, second: Tensor, w: Tensor, mask: Mask) -> Tensor:  # noqa: PLR0917
    ahead = _shortfall(ladder, first, w, mask) <= _shortfall(ladder, second, w, mask)
    return torch.where(ahead[:, None, None], first, second)


def _neighbours(ladder: Ladder, x: Tensor, w: Tensor, *, mask: Mask, scale: Tensor, series: Series) -> Tensor:
    """Greedy single moves, one circuit at a time: all its neighbours are one batch."""
    x = x.clone()
    for row in range(len(ladder)):
        used = ladder.used()[row].nonzero()
        about, m = ladder.take(slice(row, row + 1)), mask.take(slice(row, row + 1))
        worst = float(_shortfall(about, x[row : row + 1], w[row : row + 1], m))
        for _ in range(PASSES):
            if worst <= 0:
                break
            shift = torch.zeros(2 * len(used), *x.shape[1:], dtype=torch.long)
            for turn, (k, slot) in enumerate(used.tolist()):
                shift[2 * turn, k, slot], shift[2 * turn + 1, k, slot] = 1, -1
            tried = _nearest(
                x[row].expand(len(shift), -1, -1), scale[row].expand(len(shift), -1, -1), series, shift=shift
            )
            every = Ladder.of(about.ids.expand(len(shift), -1), tried, rs=about.rs, rl=about.rl)
            many = Mask(m.low.expand(len(shift), -1), m.high.expand(len(shift), -1))
            found = _shortfall(every, tried, w[row : row + 1].expand(len(shift), -1), many)
            best = int(found.argmin())
            if float(found[best]) >= worst:
                break
            worst, x[row] = float(found[best]), tried[best]
    return x
