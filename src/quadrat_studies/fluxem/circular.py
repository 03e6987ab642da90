"""Two codes made of circles, in which adding numbers is turning: exact for integers however large.

    circle code    [..., 2 D]   (cos, sin)(2 pi x / 10**i), i = 1 .. D     FoNE, arXiv 2502.09741
    residue code   [..., 2 M]   (cos, sin)(2 pi x / m) for coprime m          x is known modulo their product

The angle of ``a + b`` is the sum of the angles, for every circle on its own and without a carry. A product is a
function of the factors' residues as well, one table a modulus. The Chinese remainder theorem puts residues together.

Works on numpy arrays of integers below 2**63 in size, any leading shape. A negative number turns the other way, so
its digits read as ten's complement: -1 is ..999.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[Any]
LARGEST = 2**63
_TABLE = 4096


class TooManyNumbers(ArithmeticError):
    """The moduli tell more numbers apart than 64 bits hold."""


def encode_circles(x: Integers, periods: Sequence[int]) -> NDArray[np.float32]:
    """Points on circles, ``[..., 2 len(periods)]``: cosine and sine of each period in turn."""
    x = np.asarray(x, np.int64)
    code = np.empty((*x.shape, 2 * len(periods)), np.float32)
    for place, period in enumerate(periods):
        rest = x % period
        if period <= _TABLE:
            angle = np.arange(period) * (2 * np.pi / period)
            code[..., 2 * place : 2 * place + 2] = np.stack([np.cos(angle), np.sin(angle)], -1)[rest]
        else:
            # The remainder is exact; only the angle is rounded.
            angle = (rest * (2 * np.pi / period)).astype(np.float32)
            code[..., 2 * place], code[..., 2 * place + 1] = np.cos(angle), np.sin(angle)
    return code


def turn(left: Floats, right: Floats) -> Floats:
    """The code of a sum: every pair of points turned by each other (a product of complex numbers)."""
    a, b, c, d = left[..., 0::2], left[..., 1::2], right[..., 0::2], right[..., 1::2]
    return np.stack([a * c - b * d, a * d + b * c], -1).reshape(*left.shape[:-1], -1)


def decode_circles(code: Floats, periods: Sequence[int]) -> Integers:
    """The remainders ``[..., len(periods)]`` that the points lie nearest to."""
    turns = np.arctan2(code[..., 1::2], code[..., 0::2]) / (2 * np.pi)
    counts = np.array(periods)
    return np.rint(turns * counts).astype(np.int64) % counts


def decode_decimal(code: Floats) -> Integers:
    """``x`` modulo ``10**D`` from a circle code of the powers of ten.

    Each circle is read only to a tenth of a turn: what is below its leading digit comes from the circles before it.
    So an angle may be off by a twentieth of a turn, whatever the number of digits.
    """
    turns = np.arctan2(code[..., 1::2], code[..., 0::2]) / (2 * np.pi)
    below = np.zeros(code.shape[:-1], np.int64)
    for place in range(turns.shape[-1]):
        digit = np.rint(turns[..., place] * 10 - below / 10**place).astype(np.int64) % 10
        below = below + digit * 10**place
    return below


def decode_residues(residues: Integers, moduli: Sequence[int]) -> Integers:
    """The integers nearest to 0 with these ``residues`` ``[..., M]`` (Chinese remainder theorem).

    They lie in ``(-P/2, P/2]``, where ``P`` is the product of the coprime ``moduli``.

    Raises:
        TooManyNumbers: a step of the sum would not fit into 64 bits.
    """
    whole = prod(moduli)
    if whole * sum(moduli) >= LARGEST:
        raise TooManyNumbers(f"the product of the moduli {list(moduli)} is too large to be put together in 64 bits")
    weights = [whole // m * pow(whole // m, -1, m) for m in moduli]
    total = reduce(np.add, (residues[..., place] * weight for place, weight in enumerate(weights))) % whole
    return np.where(2 * total > whole, total - whole, total)
