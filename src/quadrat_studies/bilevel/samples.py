"""A batch of circuits with everything that is known about them, and the curves that follow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from quadrat_studies.bilevel.bands import TYPES, FilterType, grid
from quadrat_studies.bilevel.config import DataConfig
from quadrat_studies.bilevel.ladder import FLOOR, Ladder, Loss, decibels, lossy_power, power
from quadrat_studies.bilevel.macros import MACROS, SKIP, Cell
from quadrat_studies.bilevel.masks import Mask, Specs

FAMILIES = ("butterworth", "chebyshev", "elliptic", "bessel", "random")


@final
@dataclass(frozen=True)
class Samples:
    """N circuits. ``ids`` (N, K) with SKIP = 8; ``x`` and ``x_real`` (N, K, 2): ideal and bought values."""

    ids: Tensor
    x: Tensor
    x_real: Tensor
    specs: Specs
    fc: Tensor
    order: Tensor
    family: Tensor
    data: DataConfig

    def __len__(self) -> int:
        return len(self.ids)

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Samples:
        """Every column changed in the same way."""
        return Samples(
            change(self.ids),
            change(self.x),
            change(self.x_real),
            self.specs.mapped(change),
            change(self.fc),
            change(self.order),
            change(self.family),
            self.data,
        )

    def take(self, rows: Tensor | slice) -> Samples:
        """Some of the circuits."""
        return self.mapped(lambda part: part[rows])

    def to(self, device: str) -> Samples:
        """On another device."""
        return self.mapped(lambda part: part.to(device))

    @property
    def lengths(self) -> Tensor:
        """Cells in use."""
        return (self.ids != SKIP).sum(1)

    @property
    def loss(self) -> Loss:
        """How lossy bought parts are."""
        return Loss(self.data.q_l, self.data.q_c, self.data.q_model)

    @cached_property
    def w(self) -> Tensor:
        """Normalised frequencies (N, F)."""
        found = torch.empty(len(self), self.data.points, dtype=torch.float64, device=self.ids.device)
        for index, kind in enumerate(TYPES):
            rows = self.specs.kind == index
            if rows.any():
                found[rows] = grid(kind, d=self.specs.d[rows].cpu(), points=self.data.points).to(found.device)
        return found

    @cached_property
    def ladder(self) -> Ladder:
        """The ideal circuits."""
        return Ladder.of(self.ids, self.x)

    @cached_property
    def ideal(self) -> tuple[Tensor, Tensor]:
        """|S21| and |S11| in dB of the ideal circuits, (N, F) each, not below -240."""
        found = power(self.ladder, self.w)
        return decibels(found[0], floor=FLOOR), decibels(found[1], floor=FLOOR)

    @cached_property
    def real(self) -> tuple[Tensor, Tensor]:
        """The same for the bought parts: standard values, tolerance, finite Q."""
        found = lossy_power(Ladder.of(self.ids, self.x_real), self.w, loss=self.loss)
        return decibels(found[0], floor=FLOOR), decibels(found[1], floor=FLOOR)

    def mask(self, *, margin: float) -> Mask:
        """What the circuits are asked for."""
        return self.specs.mask(self.w, margin=margin)

    def kind_names(self) -> list[FilterType]:
        """Filter types, by circuit."""
        return [TYPES[index] for index in self.specs.kind.tolist()]


def tensors(circuits: Sequence[Sequence[Cell]], *, k: int | None = None) -> tuple[Tensor, Tensor]:
    """Cells as ``ids`` (N, K) and logs of values (N, K, 2), padded with SKIP."""
    k = k or max(len(cells) for cells in circuits)
    ids = [[macro for macro, _ in cells] + [SKIP] * (k - len(cells)) for cells in circuits]
    logs = [
        [[math.log(v[0]), math.log(v[1]) if len(v) > 1 else 0.0] for _, v in cells] + [[0.0, 0.0]] * (k - len(cells))
        for cells in circuits
    ]
    return torch.tensor(ids), torch.tensor(logs, dtype=torch.float64)


def cells_of(ids: Sequence[int], x: Sequence[Sequence[float]]) -> list[Cell]:
    """The inverse of ``tensors`` for one circuit; SKIPs are left out."""
    return [
        (macro, tuple(math.exp(value) for value in values[: len(MACROS[macro].slots)]))
        for macro, values in zip(ids, x, strict=True)
        if macro != SKIP
    ]


def si_scale(ids: Tensor, fc: Tensor, z0: float) -> Tensor:
    """SI value over dimensionless value, (N, K, 2): Z0 / w0 for inductors, 1 / (Z0 w0) for capacitors."""
    is_l = torch.tensor(
        [[slot < len(m.slots) and m.slots[slot] == "L" for slot in (0, 1)] for m in MACROS] + [[False, False]],
        device=ids.device,
    )[ids]
    per = 1 / (2 * math.pi * fc)[:, None, None]
    return torch.where(is_l, z0 * per, per / z0)
