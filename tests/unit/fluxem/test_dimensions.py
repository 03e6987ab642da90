"""Dimensions are vectors of exponents: their algebra, their names, and what they refuse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadrat_studies.fluxem.dimensions import DIMENSIONLESS, NAMED, SYMBOLS, Dimension, DimensionError

EXPONENTS = st.tuples(*[st.integers(-8, 8)] * 7)
DIMENSIONS = EXPONENTS.map(Dimension)


@given(DIMENSIONS, DIMENSIONS, DIMENSIONS)
def test_dimensions_form_a_commutative_group(a, b, c):
    assert (a * b) * c == a * (b * c)
    assert a * b == b * a
    assert a * DIMENSIONLESS == a == a / DIMENSIONLESS
    assert a / a == DIMENSIONLESS
    assert (a / b) * b == a


@given(DIMENSIONS, st.integers(-9, 9), st.integers(1, 9))
def test_powers_are_repeated_products_and_roots_undo_them(a, power, degree):
    product = DIMENSIONLESS
    for _ in range(abs(power)):
        product = product * a
    assert a**power == (product if power >= 0 else DIMENSIONLESS / product)
    assert (a**degree).root(degree) == a


@given(DIMENSIONS)
def test_a_dimension_comes_back_from_its_mapping(a):
    assert Dimension.of(a.as_dict()) == a
    assert 0 not in a.as_dict().values()
    assert hash(Dimension.of(a.as_dict())) == hash(a)


def test_exponents_stand_in_the_order_of_the_symbols():
    assert SYMBOLS == ("M", "L", "T", "I", "Θ", "N", "J")
    assert Dimension.of({"M": 1, "L": 2, "T": -3, "I": -1}).exponents == (1, 2, -3, -1, 0, 0, 0)
    assert str(NAMED["voltage"]) == "M L^2 T^-3 I^-1"
    assert str(DIMENSIONLESS) == "1"


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("velocity", NAMED["length"] / NAMED["time"]),
        ("acceleration", NAMED["velocity"] / NAMED["time"]),
        ("force", NAMED["mass"] * NAMED["acceleration"]),
        ("energy", NAMED["force"] * NAMED["length"]),
        ("power", NAMED["energy"] / NAMED["time"]),
        ("pressure", NAMED["force"] / NAMED["area"]),
        ("frequency", NAMED["time"] ** -1),
        ("charge", NAMED["electric current"] * NAMED["time"]),
        ("voltage", NAMED["power"] / NAMED["electric current"]),
        ("resistance", NAMED["voltage"] / NAMED["electric current"]),
        ("capacitance", NAMED["charge"] / NAMED["voltage"]),
        ("momentum", NAMED["mass"] * NAMED["velocity"]),
        ("mass flow", NAMED["mass"] / NAMED["time"]),
        ("density", NAMED["mass"] / NAMED["volume"]),
    ],
)
def test_named_dimensions_are_what_physics_makes_them(name, made):
    assert NAMED[name] == made
    assert made.described() == f"{name} ({made})"


def test_no_two_names_share_a_dimension():
    assert len(set(NAMED.values())) == len(NAMED)


def test_a_root_that_is_no_dimension_is_refused_by_name():
    with pytest.raises(DimensionError, match=r"velocity \(L T\^-1\) has no root of degree 2"):
        NAMED["velocity"].root(2)
    with pytest.raises(DimensionError, match="degree 0"):
        NAMED["area"].root(0)


def test_what_is_no_dimension_is_refused():
    with pytest.raises(ValueError, match="7 exponents"):
        Dimension((1, 2))
    with pytest.raises(ValueError, match="no base dimension is called Q"):
        Dimension.of({"Q": 1})
    with pytest.raises(ValueError, match="no physics"):
        NAMED["length"] ** 100
