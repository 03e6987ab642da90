"""The gallery of grids: what is drawn, what is hatched, and that nothing in it is taken for markup."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from quadrat_studies.etrm.gallery import CELL, COLOURS, draw_gallery, wrong_cells

SPACE = "{http://www.w3.org/2000/svg}"
RIGHT = {
    "version": "abc", "query": 0, "correct": True, "steps": 2, "confidence": 0.91,
    "input": [[1, 1], [0, 2]], "target": [[3, 3]], "prediction": [[3, 3]],
}  # fmt: skip


def drawn(*rows, title="Held-out tasks"):
    return ElementTree.fromstring(draw_gallery(rows, title=title))


def test_three_grids_a_question_in_arcs_colours_with_their_cells_in_words():
    picture = drawn(RIGHT)
    grids = [part for part in picture.iter(f"{SPACE}g") if part.find(f"{SPACE}title") is not None]
    assert [grid.find(f"{SPACE}title").text for grid in grids] == ["input: 11 / 02", "target: 33", "prediction: 33"]
    runs = [(r.get("x"), r.get("y"), r.get("width"), r.get("fill")) for r in grids[0].iter(f"{SPACE}rect")]
    assert runs == [
        ("0", "0", str(2 * CELL), COLOURS[1]),
        ("0", str(CELL), str(CELL), COLOURS[0]),
        (str(CELL), str(CELL), str(CELL), COLOURS[2]),
    ]
    assert picture.find(f"{SPACE}title").text == "Held-out tasks: 1 of 1 right"


def test_wrong_cells_of_the_prediction_are_hatched_and_no_others():
    wrong = {**RIGHT, "correct": False, "target": [[3, 3], [4, 4]], "prediction": [[3, 5, 5], [4, -1, 5]]}
    picture = drawn(RIGHT, wrong)
    marks = [(r.get("x"), r.get("y")) for r in picture.iter(f"{SPACE}rect") if r.get("class") == "w"]
    assert marks == [(str(x * CELL), str(y * CELL)) for y, x in ((0, 1), (0, 2), (1, 1), (1, 2))]
    assert any("4 cells wrong" in (text.text or "") for text in picture.iter(f"{SPACE}text"))


@pytest.mark.parametrize(
    ("target", "prediction", "wrong"),
    [
        ([[1]], [[1]], []),
        ([[1, 2]], [[1]], [(0, 1)]),
        ([[1]], [], [(0, 0)]),
        ([], [[1, 2]], []),
        ([[1], [2]], [[1], [-1]], [(1, 0)]),
    ],
    ids=["equal", "too small", "empty", "no target", "no colour"],
)
def test_a_cell_is_wrong_where_the_grids_differ(target, prediction, wrong):
    assert wrong_cells(target, prediction) == wrong


def test_names_are_text_and_the_same_rows_give_the_same_bytes():
    odd = {**RIGHT, "version": "<script>alert(1)</script>&", "input": [[12, -1]]}
    text = draw_gallery([odd], title='a "title" <b>')
    assert text == draw_gallery([odd], title='a "title" <b>')
    picture = ElementTree.fromstring(text)
    assert not list(picture.iter(f"{SPACE}script"))
    assert any("<script>" in (part.text or "") for part in picture.iter(f"{SPACE}text"))
    assert "nan" not in text.lower()


def test_nothing_to_show_is_a_picture_that_says_so():
    assert drawn().find(f"{SPACE}title").text == "Held-out tasks: 0 of 0 right"
    assert drawn({**RIGHT, "target": [], "prediction": [], "correct": False}).find(f"{SPACE}title") is not None
