"""What a filter is asked for, and whether a curve delivers it.

The mask follows from the prototype, so that the exact filter meets it for every type: pass where Omega <= 1 with the
edge attenuation (3.01 dB for a Butterworth filter, not its absent ripple), stop where Omega >= the stop edge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from quadrat_studies.bilevel.bands import TYPES, omega

RIM = 1e-9
"""Relative width by which a band includes its own edge in floating point."""


@final
@dataclass(frozen=True, slots=True)
class Specs:
    """A batch of specifications, (B,) each.

    Attributes:
        kind: index into ``TYPES``.
        d: fractional bandwidth (1 for lowpass and highpass).
        pass_db: greatest loss in the passband.
        stop_edge: Omega from which on the stopband reaches.
        stop_db: least loss there.
        gain_db: the level that losses are counted from; 0 between equal ends.
    """

    kind: Tensor
    d: Tensor
    pass_db: Tensor
    stop_edge: Tensor
    stop_db: Tensor
    gain_db: Tensor

    def __len__(self) -> int:
        return len(self.kind)

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Specs:
        """Every column changed in the same way."""
        parts = (self.kind, self.d, self.pass_db, self.stop_edge, self.stop_db, self.gain_db)
        return Specs(*(change(part) for part in parts))

    def take(self, rows: Tensor | slice) -> Specs:
        """Some of them."""
        return self.mapped(lambda part: part[rows])

    def omega(self, w: Tensor) -> Tensor:
        """Prototype frequencies of ``w`` (B, F), each row by its own type."""
        found = torch.empty_like(w)
        for index, kind in enumerate(TYPES):
            rows = self.kind == index
            if rows.any():
                found[rows] = omega(kind, w[rows], d=self.d[rows, None])
        return found

    def mask(self, w: Tensor, *, margin: float = 0.0) -> Mask:
        """Bounds of |S21| in dB at ``w`` (B, F), widened by ``margin`` dB."""
        seen = self.omega(w)
        nothing = torch.full_like(w, torch.nan)
        low, high = (self.gain_db - self.pass_db - margin)[:, None], (self.gain_db - self.stop_db + margin)[:, None]
        return Mask(
            torch.where(seen <= 1 + RIM, low, nothing),
            torch.where(seen >= self.stop_edge[:, None] * (1 - RIM), high, nothing),
        )


@final
@dataclass(frozen=True, slots=True)
class Mask:
    """Bounds of |S21| in dB, (B, F); NaN where nothing is asked for."""

    low: Tensor
    high: Tensor

    def take(self, rows: Tensor | slice) -> Mask:
        """Some of them."""
        return Mask(self.low[rows], self.high[rows])

    def shortfall(self, curve: Tensor) -> tuple[Tensor, Tensor]:
        """By how many dB a curve (B, F) is too low in the passband and too high in the stopband, 0 where it is not."""
        low = torch.where(self.low.isnan(), 0.0, self.low - curve).clamp_min(0.0)
        high = torch.where(self.high.isnan(), 0.0, curve - self.high).clamp_min(0.0)
        return low, high

    def passes(self, curve: Tensor) -> Tensor:
        """Whether every bound holds, (B,). A curve that is not finite passes nothing."""
        low, high = self.shortfall(curve)
        return (low.amax(1) <= 0) & (high.amax(1) <= 0) & curve.isfinite().all(1)

    def constrained(self) -> Tensor:
        """Which circuits are asked for anything at all, (B,)."""
        return ~(self.low.isnan() & self.high.isnan()).all(1)
