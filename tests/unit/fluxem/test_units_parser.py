"""What a unit may be written like, and what is refused."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadrat_studies.fluxem.dimensions import DIMENSIONLESS, NAMED
from quadrat_studies.fluxem.units import UnitError
from quadrat_studies.fluxem.units_parser import parse_unit
from quadrat_studies.fluxem.units_table import ALIASES, BASE, DEFINITIONS, PREFIXES

AMBIGUOUS = {"kg", "ft"}  # the base unit and kilo-gram, foot and femto-tonne


def same(*texts: str) -> bool:
    return len({(unit.dimension, unit.factor, unit.zero, unit.scale) for unit in map(parse_unit, texts)}) == 1


def test_every_way_to_write_a_product():
    assert same("kg m/s^2", "kg*m/s**2", "kg·m·s⁻²", "m kg s^-2", "(kg m)/(s s)", "kg/s/s*m", " kg  m / s ^ 2 ", "N")
    assert same("J/(kg K)", "J kg^-1 K^-1", "J/kg/K", "m^2/(s^2 K)")
    assert same("1/s", "s^-1", "s⁻¹", "Hz", "Bq")


def test_powers_bind_tighter_than_products_and_reach_over_parentheses():
    assert parse_unit("(km/h)^2").factor == parse_unit("km/h").factor ** 2
    assert parse_unit("kg m^2").dimension == NAMED["mass"] * NAMED["area"]
    assert parse_unit("km^2").factor == 10**6


@pytest.mark.parametrize(
    ("text", "factor"),
    [("km", 10**3), ("dam", 10), ("dm", "1/10"), ("µm", "1/1000000"), ("um", "1/1000000"), ("μm", "1/1000000"),
     ("mg", "1/1000000"), ("Mg", 10**3), ("hPa", 100), ("kPa", 10**3), ("mL", "1/1000000"), ("ml", "1/1000000"),
     ("GHz", 10**9), ("kWb", 10**3), ("kcal", 4184), ("daN", 10), ("qm", Fraction(1, 10**30)), ("Qm", 10**30)],
)  # fmt: skip
def test_prefixes(text, factor):
    assert parse_unit(text).factor == Fraction(factor)


@pytest.mark.parametrize(
    ("text", "of", "factor"),
    [("min", "s", 60), ("ft", "m", "0.3048"), ("cd", "cd", 1), ("Pa", "Pa", 1), ("mol", "mol", 1), ("h", "s", 3600),
     ("T", "Wb/m^2", 1), ("Gy", "J/kg", 1), ("kat", "mol/s", 1), ("nmi", "m", 1852), ("t", "kg", 1000)],
)  # fmt: skip
def test_a_whole_symbol_goes_before_a_prefixed_one(text, of, factor):
    unit = parse_unit(text)
    assert unit.dimension == parse_unit(of).dimension
    assert unit.factor == Fraction(factor) * parse_unit(of).factor


def test_symbols_that_could_also_be_prefixed_are_known_ones():
    """A new unit or prefix that makes a symbol ambiguous has to be looked at."""
    prefixable = [
        name for name in (*BASE, *DEFINITIONS) if name != "kg" and (name in BASE or DEFINITIONS[name].prefixes)
    ]
    made = [prefix + name for prefix in PREFIXES for name in prefixable]
    assert set(made) & {*BASE, *DEFINITIONS, *ALIASES} == AMBIGUOUS
    assert {text for text in made if made.count(text) > 1} == set()


@pytest.mark.parametrize("name", [*BASE, *DEFINITIONS, *ALIASES])
def test_every_symbol_of_the_table_is_read(name):
    unit = parse_unit(name)
    assert unit.text == name
    assert unit.factor > 0


@pytest.mark.parametrize(("degree", "name"), [("°C", "degC"), ("°F", "degF"), ("Δ°C", "delta_degC")])
def test_degrees_may_be_written_with_their_sign(degree, name):
    assert same(degree, name)
    assert parse_unit("C").dimension == NAMED["charge"] and parse_unit("F").dimension == NAMED["capacitance"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("J/kg K", "has two readings"), ("m2", "written m\\^2, not m2"), ("m1", "written m\\^1"), ("2 m", "no part"),
        ("m 1", "no number follows"), ("", "no unit is written"), ("  ", "no unit is written"), ("kgg", "mean 'kg'"),
        ("kmi", "mean 'mi'"), ("kkg", "mean 'kg'"), ("mmin", "no unit is called"), ("m^100", "beyond 99"),
        ("m^", "no part"), ("m^x", "no part"), ("(m", "not closed"), ("m)", "closes nothing"), ("()", "missing"),
        ("/s", "missing"), ("m//s", "missing"), ("m*", "missing"), ("m" * 201, "no unit is written"),
        ("degC/s", "delta_degC"), ("kdegC", "no unit is called"), ("m\x00", "no part"), ("\u0663", "no part"),
    ],
)  # fmt: skip
def test_what_is_no_unit_says_why(text, said):
    with pytest.raises(UnitError, match=said):
        parse_unit(text)


def test_a_huge_tower_of_powers_is_refused_in_no_time():
    with pytest.raises(ValueError, match="no physics"):
        parse_unit("((m^99)^99)^99")
    assert parse_unit("(" * 99 + "m" + ")" * 99).dimension == NAMED["length"]


@given(st.text(alphabet="kmgsKCh1²⁻^*/() ·°Ωµ-9_", max_size=24))
def test_any_text_is_a_unit_or_a_users_error(text):
    try:
        assert parse_unit(text).factor > 0
    except ValueError as refused:
        assert str(refused)


def test_one_is_the_pure_number():
    assert parse_unit("1").dimension == DIMENSIONLESS
    assert parse_unit("m/m").dimension == DIMENSIONLESS
