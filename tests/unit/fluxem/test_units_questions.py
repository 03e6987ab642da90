"""Questions: true answers rounded once, honest spans, one key for one question."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadrat import UsageError
from quadrat_studies.fluxem.dimensions import Dimension
from quadrat_studies.fluxem.units_parser import parse_unit
from quadrat_studies.fluxem.units_questions import (
    Question,
    find_quantities,
    from_row,
    is_about_units,
    number_text,
    significant_digits,
)


def convert(number: str, source: str, target: str) -> Question:
    return Question("convert", (number,), (source, target), ("a", "a"))


def can_add(a: str, u: str, b: str, v: str) -> Question:
    return Question("can_add", (a, b), (u, v), ("a", "b"), "pair")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (convert("2.44e2", "in", "cm"), "6.20e2 cm"),  # 619.76, where the origin wanted "244.00 cm"
        (convert("1.00e2", "degC", "degF"), "2.12e2 degF"),
        (convert("-4.00e1", "degF", "degC"), "-4.00e1 degC"),
        (convert("2.73e2", "K", "degC"), "-1.50e-1 degC"),
        (convert("1.80e1", "delta_degF", "K"), "1.00e1 K"),
        (convert("3.20e1", "degF", "degC"), "0.00e0 degC"),
        (convert("1.00e9", "day", "ms"), "8.64e16 ms"),
        (convert("1.00e0", "kg m/s^2", "g cm/s^2"), "1.00e5 g cm/s^2"),
        (convert("1.96e0", "oz", "lb"), "1.22e-1 lb"),  # 0.1225: a tie goes to the even digit
        (convert("1.89e0", "in", "ft"), "1.58e-1 ft"),  # 0.1575
        (can_add("3.18e1", "m", "9.37e1", "ft"), "true"),
        (can_add("3.18e1", "m", "9.37e1", "ft/s"), "false"),
        (can_add("3.18e1", "degC", "9.37e1", "degF"), "false"),
        (can_add("3.18e1", "degC", "9.37e1", "delta_degF"), "true"),
    ],
)
def test_answers_are_true(question, answer):
    assert question.answer() == answer


@given(st.fractions(), st.integers(1, 12))
def test_numbers_are_rounded_once_and_come_back(value, digits):
    text = number_text(value, digits)
    assert significant_digits(text) == digits
    got = Fraction(text)
    if value == 0:
        assert got == 0
        return
    # Rounding a much longer decimal gives the same unless that one was rounded onto a tie.
    longer = Context(prec=digits + 30).divide(Decimal(value.numerator), Decimal(value.denominator))
    if Fraction(longer) == value:
        assert got == Fraction(Context(prec=digits, rounding=ROUND_HALF_EVEN).plus(longer))
    assert abs(got - value) <= abs(value) * Fraction(1, 2 * 10 ** (digits - 1))
    assert number_text(got, digits) == text


QUESTIONS = [
    convert("2.44e2", "in", "cm"),
    convert("-1.05e-3", "degC", "degF"),
    convert("1.00e0", "kg m/s^2", "lb ft/s^2"),
    can_add("3.18e1", "m", "9.37e-1", "ft/s"),
    can_add("3.18e1", "C", "9.37e-1", "degC"),  # the origin found this C in "Can"
    can_add("1e0", "g cm/s", "2e0", "day"),
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_spans_say_what_stands_there(question):
    row = question.row()
    for span in row["spans"]:
        written = row["text"][span["start"] : span["end"]]
        assert 0 <= span["start"] < span["end"] <= len(row["text"])
        assert written.endswith(span["unit"])
        assert Dimension.of(span["dims"]) == parse_unit(span["unit"]).dimension
        if span["type"] == "phys_quantity":
            assert written == f"{written.split(' ')[0]} {span['unit']}"
            assert span["value"] == float(written.split(" ")[0])
        else:
            assert span["type"] == "phys_unit" and "value" not in span and written == span["unit"]
    kinds = [span["type"] for span in row["spans"]]
    assert kinds == ["phys_quantity", "phys_unit" if question.task == "convert" else "phys_quantity"]


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_comes_back_from_its_row(question):
    row = question.row()
    assert from_row(row) == question
    assert is_about_units(row) and not is_about_units({"operations": ["+"]})
    is_true, number = row["target_text"] == "true", row["target_text"].split(" ")[0]
    assert row["target_value"] == (is_true if question.task == "can_add" else float(number))


def test_the_target_of_a_conversion_is_one_unit_of_it():
    _, target = find_quantities("Convert 2.44e2 in to km")
    assert target.number == "" and target.quantity.value == 1 and target.quantity.si == 1000


def test_keys_know_no_order_of_a_sum_but_one_of_a_conversion():
    assert can_add("1e0", "m", "2e0", "s").key() == can_add("2e0", "s", "1e0", "m").key()
    assert can_add("1e0", "m", "2e0", "s").key() != can_add("2e0", "m", "1e0", "s").key()
    assert convert("1e0", "m", "km").key() != convert("1e0", "km", "m").key()
    assert convert("1e0", "m", "km").key() != can_add("1e0", "m", "1e0", "km").key()


@pytest.mark.parametrize(
    "text", ["", "Convert 3 m to km", "Convert 3.1e0 m", "Can you add 3e0 m and 4e0 s", "Can you move 1e0 m?", "1 + 2"]
)  # fmt: skip
def test_another_text_is_a_users_error(text):
    with pytest.raises(UsageError, match="no question about units"):
        find_quantities(text)
