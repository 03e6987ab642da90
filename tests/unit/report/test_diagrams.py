"""The phase diagrams of a page: every number of the picture is also text, and what is open is said to be open."""

from __future__ import annotations

import re

import pytest

from quadrat.analyze.diagram import phase_diagrams
from quadrat.analyze.table import load_study_table
from quadrat.core.verdicts import Status
from quadrat.report.diagrams import diagrams
from quadrat.report.gallery import diagram_slugs
from quadrat.report.gallery import diagrams as drawn
from quadrat.report.numbers import NONE
from quadrat.report.page import render

PLAIN = {"x": "gamma", "y": "n_layers", "metric": "acc"}
NASTY = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;"


def part(table, *, figures=False):
    found = phase_diagrams(table)
    return diagrams(found, list(drawn(found)) if figures else [])


def tables(markup):
    """Caption to the rows of each table, a row as cell texts with the lines of a cell apart."""
    found = {}
    for caption, body in re.findall(r"<table><caption>(.*?)</caption>(.*?)</table>", markup, re.DOTALL):
        lines = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
        cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.DOTALL) for line in lines]
        found[caption] = [[re.sub("<br>", "|", cell) for cell in row] for row in cells]
        found[caption] = [[re.sub("<.*?>|&nbsp;", "", cell) for cell in row] for row in found[caption]]
    return found


def table_of(markup, word):
    return next(rows for caption, rows in tables(markup).items() if word in caption)


@pytest.fixture(scope="module")
def half(half_grid):
    return part(load_study_table(half_grid.folder), figures=True)


def test_the_table_has_the_numbers_of_the_picture_in_its_order(half):
    head, *body = table_of(half, "mean over the measured runs")
    assert head == ["n_layers↓|gamma→", "1.0", "0.5"]
    assert [row[0] for row in body] == ["10", "3", "2"]  # as drawn: y grows upwards
    assert body[2][1:] == ["0.84 ± 0.10 (3)|0.80 to 0.88|composite", "0.12 ± 0.07 (3)|0.10 to 0.15|neither"]
    assert body[1][1:] == [
        "0.65 (2 of 3)|0.60 to 0.70|composite, not settled|seed 2 failed",
        "0.33 (2 of 3)|0.20 to 0.45|neither, not settled|seed 2 running",
    ]
    assert body[0][1:] == ["0 of 3|all missing"] * 2
    drawing = "".join(re.findall(r"<text[^>]*>([^<]*)</text>", half))
    for text in ("0.84", "± 0.10 (3)", "0.12", "0.65", "0.33"):
        assert text in drawing


def test_the_boundary_is_told_line_by_line(half):
    head, *body = table_of(half, "The boundary between classes")
    assert head == ["n_layers", "From", "To", "Between gamma", "Settled"]
    assert body == [
        ["2", "composite", "neither", "1.0 and 0.5", "yes"],
        ["3", "composite", "neither", "1.0 and 0.5", "no"],
    ]


def test_columns_are_compared_over_the_rows_that_are_whole(half):
    head, *body = table_of(half, "gamma against gamma = 1.0")
    assert head == ["gamma", "n_layers", "n", "Difference", "95 % t interval", "p (Holm)"]
    (row,) = body
    assert row[:4] == ["0.5", "2 (1 of 3)", "3", "\u22120.720"]
    assert "p is Holm's over these 1" in half


def test_the_picture_comes_with_a_table_that_opens(half):
    assert half.count("<figure") == half.count("<details>") == 1
    assert 'role="img"' in half
    assert "<details>" not in part_without_figures(half)


def part_without_figures(markup):
    return re.sub(r"<details>.*?</details>", "", markup, flags=re.DOTALL)


def test_without_a_picture_the_table_lies_open(half_grid):
    markup = part(load_study_table(half_grid.folder))
    assert "<details>" not in markup
    assert "0.84 ± 0.10 (3)" in markup


