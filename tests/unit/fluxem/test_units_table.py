"""The table of units against an independent one, ``pint``: all pairs of the dataset's units, and symbol by symbol."""

from __future__ import annotations

from itertools import product

import pint
import pytest

from quadrat_studies.fluxem.units import Quantity, can_add, can_convert, can_subtract
from quadrat_studies.fluxem.units_parser import parse_unit
from quadrat_studies.fluxem.units_table import BASE, DEFINITIONS, PREFIXES, UNIT_TYPES

UNITS = sorted({unit for units in UNIT_TYPES.values() for unit in units})
PAIRS = list(product(UNITS, UNITS))
# What pint spells otherwise; Gy and others are the same.
PINT_NAMES = {
    "mmHg": "millimeter_Hg", "au": "astronomical_unit", "gal": "gallon", "hp": "horsepower", "acre": "4046.8564224 m^2",
    "Wb": "weber", "kn": "knot", "cal": "thermochemical_calorie", "rad": "radian", "%": "percent", "kat": "katal",
    "Ω": "ohm", "nmi": "nautical_mile", "t": "metric_ton", "Torr": "torr", "ha": "hectare", "mi": "international_mile",
    "yd": "international_yard", "ft": "international_foot",
}  # fmt: skip


@pytest.fixture(scope="module")
def registry() -> pint.UnitRegistry:
    return pint.UnitRegistry()


def value_of(registry, number: float, unit: str):
    return registry.Quantity(number, registry.parse_units(unit))


@pytest.mark.parametrize("number", [3.7, 1e6])
def test_every_conversion_of_the_dataset_is_pints(registry, number):
    converted = 0
    for first, second in PAIRS:
        source, target = parse_unit(first), parse_unit(second)
        if not can_convert(source, target):
            continue
        theirs = value_of(registry, number, first).to(registry.parse_units(second)).magnitude
        ours = float(Quantity.of(str(number), source).to(target).value)
        # A temperature is off by what its zero costs in floating point.
        assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-9 if source.scale != target.scale else 0), (
            first,
            second,
        )
        converted += 1
    by_type = {name: len(units) for name, units in UNIT_TYPES.items()}
    refused = 8  # degC and degF with delta_degC and delta_degF, both ways
    assert converted == sum(count**2 for count in by_type.values()) - refused


def attempts(registry, verb: str):
    """Every pair of the dataset's units: ours, and what pint makes of 5 and 2 of them or None."""
    for first, second in PAIRS:
        try:
            theirs = getattr(value_of(registry, 5.0, first), verb)(value_of(registry, 2.0, second))
        except (pint.DimensionalityError, pint.OffsetUnitCalculusError):
            theirs = None
        yield parse_unit(first), parse_unit(second), theirs


def agrees(registry, ours: Quantity, theirs) -> bool:
    got = value_of(registry, float(ours.value), ours.unit.text)
    return got.m_as(theirs.units) == pytest.approx(theirs.magnitude, rel=1e-9, abs=1e-9)


def test_what_may_be_added_is_what_pint_adds(registry):
    for a, b, theirs in attempts(registry, "__add__"):
        assert can_add(a, b) == (theirs is not None), (a.text, b.text)
        assert theirs is None or agrees(registry, Quantity.of(5, a) + Quantity.of(2, b), theirs)


def test_what_may_be_subtracted_is_what_pint_subtracts_but_for_two_readings(registry):
    stricter = set()
    for a, b, theirs in attempts(registry, "__sub__"):
        if can_subtract(a, b):
            assert agrees(registry, Quantity.of(5, a) - Quantity.of(2, b), theirs), (a.text, b.text)
        elif theirs is not None:
            stricter.add((a.scale, b.scale))
    # A point less kelvin may be a point or a difference; a difference less a point is nothing.
    assert stricter == {("offset", "ratio"), ("difference", "offset")}


def test_there_are_dimension_errors_where_pint_has_them(registry):
    for first, second in PAIRS:
        ours = parse_unit(first).dimension == parse_unit(second).dimension
        theirs = registry.parse_units(first).dimensionality == registry.parse_units(second).dimensionality
        assert ours == theirs, (first, second)


@pytest.mark.parametrize("name", [*BASE, *DEFINITIONS])
def test_every_symbol_has_pints_size_and_dimension(registry, name):
    unit = parse_unit(name)
    name = PINT_NAMES.get(name, name)
    theirs = registry.Quantity(1, name) if unit.scale == "offset" else registry.parse_expression(name)
    theirs = registry.Quantity(theirs).to_root_units()  # grams, not kilograms
    grams = 1000.0 ** unit.dimension.as_dict().get("M", 0)
    assert float(Quantity.of(1, unit).si) * grams == pytest.approx(theirs.magnitude, rel=1e-6)
    symbols = {"[mass]": "M", "[length]": "L", "[time]": "T", "[current]": "I", "[temperature]": "Θ",
               "[substance]": "N", "[luminosity]": "J"}  # fmt: skip
    assert unit.dimension.as_dict() == {symbols[base]: int(power) for base, power in theirs.dimensionality.items()}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_prefix_is_pints(registry, prefix):
    assert float(parse_unit(f"{prefix}m").factor) == pytest.approx(registry.Quantity(1, f"{prefix}m").m_as("m"))


def test_types_are_of_one_dimension_and_no_two_of_the_same():
    dimensions = [{parse_unit(unit).dimension for unit in units} for units in UNIT_TYPES.values()]
    assert all(len(found) == 1 for found in dimensions)
    assert len(set.union(*dimensions)) == len(UNIT_TYPES)
