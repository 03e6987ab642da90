"""Standard values (IEC 60063): the nearest one on a logarithmic scale."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Series = Literal["E12", "E24", "E96"]
E24 = (10, 11, 12, 13, 15, 16, 18, 20, 22, 24, 27, 30, 33, 36, 39, 43, 47, 51, 56, 62, 68, 75, 82, 91)
MANTISSAS: dict[str, tuple[float, ...]] = {
    "E12": tuple(value / 10 for value in E24[::2]),
    "E24": tuple(value / 10 for value in E24),
    "E96": tuple(round(10 ** (step / 96), 2) for step in range(96)),
}
PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "u", -3: "m", 0: ""}


def snap(values: Tensor, series: Series, *, shift: Tensor | int = 0) -> Tensor:
    """The nearest standard values by ratio, ``shift`` places further up the series."""
    table = torch.tensor(MANTISSAS[series], dtype=torch.float64, device=values.device)
    size = len(table)
    logs = values.log10()
    decade = logs.floor()
    steps = torch.cat((table.log10() - 0.0, torch.ones(1, dtype=torch.float64, device=values.device)))
    middles = (steps[1:] + steps[:-1]) / 2
    place = torch.searchsorted(middles, logs - decade) + shift
    decade = decade + torch.div(place, size, rounding_mode="floor")
    return table[place % size] * 10.0**decade


def label(kind: str, value: float) -> str:
    """``L_3.3nH``: kind, three significant digits, SI prefix."""
    exponent = max(-15, min(0, 3 * math.floor(math.log10(value) / 3 + 1e-12)))
    return f"{kind}_{value / 10.0**exponent:.3g}{PREFIXES[exponent]}{'H' if kind == 'L' else 'F'}"


def written(value: float, unit: str) -> str:
    """``3.3 nH``: a value for people, three significant digits."""
    exponent = max(-15, min(0, 3 * math.floor(math.log10(value) / 3 + 1e-12)))
    return f"{value / 10.0**exponent:.3g} {PREFIXES[exponent]}{unit}"
