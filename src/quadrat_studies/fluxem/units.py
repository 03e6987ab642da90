"""Units and quantities, in exact arithmetic: converting, adding, multiplying, and refusing with both dimensions named.

Every unit is one affine map to SI, ``si = value * factor + zero``, with rational ``factor`` and ``zero``, so nothing
here is rounded. Three kinds of scale keep temperatures honest:

    ratio        0 means nothing there: metre, kilogram, kelvin
    offset       0 is a convention: degree Celsius, degree Fahrenheit (a point on a scale)
    difference   a distance between two points of an offset scale: delta_degC, delta_degF

    can_add      ratio   offset   difference        can_subtract  ratio   offset   difference    (left - right)
    ratio        yes     no       yes               ratio         yes     yes      yes
    offset       no      no       yes               offset        no      yes      yes
    difference   yes     yes      yes               difference    yes     no       yes

both only between units of one dimension. What is refused has no reading or two: 20 degC + 5 degC may mean 25 degC or,
through kelvin, 298.15 degC, and kelvin beside a scale may be a point or a difference. 20 degC + 5 delta_degC has one
reading; so has 300 K - 20 degC, since only a point can lose a point. Equal dimension is all that is asked besides:
torque and energy can be added.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal, final

from quadrat_studies.fluxem.dimensions import Dimension, DimensionError

Scale = Literal["ratio", "offset", "difference"]
Exact = int | Fraction | Decimal | str
"""A number that is what it says. Of a float say which is meant: ``str(x)`` as it prints, or ``Fraction(x)``."""

_ADDABLE = frozenset(
    {("ratio", "ratio"), ("ratio", "difference"), ("offset", "difference")}
    | {("difference", "ratio"), ("difference", "offset"), ("difference", "difference")}
)
_SUBTRACTABLE = (_ADDABLE - {("difference", "offset")}) | {("offset", "offset"), ("ratio", "offset")}
_POINT_AND_DISTANCE = frozenset({"offset", "difference"})


class UnitError(DimensionError):
    """Units of one dimension that still cannot be combined, or a text that is no unit."""


@final
@dataclass(frozen=True, slots=True)
class Unit:
    """A unit under the name it was written with. ``zero`` is the SI value at which an offset scale reads 0."""

    text: str
    dimension: Dimension
    factor: Fraction
    zero: Fraction = Fraction(0)
    scale: Scale = "ratio"

    def __post_init__(self) -> None:
        if self.factor <= 0:
            raise ValueError(f"the unit {self.text!r} needs a positive factor, not {self.factor}.")

    def __mul__(self, other: Unit) -> Unit:
        _compoundable(self, other)
        return Unit(f"{self.text}*{other.text}", self.dimension * other.dimension, self.factor * other.factor)

    def __truediv__(self, other: Unit) -> Unit:
        _compoundable(self, other)
        return Unit(f"{self.text}/({other.text})", self.dimension / other.dimension, self.factor / other.factor)

    def __pow__(self, power: int) -> Unit:
        _compoundable(self)
        return Unit(f"({self.text})^{power}", self.dimension**power, self.factor**power)


@final
@dataclass(frozen=True, slots=True)
class Conversion:
    """``target = source * scale + shift``, exact."""

    scale: Fraction
    shift: Fraction

    def exact(self, value: Exact) -> Fraction:
        """One number without rounding."""
        return Fraction(value) * self.scale + self.shift

    def __call__(self, values: Any) -> Any:
        """Numbers, arrays or tensors in floating point: one multiplication, one addition."""
        return values * float(self.scale) + float(self.shift)


@final
@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with a unit."""

    value: Fraction
    unit: Unit

    @classmethod
    def of(cls, value: Exact, unit: Unit) -> Quantity:
        """From a number that need not be a fraction."""
        return cls(Fraction(value), unit)

    @property
    def si(self) -> Fraction:
        """The number in SI base units; of an offset scale the absolute one, in kelvin."""
        return self.value * self.unit.factor + self.unit.zero

    def to(self, unit: Unit) -> Quantity:
        """The same quantity in another unit."""
        return Quantity(conversion(self.unit, unit).exact(self.value), unit)

    def __add__(self, other: Quantity) -> Quantity:
        if not can_add(self.unit, other.unit):
            raise _refusal("add", self.unit, other.unit)
        if other.unit.scale == "offset":
            return other + self
        step = other.value * other.unit.factor / self.unit.factor
        return Quantity(self.value + step, self.unit)

    def __sub__(self, other: Quantity) -> Quantity:
        if not can_subtract(self.unit, other.unit):
            raise _refusal("subtract", self.unit, other.unit)
        if other.unit.scale == "offset":
            gap = self.unit
            if gap.scale == "offset":
                gap = Unit(f"delta_{gap.text}", gap.dimension, gap.factor, scale="difference")
            return Quantity((self.si - other.si) / gap.factor, gap)
        return self + Quantity(-other.value, other.unit)

    def __mul__(self, other: Quantity) -> Quantity:
        return Quantity(self.value * other.value, self.unit * other.unit)

    def __truediv__(self, other: Quantity) -> Quantity:
        return Quantity(self.value / other.value, self.unit / other.unit)

    def __pow__(self, power: int) -> Quantity:
        return Quantity(self.value**power, self.unit**power)


