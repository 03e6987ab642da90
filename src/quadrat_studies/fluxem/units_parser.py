"""From text to a unit: products by ``*``, ``·`` or a space, ``/``, powers by ``^``, ``**`` or superscripts, ``()``.

    km/h      kg m/s^2      J/(kg K)      µm²      1/s      °C

Quotients are read from the left, so ``kg/m/s`` is ``kg m^-1 s^-1``. A product written with a space after a ``/`` has
two readings (``J/kg K``) and is refused. A symbol is looked up whole before a prefix is tried: ``min`` is a minute and
``cd`` a candela.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple, final

from quadrat_studies.fluxem.dimensions import DIMENSIONLESS, LARGEST_EXPONENT, Dimension
from quadrat_studies.fluxem.units import Unit, UnitError
from quadrat_studies.fluxem.units_table import ALIASES, BASE, DEFINITIONS, PREFIXES

LONGEST_TEXT = 200
_SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_MICRO = str.maketrans("μ", "µ")  # the Greek letter for the micro sign
_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<power>(?:\^|\*\*)\s*[+-]?[0-9]+|⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)"
    r"|(?P<times>[*·⋅])"
    r"|(?P<over>/)"
    r"|(?P<open>\()"
    r"|(?P<close>\))"
    r"|(?P<one>1(?![0-9.]))"
    r"|(?P<symbol>[A-Za-zµμΩ°Δ%_]+)"
)


@lru_cache(maxsize=4096)
def parse_unit(text: str) -> Unit:
    """The unit that ``text`` writes; ``1`` is the pure number.

    Raises:
        UnitError: the text is no unit, is ambiguous, or makes a product with an offset temperature.
    """
    if not text.strip() or len(text) > LONGEST_TEXT:
        raise UnitError(f"no unit is written {text[:50]!r}. Try a text such as 'km/h' or 'kg m/s^2'.")
    reader = _Reader(text.strip(), list(_tokens(text.strip())))
    unit = reader.product()
    if reader.place < len(reader.tokens):
        raise reader.refused("a ')' closes nothing")
    return Unit(text.strip(), unit.dimension, unit.factor, unit.zero, unit.scale)


class _Token(NamedTuple):
    kind: str
    text: str


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise UnitError(f"{text[place]!r} in {text!r} is no part of a unit. Powers are written m^2, not m2.")
        place = match.end()
        yield _Token(match.lastgroup, match.group())


@final
@dataclass(slots=True)
class _Reader:
    """Where the parser stands. ``product := factor ((times | over | space) factor)*``."""

    text: str
    tokens: list[_Token]
    place: int = 0

    def refused(self, why: str) -> UnitError:
        return UnitError(f"the unit {self.text!r} cannot be read: {why}. Try a form such as 'J/(kg K)' or 'm s^-2'.")

    def product(self) -> Unit:
        unit, divided = self._factor(), False
        while True:
            joint = self._joint()
            if joint == "":
                return unit
            if joint == "space" and divided:
                raise self.refused("a product by a space after '/' has two readings")
            divided = divided or joint == "over"
            other = self._factor()
            unit = unit / other if joint == "over" else unit * other

    def _joint(self) -> str:
        """What connects to the next factor: ``times``, ``over``, ``space`` (or nothing at all) or the end, ``""``."""
        self._skip()
        kind = self._kind()
        if kind in ("times", "over"):
            self.place += 1
            return kind
        if kind == "one":
            raise self.refused("a power is written m^1, and no number follows a unit")
        return "" if kind in ("", "close") else "space"

    def _factor(self) -> Unit:
        self._skip()
        kind = self._kind()
        self.place += 1
        if kind == "open":
            unit = self.product()
            if self._kind() != "close":
                raise self.refused("a '(' is not closed")
            self.place += 1
        elif kind == "one":
            unit = Unit("1", DIMENSIONLESS, Fraction(1))
        elif kind == "symbol":
            unit = _symbol(self.tokens[self.place - 1].text)
        else:
            raise self.refused("a unit is missing")
        return self._raised(unit)

    def _raised(self, unit: Unit) -> Unit:
        self._skip()
        if self._kind() != "power":
            return unit
        power = int(self.tokens[self.place].text.lstrip("^*").translate(_SUPERSCRIPTS))
        self.place += 1
        if abs(power) > LARGEST_EXPONENT:
            raise self.refused(f"the power {power} is beyond {LARGEST_EXPONENT}")
        return unit**power

    def _kind(self) -> str:
        return self.tokens[self.place].kind if self.place < len(self.tokens) else ""

    def _skip(self) -> None:
        while self._kind() == "space":
            self.place += 1


def _symbol(text: str) -> Unit:
    """A symbol, with a prefix where the whole is none."""
    name = text.translate(_MICRO)
    name = ALIASES.get(name, name)
    if name in BASE:
        return Unit(name, Dimension(BASE[name]), Fraction(1))
    if name in DEFINITIONS:
        return _defined(name)
    for length in (2, 1):  # "da" before "d"
        prefix, rest = name[:length].replace("u", "µ"), name[length:]
        if prefix in PREFIXES and _takes_prefixes(ALIASES.get(rest, rest)):
            unit = _symbol(rest)
            return Unit(text, unit.dimension, unit.factor * Fraction(10) ** PREFIXES[prefix])
    close = difflib.get_close_matches(name, [*BASE, *DEFINITIONS, *ALIASES], n=1, cutoff=0.4)
    remedy = f"Did you mean {close[0]!r}?" if close else "Try an SI symbol, with a prefix where it takes one."
    raise UnitError(f"no unit is called {text!r}. {remedy}")


def _defined(name: str) -> Unit:
    definition = DEFINITIONS[name]
    of = parse_unit(definition.of)
    return Unit(
        name, of.dimension, Fraction(definition.factor) * of.factor, Fraction(definition.zero), definition.scale
    )


def _takes_prefixes(name: str) -> bool:
    if name in BASE:
        return name != "kg"
    return name in DEFINITIONS and DEFINITIONS[name].prefixes
