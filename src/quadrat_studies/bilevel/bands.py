"""Filter types: how a frequency is seen by the lowpass prototype, how its parts are transformed, where to look.

Frequencies ``w`` are in units of the centre (or edge) frequency, ``d`` is the fractional bandwidth. One map gives all
four types their masks: a frequency is in the passband when its Omega is at most one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from quadrat_studies.bilevel.macros import (
    SER_C,
    SER_L,
    SER_RESO,
    SER_TANK,
    SHUNT_L,
    SHUNT_NOTCH,
    SHUNT_RESO,
    Cell,
)

FilterType = Literal["lowpass", "highpass", "bandpass", "bandstop"]
TYPES: tuple[FilterType, ...] = ("lowpass", "highpass", "bandpass", "bandstop")
"""In the order of the model's type embedding."""


def omega(kind: FilterType, w: Tensor, *, d: Tensor | float = 1.0) -> Tensor:
    """The prototype frequency of ``w``. Band edges are geometric: sqrt(1 + d^2/4) -+ d/2."""
    match kind:
        case "lowpass":
            return w
        case "highpass":
            return 1 / w
        case "bandpass":
            return (w - 1 / w).abs() / d
        case "bandstop":
            # Infinite at the centre; a large number keeps the arithmetic finite.
            return d / (w - 1 / w).abs().clamp_min(1e-12)


def frequency(kind: FilterType, prototype_frequency: float, *, d: float = 1.0) -> tuple[float, ...]:
    """The inverse of ``omega``: one frequency for lowpass and highpass, a pair (lower, upper) for bands."""
    if kind == "lowpass":
        return (prototype_frequency,)
    if kind == "highpass":
        return (1 / prototype_frequency,)
    half = d * prototype_frequency / 2 if kind == "bandpass" else d / prototype_frequency / 2
    upper = half + math.sqrt(1 + half * half)
    return 1 / upper, upper


def transform(cells: Sequence[Cell], kind: FilterType, *, d: float = 1.0) -> list[Cell]:
    """Lowpass cells as cells of another type. Every lowpass part becomes one cell, a resonator becomes two in bands."""
    return [cell for macro, values in cells for cell in _transformed(macro, values, kind, d=d)]


def _transformed(macro: int, values: tuple[float, ...], kind: FilterType, *, d: float) -> list[Cell]:
    if kind == "lowpass":
        return [(macro, values)]
    if len(values) == 2:
        # For a notch the roles of l and c are those of c and l in a tank.
        ind, cap = values
        if kind == "highpass":
            return [(macro, (1 / cap, 1 / ind))]
        pairs = _pair(cap if macro == SER_TANK else ind, 1 / math.sqrt(ind * cap), kind, d=d)
        return [(macro, (other, own) if macro == SER_TANK else (own, other)) for own, other in pairs]
    g = values[0]
    series = macro == SER_L
    if kind == "highpass":
        return [(SER_C if series else SHUNT_L, (1 / g,))]
    if kind == "bandpass":
        return [(SER_RESO, (g / d, d / g)) if series else (SHUNT_RESO, (d / g, g / d))]
    return [(SER_TANK, (d * g, 1 / (d * g))) if series else (SHUNT_NOTCH, (1 / (d * g), d * g))]


def _pair(own: float, resonance: float, kind: FilterType, *, d: float) -> list[tuple[float, float]]:
    """A lowpass resonator of capacitance ``own`` (of a tank) as two tanks, (C, L) each, by partial fractions."""
    half = d * resonance / 2 if kind == "bandpass" else d / resonance / 2
    upper = half + math.sqrt(1 + half * half)
    strength = d / own if kind == "bandpass" else d / (own * resonance**2)
    found: list[tuple[float, float]] = []
    for w in (1 / upper, upper):
        residue = strength * (1 - w**2) / (w**-2 - w**2)
        found.append((1 / residue, residue / w**2))
    return found


def grid(kind: FilterType, *, d: Tensor | float, points: int) -> Tensor:
    """Log-spaced normalised frequencies, (B, points): a decade to both sides, or 2.5 bandwidths around the centre."""
    width = torch.as_tensor(d, dtype=torch.float64).reshape(-1, 1)
    if kind in ("lowpass", "highpass"):
        low, high = torch.full_like(width, 0.1), torch.full_like(width, 10.0)
    else:
        span = (2.5 * width).clamp_min(0.2)
        low, high = (1 - span).clamp_min(0.1), 1 + span
    steps = torch.linspace(0, 1, points, dtype=torch.float64)
    return torch.exp(low.log() + (high / low).log() * steps)
