"""What science may hand over as a number, and what is refused."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quadrat.journal.plain import number, plain, shown, spell, text, unspell


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1),
        (2.5, 2.5),
        (True, 1),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), 1),
        (np.array(3.0), 3.0),
        (np.array([4.0]), 4.0),
        (torch.tensor(0.25), 0.25),
        (torch.tensor([2], dtype=torch.int64), 2),
        (torch.tensor(1.5, requires_grad=True), 1.5),
        (Decimal("0.125"), 0.125),
        (Fraction(1, 4), 0.25),
        (10**30, 1e30),
        (2**63, 2**63),
        (float("nan"), "NaN"),
        (np.float64("inf"), "Infinity"),
        (torch.tensor(float("-inf")), "-Infinity"),
    ],
)
def test_numbers_of_every_make_become_plain(value: object, expected: object) -> None:
    made = number(value)
    assert made == expected
    assert type(made) is type(expected)


class Spiteful:
    def __float__(self) -> float:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        raise RuntimeError("no repr either")


@pytest.mark.parametrize(
    "value",
    [None, "0.5", b"1", "", 1j, [1.0], {}, np.array([1.0, 2.0]), torch.zeros(2), 10**400, Spiteful(), np.str_("1")],
)
def test_what_is_no_number_is_refused_in_words(value: object) -> None:
    with pytest.raises(ValueError, match=type(value).__name__):
        number(value)


@settings(deadline=None)
@given(st.floats(allow_nan=False))
def test_a_float_keeps_its_value_and_sign(value: float) -> None:
    back = unspell(spell(value))
    assert back == value
    assert math.copysign(1, back) == math.copysign(1, value)


def test_unspell_takes_only_the_names_it_gives() -> None:
    assert math.isnan(unspell("NaN"))
    for wrong in ("nan", "inf", "1.5", None, [1]):
        with pytest.raises(ValueError, match="not a number"):
            unspell(wrong)


def test_lone_surrogates_become_their_escape() -> None:
    assert text("a\ud800b") == "a\\ud800b"
    assert text("grün 🌱") == "grün 🌱"


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Pair:
    left: int
    right: Path


def test_plain_turns_a_whole_tree() -> None:
    tree = {
        "path": Path("a/b"),
        "array": np.arange(3),
        "tensor": torch.tensor([[1.0, math.inf]]),
        "scalar": np.float32(0.5),
        "enum": Colour.RED,
        "pair": Pair(1, Path("c")),
        "set": {3, 1, 2},
        "tuple": (1, None, True),
        "big": 2**70,
        3: "number as key",
    }
    assert plain(tree) == {
        "path": "a/b",
        "array": [0, 1, 2],
        "tensor": [[1.0, "Infinity"]],
        "scalar": 0.5,
        "enum": "red",
        "pair": {"left": 1, "right": "c"},
        "set": [1, 2, 3],
        "tuple": [1, None, True],
        "big": str(2**70),
        "3": "number as key",
    }


def test_an_object_without_a_plain_form_is_refused_or_described() -> None:
    with pytest.raises(TypeError, match="object"):
        plain({"a": [object()]})
    described = plain({"a": [object(), b"raw", Pair]}, lenient=True)
    assert described["a"][0].startswith("object <object")
    assert described["a"][1] == "bytes b'raw'"


def test_shown_is_short_and_survives_a_bad_repr() -> None:
    assert shown(Spiteful()) == "Spiteful ?"
    assert len(shown("x" * 10_000)) < 300
