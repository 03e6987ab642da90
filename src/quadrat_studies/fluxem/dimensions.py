"""Physical dimensions: seven integer exponents, and the errors that arise when two of them do not agree.

A dimension is a vector; multiplying quantities adds the vectors, dividing subtracts them, a power scales them.
The order of the exponents is mass, length, time, current, temperature, amount, luminous intensity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import final

SYMBOLS = ("M", "L", "T", "I", "Θ", "N", "J")
LARGEST_EXPONENT = 99


class DimensionError(ValueError):
    """Two dimensions that would have to agree and do not, or one that cannot be what was asked of it."""


@final
@dataclass(frozen=True, slots=True)
class Dimension:
    """Exponents of the seven base quantities, in the order of ``SYMBOLS``. Equal exponents are the same dimension.

    Raises:
        ValueError: not seven integers, or one beyond ``LARGEST_EXPONENT``.
    """

    exponents: tuple[int, ...] = (0,) * 7

    def __post_init__(self) -> None:
        if len(self.exponents) != len(SYMBOLS):
            raise ValueError(f"a dimension has {len(SYMBOLS)} exponents ({', '.join(SYMBOLS)}), not {self.exponents!r}")
        if any(abs(exponent) > LARGEST_EXPONENT for exponent in self.exponents):
            raise ValueError(f"exponents beyond {LARGEST_EXPONENT} are no physics: {self.exponents}")

    @classmethod
    def of(cls, exponents: Mapping[str, int]) -> Dimension:
        """The dimension of a mapping from symbol to exponent; what it leaves out is 0.

        Raises:
            ValueError: a symbol that is none of the seven.
        """
        unknown = sorted(set(exponents) - set(SYMBOLS))
        if unknown:
            raise ValueError(f"no base dimension is called {', '.join(unknown)}; there are {', '.join(SYMBOLS)}.")
        return cls(tuple(exponents.get(symbol, 0) for symbol in SYMBOLS))

    def as_dict(self) -> dict[str, int]:
        """Symbol to exponent, zeros left out: ``{"L": 1, "T": -1}``."""
        return {symbol: exponent for symbol, exponent in zip(SYMBOLS, self.exponents, strict=True) if exponent}

    def __mul__(self, other: Dimension) -> Dimension:
        return Dimension(tuple(a + b for a, b in zip(self.exponents, other.exponents, strict=True)))

    def __truediv__(self, other: Dimension) -> Dimension:
        return Dimension(tuple(a - b for a, b in zip(self.exponents, other.exponents, strict=True)))

    def __pow__(self, power: int) -> Dimension:
        return Dimension(tuple(exponent * power for exponent in self.exponents))

    def root(self, degree: int) -> Dimension:
        """The dimension whose ``degree``-th power this is.

        Raises:
            DimensionError: an exponent is no multiple of ``degree``.
        """
        if degree < 1 or any(exponent % degree for exponent in self.exponents):
            raise DimensionError(
                f"{self.described()} has no root of degree {degree}: its exponents would not be integers. "
                f"Try a quantity whose exponents are multiples of {degree}."
            )
        return Dimension(tuple(exponent // degree for exponent in self.exponents))

    def __str__(self) -> str:
        parts = (symbol if power == 1 else f"{symbol}^{power}" for symbol, power in self.as_dict().items())
        return " ".join(parts) or "1"

    def described(self) -> str:
        """For messages: the name where there is one, and the exponents: ``velocity (L T^-1)``."""
        name = _NAMES.get(self)
        return f"{name} ({self})" if name else f"the dimension {self}"


DIMENSIONLESS = Dimension()

NAMED: Mapping[str, Dimension] = MappingProxyType(
    {
        name: Dimension.of(exponents)
        for name, exponents in {
            "a pure number": {},
            "mass": {"M": 1},
            "length": {"L": 1},
            "time": {"T": 1},
            "electric current": {"I": 1},
            "temperature": {"Θ": 1},
            "amount of substance": {"N": 1},
            "luminous intensity": {"J": 1},
            "area": {"L": 2},
            "volume": {"L": 3},
            "velocity": {"L": 1, "T": -1},
            "acceleration": {"L": 1, "T": -2},
            "frequency": {"T": -1},
            "momentum": {"M": 1, "L": 1, "T": -1},
            "mass flow": {"M": 1, "T": -1},
            "density": {"M": 1, "L": -3},
            "force": {"M": 1, "L": 1, "T": -2},
            "energy": {"M": 1, "L": 2, "T": -2},
            "power": {"M": 1, "L": 2, "T": -3},
            "pressure": {"M": 1, "L": -1, "T": -2},
            "charge": {"I": 1, "T": 1},
            "voltage": {"M": 1, "L": 2, "T": -3, "I": -1},
            "resistance": {"M": 1, "L": 2, "T": -3, "I": -2},
            "capacitance": {"M": -1, "L": -2, "T": 4, "I": 2},
        }.items()
    }
)
"""Dimensions that have a name. Torque has the exponents of energy: exponents tell no kinds of quantity apart."""

_NAMES: Mapping[Dimension, str] = MappingProxyType({dimension: name for name, dimension in NAMED.items()})
