"""Problems: exact answers, honest text, one key for one question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadrat_studies.fluxem.problems import Problem, carry_count, from_row

OPERATIONS = st.sampled_from("+-*")


@st.composite
def problems(draw) -> Problem:
    operations = draw(st.lists(OPERATIONS, min_size=1, max_size=6))
    operands = draw(st.lists(st.integers(0, 10**6), min_size=len(operations) + 1, max_size=len(operations) + 1))
    return Problem(tuple(operands), tuple(operations))


@given(problems())
def test_parentheses_say_to_python_what_the_answer_is(problem):
    row = problem.row("parentheses")
    assert eval(row["text"]) == row["target_value"] == int(row["target_text"])


@given(problems(), st.sampled_from(["parentheses", "left_to_right"]))
def test_spans_are_where_the_numbers_are(problem, precedence):
    row = problem.row(precedence)
    assert [row["text"][span["start"] : span["end"]] for span in row["spans"]] == [str(n) for n in problem.operands]
    assert from_row(row) == problem


@pytest.mark.parametrize(
    ("precedence", "text"), [("parentheses", "((12 + 34) * 2) - 5"), ("left_to_right", "12 + 34 * 2 - 5")]
)
def test_precedence_is_explicit(precedence, text):
    row = Problem((12, 34, 2, 5), ("+", "*", "-")).row(precedence)
    assert (row["text"], row["target_value"]) == (text, 87)


def test_the_row_is_the_seeds_format_with_integers():
    assert Problem((81, 14), ("+",)).row("parentheses") == {
        "text": "81 + 14",
        "spans": [
            {"type": "arithmetic", "start": 0, "end": 2, "value": 81},
            {"type": "arithmetic", "start": 5, "end": 7, "value": 14},
        ],
        "target_text": "95",
        "target_value": 95,
        "operations": ["+"],
        "carries": 0,
    }


@pytest.mark.parametrize(("operation", "same"), [("+", True), ("*", True), ("-", False), ("/", False)])
def test_commutative_twins_share_a_key(operation, same):
    assert (Problem((3, 5), (operation,)).key() == Problem((5, 3), (operation,)).key()) == same


def test_a_chain_starting_with_a_sum_is_the_same_with_its_first_pair_swapped():
    assert Problem((3, 5, 7), ("+", "-")).key() == Problem((5, 3, 7), ("+", "-")).key()
    assert Problem((3, 5, 7), ("+", "-")).key() != Problem((3, 7, 5), ("+", "-")).key()


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_carries_are_what_digit_sums_lose(a, b):
    def digit_sum(n):
        return sum(map(int, str(n)))

    assert 9 * carry_count(a, b) == digit_sum(a) + digit_sum(b) - digit_sum(a + b)
    big, small = max(a, b), min(a, b)
    assert carry_count(a, b, subtract=True) == carry_count(big - small, small)


def test_division_is_exact_or_refused():
    assert Problem((12, 4), ("/",)).answer() == 3
    with pytest.raises(ArithmeticError, match="remainder of 1"):
        Problem((13, 4), ("/",)).answer()
