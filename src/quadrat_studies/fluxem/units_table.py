"""Which units there are: symbols, SI prefixes, exact definitions, and the types of the dataset.

Definitions are those of the SI brochure (9th edition) and, for customary units, of NIST SP 811, appendix B; all of
them are exact by convention. ``C`` is the coulomb and ``F`` the farad; temperatures are ``degC`` and ``degF``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from quadrat_studies.fluxem.units import Scale

PREFIXES: Mapping[str, int] = MappingProxyType(
    {
        "Q": 30, "R": 27, "Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1,
        "d": -1, "c": -2, "m": -3, "µ": -6, "n": -9, "p": -12, "f": -15, "a": -18, "z": -21, "y": -24, "r": -27,
        "q": -30,
    }
)  # fmt: skip
"""Prefix to power of ten. The parser reads ``u`` and the Greek letter mu as the micro sign."""


class Definition(NamedTuple):
    """``factor`` times the unit ``of`` (a decimal, or a quotient ``a/b``); ``zero`` in kelvin."""

    factor: str
    of: str
    prefixes: bool = False
    scale: Scale = "ratio"
    zero: str = "0"


BASE: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "kg": (1, 0, 0, 0, 0, 0, 0),
        "m": (0, 1, 0, 0, 0, 0, 0),
        "s": (0, 0, 1, 0, 0, 0, 0),
        "A": (0, 0, 0, 1, 0, 0, 0),
        "K": (0, 0, 0, 0, 1, 0, 0),
        "mol": (0, 0, 0, 0, 0, 1, 0),
        "cd": (0, 0, 0, 0, 0, 0, 1),
    }
)
"""The SI base units, in the order of ``dimensions.SYMBOLS``. All but ``kg`` take prefixes; ``g`` takes them for it."""

DEFINITIONS: Mapping[str, Definition] = MappingProxyType(
    {
        "g": Definition("0.001", "kg", prefixes=True),
        # Derived SI units with names of their own.
        "Hz": Definition("1", "1/s", prefixes=True),
        "N": Definition("1", "kg m/s^2", prefixes=True),
        "Pa": Definition("1", "N/m^2", prefixes=True),
        "J": Definition("1", "N m", prefixes=True),
        "W": Definition("1", "J/s", prefixes=True),
        "C": Definition("1", "A s", prefixes=True),
        "V": Definition("1", "W/A", prefixes=True),
        "ohm": Definition("1", "V/A", prefixes=True),
        "Ω": Definition("1", "V/A", prefixes=True),
        "S": Definition("1", "A/V", prefixes=True),
        "F": Definition("1", "C/V", prefixes=True),
        "Wb": Definition("1", "V s", prefixes=True),
        "T": Definition("1", "Wb/m^2", prefixes=True),
        "H": Definition("1", "Wb/A", prefixes=True),
        "Bq": Definition("1", "1/s", prefixes=True),
        "Gy": Definition("1", "J/kg", prefixes=True),
        "kat": Definition("1", "mol/s", prefixes=True),
        # Accepted beside the SI.
        "L": Definition("0.001", "m^3", prefixes=True),
        "t": Definition("1000", "kg", prefixes=True),
        "bar": Definition("100000", "Pa", prefixes=True),
        "eV": Definition("1.602176634e-19", "J", prefixes=True),
        "au": Definition("149597870700", "m"),
        "ha": Definition("10000", "m^2"),
        "min": Definition("60", "s"),
        "h": Definition("3600", "s"),
        "day": Definition("86400", "s"),
        "week": Definition("604800", "s"),
        # Customary units.
        "in": Definition("0.0254", "m"),
        "ft": Definition("0.3048", "m"),
        "yd": Definition("0.9144", "m"),
        "mi": Definition("1609.344", "m"),
        "nmi": Definition("1852", "m"),
        "acre": Definition("4046.8564224", "m^2"),
        "gal": Definition("231", "in^3"),
        "lb": Definition("0.45359237", "kg"),
        "oz": Definition("1/16", "lb"),
        "mph": Definition("1", "mi/h"),
        "kn": Definition("1", "nmi/h"),
        "lbf": Definition("9.80665", "lb m/s^2"),
        "kgf": Definition("9.80665", "kg m/s^2"),
        "dyn": Definition("1", "g cm/s^2"),
        "psi": Definition("1", "lbf/in^2"),
        "atm": Definition("101325", "Pa"),
        "Torr": Definition("1/760", "atm"),
        "mmHg": Definition("133.322387415", "Pa"),
        "cal": Definition("4.184", "J", prefixes=True),
        "erg": Definition("1", "dyn cm"),
        "hp": Definition("550", "ft lbf/s"),
        # Pure numbers.
        "rad": Definition("1", "1", prefixes=True),
        "%": Definition("0.01", "1"),
        "ppm": Definition("0.000001", "1"),
        # Temperatures.
        "degC": Definition("1", "K", scale="offset", zero="273.15"),
        "degF": Definition("5/9", "K", scale="offset", zero="45967/180"),
        "degR": Definition("5/9", "K"),
        "delta_degC": Definition("1", "K", scale="difference"),
        "delta_degF": Definition("5/9", "K", scale="difference"),
    }
)

ALIASES: Mapping[str, str] = MappingProxyType(
    {"l": "L", "hr": "h", "d": "day", "°C": "degC", "°F": "degF", "Δ°C": "delta_degC", "Δ°F": "delta_degF"}
)

UNIT_TYPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "length": ("m", "km", "cm", "mm", "ft", "in", "mi"),
        "mass": ("kg", "g", "mg", "lb", "oz"),
        "time": ("s", "ms", "min", "h", "day"),
        "temperature": ("K", "degC", "degF", "delta_degC", "delta_degF"),
        "velocity": ("m/s", "km/h", "mph", "ft/s"),
        "area": ("m^2", "km^2", "cm^2", "ft^2", "in^2"),
        "pressure": ("Pa", "kPa", "bar", "psi", "atm"),
        "force": ("N", "lbf", "kg m/s^2", "g cm/s^2", "lb ft/s^2"),
        "momentum": ("kg m/s", "g cm/s", "lb ft/s", "kg km/h"),
        "mass_flow": ("kg/s", "g/min", "lb/h", "kg/day"),
    }
)
"""Units of the dataset by type. The first five are the seed's types, with Celsius and Fahrenheit as what they are."""
