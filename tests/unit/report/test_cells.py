"""The words of a phase diagram: numbers with the digits that fit, letters that cannot be confused."""

from __future__ import annotations

import math

import pytest

from quadrat.analyze.diagram import phase_diagrams
from quadrat.analyze.table import load_study_table
from quadrat.core.verdicts import Status
from quadrat.report.cells import Words, headline, letters, mark, spoken, upwards

PLAIN = {"x": "gamma", "y": "n_layers", "metric": "acc"}


def one(grid_table, *values, **more):
    """The diagram of a single cell with these runs; None for one that failed."""

    def cell(_x, _y, seed):
        return Status.FAILED if values[seed] is None else {"acc": values[seed]}

    table = grid_table(cell, xs=[0.5], ys=[2], seeds=range(len(values)), diagrams=[{**PLAIN, **more}])
    (diagram,) = phase_diagrams(table)
    return diagram, diagram.rows[0][0]


@pytest.mark.parametrize(
    ("values", "mean", "basis", "count"),
    [
        ((0.80, 0.84, 0.88), "0.84", "± 0.10 (3)", "(3)"),
        ((0.80, 0.84, 0.88, None), "0.84", "± 0.10 (3/4)", "(3 of 4)"),
        ((0.80, 0.90), "0.85", "0.80, 0.90 (2)", "(2)"),
        ((0.80, 0.90, None), "0.85", "0.80, 0.90 (2/3)", "(2 of 3)"),
        ((0.80, None), "0.80", "(1/2)", "(1 of 2)"),
        ((0.5, 0.5, 0.5), "0.50", "(3)", "(3)"),
        ((None, math.nan), "", "0 of 2", "(0 of 2)"),
        ((123.4, 123.4), "123", "(2)", "(2)"),
        ((-1.5, -1.5), "\u22121.50", "(2)", "(2)"),
        ((2e-7, 2e-7), "2.00e\u221207", "(2)", "(2)"),
    ],
)
def test_the_text_of_a_cell(grid_table, values, mean, basis, count):
    diagram, cell = one(grid_table, *values)
    words = Words.of(diagram)
    assert (words.mean(cell), words.basis(cell), words.count(cell)) == (mean, basis, count)


def test_means_that_span_decades_keep_digits_of_their_own(grid_table):
    table = grid_table(lambda x, *_: {"acc": x}, xs=[0.0123, 1.0, 118.0], ys=[2], diagrams=[PLAIN])
    (diagram,) = phase_diagrams(table)
    words = Words.of(diagram)
    assert [words.mean(cell) for cell in diagram.rows[0]] == ["0.0123", "1.00", "118"]


@pytest.mark.parametrize(
    ("names", "marks"),
    [
        (("composite", "symmetric"), ["C", "S", "N"]),
        (("composite",), ["C", "N"]),
        (("composite", "chaotic"), ["1", "2", "0"]),
        (("noisy",), ["1", "0"]),
        (("?", "a"), ["1", "2", "0"]),
        ((" ", "a"), ["1", "2", "0"]),
    ],
)
def test_letters_are_distinct(names, marks):
    assert list(letters(names).values()) == marks


@pytest.mark.parametrize(
    ("values", "text"), [((0.9, 0.91, 0.92), "C+H"), ((0.6, 0.61, 0.62), "C"), ((0.6, 0.9), "C?"), ((0.1,), "N?")]
)
def test_a_cell_is_marked_with_its_class(grid_table, values, text):
    classes = {"composite": "acc > 0.5", "high": "acc > 0.8"}
    _, cell = one(grid_table, *values, classes=classes)
    assert mark(cell, letters(tuple(classes))) == text


def test_a_cell_without_a_class_has_no_mark(grid_table):
    assert mark(one(grid_table, 0.5)[1], letters(())) == ""


def test_the_headline_says_what_is_held_fixed(half_grid, grid_table):
    assert headline(phase_diagrams(load_study_table(half_grid.folder))[0]) == "test_id/exact_match"
    table = grid_table(lambda *_: {"acc": 1.0}, xs=[0.5], ys=[2], stage="two", diagrams=[{**PLAIN, "title": "Phases"}])
    assert headline(phase_diagrams(table)[0]) == "Phases, stage two"
    table = grid_table(lambda *_: {"acc": 1.0}, xs=[0.5], ys=[2], diagrams=[{**PLAIN, "y": "gamma"}])
    assert headline(phase_diagrams(table)[0]) == "acc, n_layers=2"


def test_the_diagram_in_a_sentence(half_grid):
    said = spoken(phase_diagrams(load_study_table(half_grid.folder))[0])
    assert "over gamma and n_layers: 4 of 6 cells measured, means from 0.12 to 0.84; 2 composite, 2 neither" in said


@pytest.mark.parametrize(
    ("ys", "up"), [([2, 3], True), ([0.5], True), (["a", "b"], False), ([2, "b"], False), ([True], False)]
)
def test_numbers_grow_upwards_and_names_are_read_downwards(grid_table, ys, up):
    table = grid_table(lambda *_: {"acc": 1.0}, xs=[0.5], ys=ys, diagrams=[PLAIN])
    assert upwards(phase_diagrams(table)[0]) is up
