"""Normalised lowpass prototypes: families, their attenuation, the order a specification needs.

``edge_db`` is the attenuation at Omega = 1 for every family: the ripple of a Chebyshev or elliptic filter, and the
edge loss (3.01 dB when nothing else is asked for) of a Butterworth or Bessel one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, final

import numpy as np

from quadrat_studies.bilevel import elliptic

Family = Literal["butterworth", "chebyshev", "elliptic", "bessel"]
Array = np.ndarray
THREE_DB = 10 * math.log10(2)
HIGHEST_ORDER = 24


@final
@dataclass(frozen=True)
class Prototype:
    """A lowpass characteristic with its edge at Omega = 1.

    Attributes:
        family: the approximation.
        order: its degree.
        edge_db: attenuation at Omega = 1.
        stop_db: least attenuation of the stopband, for the elliptic family.
    """

    family: Family
    order: int
    edge_db: float = THREE_DB
    stop_db: float = 40.0

    def __post_init__(self) -> None:
        if not 1 <= self.order <= HIGHEST_ORDER:
            raise ValueError(f"an order lies in 1 .. {HIGHEST_ORDER}, but got {self.order}")
        if not 0 < self.edge_db < self.stop_db:
            raise ValueError(f"edge_db ({self.edge_db}) must lie between 0 and stop_db ({self.stop_db})")

    @property
    def epsilon(self) -> float:
        """sqrt(10^(edge_db / 10) - 1)."""
        return math.sqrt(math.expm1(self.edge_db * math.log(10) / 10))

    @property
    def dc_loss(self) -> float:
        """10^(attenuation at zero frequency / 10): 1 + epsilon^2 for an even order with ripple, else 1."""
        ripples = self.family in ("chebyshev", "elliptic") and self.order % 2 == 0
        return 1 + self.epsilon**2 if ripples else 1.0

    @cached_property
    def modulus(self) -> float:
        """Elliptic: the selectivity k; the stopband begins at 1/k."""
        return elliptic.selectivity(self.order, self.epsilon / _epsilon(self.stop_db))

    @cached_property
    def bessel_scale(self) -> float:
        """Bessel: the frequency, in units of one over the delay, at which the attenuation is ``edge_db``."""
        low, high = 0.0, 4.0 * self.order
        wanted = self.epsilon**2
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if _bessel_excess(self.order, np.array(middle)) < wanted else (low, middle)
        return high

    def excess(self, omega: Array) -> Array:
        """|1 / S21|^2 - 1 relative to the best gain: the square of the characteristic function."""
        omega = np.abs(np.asarray(omega, dtype=np.float64))
        match self.family:
            case "butterworth":
                return self.epsilon**2 * omega ** (2 * self.order)
            case "chebyshev":
                return self.epsilon**2 * _chebyshev(self.order, omega) ** 2
            case "bessel":
                return _bessel_excess(self.order, omega * self.bessel_scale)
            case "elliptic":
                return self.epsilon**2 * self._elliptic_function(omega) ** 2

    def attenuation_db(self, omega: Array) -> Array:
        """Attenuation, in dB above the smallest one."""
        return 10 / math.log(10) * np.log1p(self.excess(omega))

    def zeros(self) -> list[float]:
        """Finite frequencies of infinite attenuation (elliptic only)."""
        if self.family != "elliptic":
            return []
        return [1 / (self.modulus * x) for x in self._reflection()]

    def stop_edge(self, stop_db: float) -> float:
        """The smallest Omega from which on the attenuation stays at ``stop_db`` or more.

        Raises:
            ValueError: an elliptic filter of another stopband is asked for its own.
        """
        if self.family == "elliptic":
            if stop_db > self.stop_db:
                raise ValueError(f"this elliptic filter reaches {self.stop_db} dB, not {stop_db} dB")
            return 1 / self.modulus if stop_db == self.stop_db else _bisect(self, stop_db, 1 / self.modulus)
        wanted = _epsilon(stop_db) / self.epsilon
        if self.family == "butterworth":
            return wanted ** (1 / self.order)
        if self.family == "chebyshev":
            return math.cosh(math.acosh(max(wanted, 1.0)) / self.order)
        return _bisect(self, stop_db, 1e4)

    def _reflection(self) -> list[float]:
        """Positive frequencies of no reflection of an elliptic filter."""
        return [elliptic.cd((2 * i - 1) / self.order, self.modulus).real for i in range(1, self.order // 2 + 1)]

    def _elliptic_function(self, omega: Array) -> Array:
        value = omega ** (self.order % 2)
        at_edge = 1.0
        for x in self._reflection():
            pole = 1 / (self.modulus * x)
            with np.errstate(divide="ignore"):
                value = value * (omega**2 - x**2) / (omega**2 - pole**2)
            at_edge *= (1 - x**2) / (1 - pole**2)
        return value / at_edge


def minimum_order(
    family: Family, *, edge_db: float, stop_db: float, selectivity: float, only_odd: bool = False
) -> Prototype:
    """The smallest prototype with at most ``edge_db`` up to Omega = 1 and ``stop_db`` from ``selectivity`` on.

    Raises:
        ValueError: no order up to the highest one is enough, or the stopband does not lie outside the passband.
    """
    if selectivity <= 1:
        raise ValueError(f"the stopband must begin outside the passband, but its edge is at Omega = {selectivity:.4g}")
    for order in range(3 if family == "elliptic" else 1, HIGHEST_ORDER + 1):
        if (only_odd or family == "elliptic") and order % 2 == 0:
            continue
        prototype = Prototype(family, order, edge_db, stop_db)
        if prototype.stop_edge(stop_db) <= selectivity * (1 + 1e-12):
            return prototype
    raise ValueError(
        f"no {family} filter up to order {HIGHEST_ORDER} has {stop_db} dB at Omega = {selectivity:.4g}: relax the "
        "stopband, or take another family"
    )


def bessel_polynomial(order: int) -> list[int]:
    """Coefficients of the reverse Bessel polynomial, highest power first."""
    return [
        math.factorial(2 * order - k) // (2 ** (order - k) * math.factorial(k) * math.factorial(order - k))
        for k in range(order, -1, -1)
    ]


def _epsilon(db: float) -> float:
    return math.sqrt(math.expm1(db * math.log(10) / 10))


def _chebyshev(order: int, omega: Array) -> Array:
    inside = np.cos(order * np.arccos(np.minimum(omega, 1.0)))
    return np.where(omega <= 1, inside, np.cosh(order * np.arccosh(np.maximum(omega, 1.0))))


def _bessel_excess(order: int, omega: Array) -> Array:
    # |theta(j w)|^2 / theta(0)^2 - 1 as a polynomial in w^2, whose constant term is dropped exactly.
    return np.polyval(bessel_excess_polynomial(order), omega**2)


def bessel_excess_polynomial(order: int) -> list[float]:
    """|theta(j w)|^2 / theta(0)^2 - 1 by powers of w^2, highest first."""
    theta = bessel_polynomial(order)[::-1]
    squares = [0] * (order + 1)
    for i, a in enumerate(theta):
        for j, b in enumerate(theta):
            if (i + j) % 2 == 0:
                squares[(i + j) // 2] += a * b * (-1) ** ((i + j) // 2 + j)
    return [s / theta[0] ** 2 for s in squares[:0:-1]] + [0.0]


def _bisect(prototype: Prototype, stop_db: float, high: float) -> float:
    low = 1.0
    for _ in range(100):
        middle = math.sqrt(low * high)
        enough = float(prototype.attenuation_db(np.array(middle))) >= stop_db
        low, high = (low, middle) if enough else (middle, high)
    return high