def test_runs_of_several_classes_are_counted(grid_table):
    diagram = {**PLAIN, "classes": {"high": "acc >= 0.5"}}
    table = grid_table(lambda _x, _y, seed: {"acc": (0.2, 0.9, 0.9)[seed]}, xs=[0.5], ys=[2], diagrams=[diagram])
    (cell,) = table_of(part(table), "mean over")[1][1:]
    assert cell.endswith("high, not settled|runs: 1 not high, 2 high")
    assert "No two neighbouring cells" in part(table)


def test_missing_runs_are_named_by_reason(grid_table):
    came = [{"acc": 0.5}, Status.FAILED, Status.LOST, Status.FAILED]
    table = grid_table(lambda _x, _y, seed: came[seed], xs=[0.5], ys=[2], seeds=range(4), diagrams=[PLAIN])
    (cell,) = table_of(part(table), "mean over")[1][1:]
    assert cell == "0.50 (1 of 4)|seeds 1, 3 failed|seed 2 lost"


def test_seeds_without_variation_say_so(grid_table):
    table = grid_table(lambda *_: {"acc": 0.5}, xs=[0.5], ys=[2], diagrams=[PLAIN])
    assert table_of(part(table), "mean over")[1][1] == "0.50 (3)|no variation"


def test_rows_that_are_not_whole_are_told(grid_table):
    def cell(x, y, seed):
        return Status.FAILED if seed == 0 or (y == 3 and x == 0.5) else {"acc": x * y}

    table = grid_table(cell, xs=[0.5, 1.0], ys=[2, 3], diagrams=[PLAIN], baseline={"gamma": 1.0})
    assert table_of(part(table), "gamma against")[1] == ["0.5", "none of 2 complete", "3", NONE, NONE, NONE]


def test_a_diagram_that_has_not_begun_says_so(grid_table):
    table = grid_table(lambda *_: Status.PENDING, xs=[0.5, 1.0], ys=[2], diagrams=[PLAIN])
    assert list(drawn(phase_diagrams(table))) == []
    assert "0 of 6 runs" in part(table, figures=True)


def test_diagrams_of_one_metric_have_names_of_their_own(grid_table):
    alike = [PLAIN, {**PLAIN, "metric": "acc-3"}, PLAIN, {**PLAIN, "title": "Again"}]
    table = grid_table(lambda *_: {"acc": 0.5}, xs=[0.5], ys=[2], diagrams=alike)
    base = "diagram-gamma-n_layers-acc"
    assert list(diagram_slugs(phase_diagrams(table))) == [base, f"{base}-3", f"{base}-2", f"{base}-4"]


def test_the_page_has_a_section_for_them_only_where_there_are_any(half_grid, sums):
    page = render(load_study_table(half_grid.folder))
    assert '<a href="#diagrams">Phase diagrams</a>' in page
    assert page.count('id="diagrams"') == 1
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert "Phase diagrams" not in render(load_study_table(sums.folder))


def test_without_matplotlib_the_page_has_the_table(half_grid, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    page = render(load_study_table(half_grid.folder))
    assert "0.84 ± 0.10 (3)" in page
    assert "<svg" not in page


def test_nothing_hostile_becomes_an_element(grid_table):
    name = NASTY.replace("<", "(").replace(">", ")")
    diagram = {"x": NASTY, "y": "b", "metric": name, "title": NASTY, "classes": {NASTY: f"{name} >= 1"}}
    table = grid_table(
        lambda x, *_: {name: float(x == NASTY)},
        xs=[NASTY, "x"],
        ys=[NASTY],
        axes=(NASTY, "b"),
        diagrams=[diagram],
        baseline={"b": NASTY, NASTY: "x"},
    )
    markup = part(table, figures=True)
    assert not re.search(r"<(?:script|img)|<[^>]* on\w+=", markup)
    assert markup.count("alert(1)") > 8
    assert len(tables(markup)) == 3
