"""Errors say what, where and what to try."""

from __future__ import annotations

import pytest

from quadrat.core import errors
from quadrat.core.errors import Problem, QuadratError, StudyError, unknown_name


def test_a_paragraph_has_place_what_and_remedy():
    error = QuadratError("the key 'lr' is unknown.", where="study.yaml:4", remedy="learning_rate.")
    assert error.paragraph() == "study.yaml:4: the key 'lr' is unknown. Try: learning_rate."
    assert str(error) == error.paragraph()


def test_a_study_error_lists_every_problem():
    error = StudyError([Problem("one", "a.yaml:1"), Problem("two", "a.yaml:2", "three")])
    assert error.paragraph().splitlines() == ["a.yaml:1: one", "a.yaml:2: two Try: three"]
    assert error.exit_code == 2


def test_an_unknown_name_names_the_nearest_and_the_known():
    error = unknown_name("launcher", "slrum", ["slurm", "pool"])
    assert "did you mean 'slurm'" in error.paragraph()
    assert "pool, slurm" in error.paragraph()


@pytest.mark.parametrize(
    ("name", "code"),
    [("QuadratError", 1), ("UsageError", 2), ("GateError", 3), ("HealthError", 4), ("StoreError", 5), ("RunError", 1)],
)
def test_exit_codes_are_the_documented_ones(name, code):
    assert getattr(errors, name).exit_code == code
