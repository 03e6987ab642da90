"""Quantities as vectors in which multiplying is adding: the algebraic embedding of a number with its unit.

    0        log2 of the magnitude in SI base units      4 .. 10   the seven exponents, order of dimensions.SYMBOLS
    1, 2, 3  counts of signs, zeros and poles            11, 12    1 for an offset scale, 1 for a difference

The first eleven coordinates are a homomorphism: the code of a product is the sum of the codes, of a quotient their
difference (zeros and poles change places, as in ``algebra``). So a conversion is one subtraction, source minus one
target unit, and two quantities are commensurable when coordinates 4 .. 10 agree. What the vector was given, and a
network that reads it need not find out, is the table of units.

``phases`` holds the same logarithm once more, to base 10 and wrapped: (cos, sin) of its phase at 1, 10 and 100 turns a
decade, where the digits of a mantissa live. Multiplying turns every circle.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from quadrat_studies.fluxem import algebra
from quadrat_studies.fluxem.units import Quantity

WIDTH = 13
EXPONENTS = slice(4, 11)
TURNS = (1, 10, 100)


def encode(quantities: Sequence[Quantity], dtype: algebra.DType = "float64") -> np.ndarray:
    """Codes ``[N, 13]``."""
    code = np.zeros((len(quantities), WIDTH), dtype)
    code[:, :4] = algebra.encode_log(np.array([float(quantity.si) for quantity in quantities]), dtype)
    for row, quantity in zip(code, quantities, strict=True):
        row[EXPONENTS] = quantity.unit.dimension.exponents
        row[11], row[12] = quantity.unit.scale == "offset", quantity.unit.scale == "difference"
    return code


def phases(quantities: Sequence[Quantity]) -> np.ndarray:
    """Phases of the magnitude in SI base units, ``[N, 6]``: cos and sin at each of ``TURNS``; zeros for 0."""
    values = np.array([abs(float(quantity.si)) for quantity in quantities])
    phase = 2 * math.pi * np.log10(np.where(values > 0, values, 1.0))[:, None] * np.array(TURNS)
    found = np.stack([np.cos(phase), np.sin(phase)], axis=-1).reshape(len(values), -1)
    return np.where(values[:, None] > 0, found, 0.0)


QUANTITY_FEATURES: Mapping[str, Callable[[Sequence[Quantity]], np.ndarray]] = MappingProxyType(
    {"quantity": encode, "phases": phases}
)
"""The groups of coordinates that ``model.number_features`` may name."""