def can_add(left: Unit, right: Unit) -> bool:
    """Whether ``left + right`` has one meaning: equal dimensions, and the table at the top of this file."""
    return left.dimension == right.dimension and (left.scale, right.scale) in _ADDABLE


def can_subtract(left: Unit, right: Unit) -> bool:
    """Whether ``left - right`` has one meaning: equal dimensions, and the table at the top of this file."""
    return left.dimension == right.dimension and (left.scale, right.scale) in _SUBTRACTABLE


def can_convert(source: Unit, target: Unit) -> bool:
    """Whether one can be expressed in the other: equal dimensions, and not a point as a distance or back."""
    return source.dimension == target.dimension and frozenset((source.scale, target.scale)) != _POINT_AND_DISTANCE


def conversion(source: Unit, target: Unit) -> Conversion:
    """How numbers of ``source`` become numbers of ``target``.

    Raises:
        DimensionError: the dimensions differ; both are named.
        UnitError: a temperature and a temperature difference.
    """
    if not can_convert(source, target):
        raise _refusal("convert", source, target)
    return Conversion(source.factor / target.factor, (source.zero - target.zero) / target.factor)


def _compoundable(*units: Unit) -> None:
    for unit in units:
        if unit.scale == "offset":
            raise UnitError(
                f"{unit.text} has a zero of its own and cannot be part of a product, a quotient or a power. "
                f"Try delta_{unit.text} for a difference, or K."
            )


_WORDS = {"add": ("add", "and"), "subtract": ("subtract", "and"), "convert": ("convert", "to")}


def _refusal(verb: Literal["add", "subtract", "convert"], left: Unit, right: Unit) -> DimensionError:
    word, joint = _WORDS[verb]
    what = f"cannot {word} {left.text} {joint} {right.text}: "
    if left.dimension != right.dimension:
        what += f"{left.text} measures {left.dimension.described()}, {right.text} {right.dimension.described()}. "
        return DimensionError(what + f"Try units of the same dimension, {left.dimension}.")
    what += f"both measure {left.dimension.described()}, but {_scales(left, right)}. "
    offset = left if left.scale == "offset" else right
    if verb == "convert":
        return UnitError(what + f"Try a point on a scale such as {offset.text} or K, or a difference on both sides.")
    return UnitError(what + f"Try delta_{offset.text} for the one that is a difference, or K for both.")


def _scales(left: Unit, right: Unit) -> str:
    kinds = {
        "ratio": "counts from nothing",
        "offset": "is a point on a scale whose zero is a convention",
        "difference": "is a difference of two points",
    }
    if left.scale == right.scale:
        return f"each {kinds[left.scale]}"
    return f"{left.text} {kinds[left.scale]} and {right.text} {kinds[right.scale]}"
