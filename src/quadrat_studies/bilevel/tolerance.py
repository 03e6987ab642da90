"""Manufacturing yield: the share of circuits that still meet their mask when every part is off by its tolerance.

Draws come in batches until the Wilson interval is narrow enough. A failing circuit is counted under every reason that
it fails for: passband, stopband, ripple (greatest minus least over the passband) and return loss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, final

import torch
from torch import Tensor

from quadrat_studies.bilevel.ladder import Ladder, Loss, decibels, lossy_power, power
from quadrat_studies.bilevel.macros import MACROS
from quadrat_studies.bilevel.masks import Mask

Z95 = 1.959963984540054
REASONS = ("passband", "stopband", "ripple", "return_loss")


@final
@dataclass(frozen=True, slots=True)
class Tolerance:
    """How parts vary, and when to stop drawing.

    Attributes:
        part: relative tolerance of each part.
        law: ``uniform``, or ``normal`` with sigma a third of the tolerance, cut at the tolerance.
        lot: relative tolerance shared by all parts of one kind in a circuit (a production lot), normal likewise.
        first, batch, most: draws before the first look, between looks, and at most.
        half_width: of the 95 % interval at which drawing stops.
    """

    part: float = 0.05
    law: Literal["uniform", "normal"] = "uniform"
    lot: float = 0.0
    first: int = 200
    batch: int = 200
    most: int = 2000
    half_width: float = 0.02


@final
@dataclass(frozen=True, slots=True)
class Yield:
    """A share of passing circuits with its 95 % Wilson interval, and why the others fail."""

    passed: int
    draws: int
    low: float
    high: float
    reasons: Mapping[str, int] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """The estimate."""
        return self.passed / self.draws


@final
@dataclass(frozen=True, slots=True)
class Demands:
    """What a circuit must meet, (1, F) masks; ripple and return loss in dB where they are asked for."""

    mask: Mask
    ripple_db: float | None = None
    return_loss_db: float | None = None

    def failures(self, transmitted: Tensor, reflected: Tensor) -> dict[str, Tensor]:
        """By reason, which circuits (B,) fail; the curves are |S21| and |S11| in dB, (B, F)."""
        low, high = self.mask.shortfall(transmitted)
        inside = ~self.mask.low[0].isnan()
        found = {"passband": low.amax(1) > 0, "stopband": high.amax(1) > 0}
        if self.ripple_db is not None and inside.any():
            band = transmitted[:, inside]
            found["ripple"] = band.amax(1) - band.amin(1) > self.ripple_db
        if self.return_loss_db is not None and inside.any():
            found["return_loss"] = reflected[:, inside].amax(1) > -self.return_loss_db
        bad = ~(transmitted.isfinite().all(1) & reflected.isfinite().all(1))
        return {name: flags | bad for name, flags in found.items()}


def wilson(passed: int, draws: int, *, z: float = Z95) -> tuple[float, float]:
    """The Wilson score interval of a proportion (Wilson 1927)."""
    if draws == 0:
        return 0.0, 1.0
    share, square = passed / draws, z * z / draws
    middle = (share + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(share * (1 - share) / draws + square / (4 * draws))
    return max(0.0, middle - half), min(1.0, middle + half)


def disturb(ladder: Ladder, count: int, *, plan: Tolerance, generator: torch.Generator) -> Ladder:
    """``count`` copies of one circuit with parts off by their tolerance."""
    shape = (count, *ladder.x.shape[1:])
    if plan.law == "uniform":
        off = plan.part * (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1)
    else:
        off = plan.part / 3 * _cut_normal(shape, generator)
    factor = 1 + off
    if plan.lot:
        by_kind = 1 + plan.lot / 3 * _cut_normal((count, 2), generator)
        factor = factor * by_kind[torch.arange(count)[:, None, None], _kinds(ladder).expand(shape)]
    ids, rs, rl = ladder.ids.expand(count, -1), ladder.rs.expand(count), ladder.rl.expand(count)
    return Ladder(ids, ladder.x + factor.log(), rs, rl)


def _cut_normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    # By inversion between the two cuts, so that nothing has to be drawn again.
    inside = math.erf(3 / math.sqrt(2))
    uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
    return math.sqrt(2) * torch.erfinv((2 * uniform - 1) * inside)


def _kinds(ladder: Ladder) -> Tensor:
    """0 for inductors, 1 for capacitors, by slot: (1, K, 2)."""
    table = [[int(slot < len(m.slots) and m.slots[slot] == "C") for slot in (0, 1)] for m in MACROS] + [[0, 0]]
    return torch.tensor(table)[ladder.ids]


def monte_carlo(
    ladder: Ladder,
    w: Tensor,
    *,
    demands: Demands,
    plan: Tolerance,
    generator: torch.Generator,
    loss: Loss | None = None,
) -> Yield:
    """The yield of one circuit (a batch of one) at frequencies ``w`` (F,)."""
    passed = draws = 0
    reasons: dict[str, int] = dict.fromkeys(REASONS, 0)
    while draws < plan.most:
        count = min(plan.first if not draws else plan.batch, plan.most - draws)
        copies = disturb(ladder, count, plan=plan, generator=generator)
        found = power(copies, w) if loss is None else lossy_power(copies, w, loss=loss)
        failures = demands.failures(decibels(found[0]), decibels(found[1]))
        passed += int((~torch.stack(list(failures.values())).any(0)).sum())
        for name, flags in failures.items():
            reasons[name] += int(flags.sum())
        draws += count
        low, high = wilson(passed, draws)
        if (high - low) / 2 <= plan.half_width:
            break
    low, high = wilson(passed, draws)
    return Yield(passed, draws, low, high, {name: count for name, count in reasons.items() if count})
