"""A tool in the loop: programs of prompts, what they give, and what cannot be run."""

from __future__ import annotations

import pytest

from quadrat_studies.fluxem.problems import Problem
from quadrat_studies.fluxem.tool import program, run


@pytest.mark.parametrize("precedence", ["parentheses", "left_to_right"])
@pytest.mark.parametrize(
    ("problem", "written"),
    [
        (Problem((17, 25), ("+",)), "0+1"),
        (Problem((9, 4, 3), ("-", "*")), "0-1*2"),
        (Problem(tuple(range(5, 17)), ("+",) * 11), "0+1+2+3+4+5+6+7+8+9+10+11"),
        (Problem((99999, 88888), ("*",)), "0*1"),
        (Problem((12, 4), ("/",)), "0/1"),
    ],
)
def test_the_program_of_a_prompt_gives_its_answer(problem, written, precedence):
    row = problem.row(precedence)
    assert program(row["text"]) == written
    assert run(written, row["text"]) == row["target_text"]


def test_another_program_gives_another_answer():
    assert run("1-0", "17 - 25") == "8" and run("0-1", "17 - 25") == "-8"
    assert run("0+0", "17 - 25") == "34" and run("1", "17 - 25") == "25"


@pytest.mark.parametrize("written", ["", "0+", "+1", "0+2", "0+1...", "0 + 1", "0+1=", "1/0"])
def test_what_cannot_be_run_is_no_number(written):
    given = run(written, "0 + 25") if written == "1/0" else run(written, "17 + 25")
    assert given == f"?{written}"
