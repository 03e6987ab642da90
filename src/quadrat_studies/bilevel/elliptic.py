"""Elliptic functions with real modulus by Landen's transformation, and the degree equation of elliptic filters.

Arguments are in quarter periods: ``cd(u, k)`` is cd(u K(k), k). Six descending steps take any modulus below
1 - 1e-12 to one that double precision cannot tell from zero. After Orfanidis, Lecture Notes on Elliptic Filter Design.
"""

from __future__ import annotations

import cmath
import math


def moduli(k: float) -> list[float]:
    """The descending sequence of Landen moduli, without ``k`` itself."""
    found: list[float] = []
    while k > 1e-17 and len(found) < 12:
        k = (k / (1 + math.sqrt((1 - k) * (1 + k)))) ** 2
        found.append(k)
    return found


def _ascend(w: complex, k: float) -> complex:
    for v in reversed(moduli(k)):
        w = (1 + v) * w / (1 + v * w * w)
    return w


def cd(u: complex, k: float) -> complex:
    """cd(u K, k)."""
    return _ascend(cmath.cos(u * math.pi / 2), k)


def sn(u: complex, k: float) -> complex:
    """sn(u K, k)."""
    return _ascend(cmath.sin(u * math.pi / 2), k)


def inverse_sn(w: complex, k: float) -> complex:
    """u with sn(u K, k) = w."""
    before = k
    for v in moduli(k):
        w = w / (1 + cmath.sqrt(1 - w * w * before * before)) * 2 / (1 + v)
        before = v
    return 2 / math.pi * cmath.asin(w)


def quarter_period(k: float) -> float:
    """K(k)."""
    return math.pi / 2 * math.prod(1 + v for v in moduli(k))


def period_ratio(k: float) -> float:
    """K'(k) / K(k)."""
    return quarter_period(math.sqrt((1 - k) * (1 + k))) / quarter_period(k)


def selectivity(order: int, k1: float) -> float:
    """The degree equation: the selectivity k (pass edge over stop edge) that ``order`` reaches at discrimination k1."""
    complement = math.sqrt((1 - k1) * (1 + k1))
    product = math.prod(sn((2 * i - 1) / order, complement).real for i in range(1, order // 2 + 1))
    k_complement = complement**order * product**4
    return math.sqrt((1 - k_complement) * (1 + k_complement))
