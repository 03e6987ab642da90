"""Heat maps: what is drawn in a cell, what is left out, and that nothing is told by colour alone."""

from __future__ import annotations

import re
from collections import Counter
from xml.etree import ElementTree

import pytest

from quadrat.analyze.diagram import phase_diagrams
from quadrat.analyze.table import load_study_table
from quadrat.core.verdicts import Status
from quadrat.report.colour_scale import Scale, scale_of
from quadrat.report.drawing import RULE
from quadrat.report.heatmap import draw_heatmap

SVG = "{http://www.w3.org/2000/svg}"
NASTY = "_<script>$x_1$ & \x00\"'"
PLAIN = {"x": "gamma", "y": "n_layers", "metric": "acc"}
CLASSED = {**PLAIN, "classes": {"high": "acc >= 0.5"}}
DASHED = "stroke-dasharray: 3.2,2.2"


def draw(grid_table, cell, *, xs=(0.5, 1.0), ys=(2, 3), diagram=PLAIN, **options):
    (found,) = phase_diagrams(grid_table(cell, xs=xs, ys=ys, diagrams=[diagram], **options))
    return draw_heatmap(found)


def texts(svg):
    return [node.text for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def places(svg):
    """Text to its place on the page; y grows downwards."""
    nodes = [node for node in ElementTree.fromstring(svg).iter(f"{SVG}text") if node.get("x")]
    return {node.text: (float(node.get("x")), float(node.get("y"))) for node in nodes}


@pytest.fixture(scope="module")
def half(half_grid):
    (diagram,) = phase_diagrams(load_study_table(half_grid.folder))
    return draw_heatmap(diagram)


def test_every_cell_tells_its_mean_half_width_and_n(half):
    said = texts(half.svg())
    for mean, basis in (("0.84", "± 0.10 (3)"), ("0.12", "± 0.07 (3)"), ("0.65", "0.60, 0.70 (2/3)")):
        assert mean in said
        assert basis in said
    assert said.count("0 of 3") == 2


def test_the_axes_keep_the_declared_order_and_y_grows_upwards(half):
    found = places(half.svg())
    assert found["1.0"][0] < found["0.5"][0]  # declared in this order
    assert found["2"][1] > found["3"][1] > found["10"][1]
    assert found["0.84"][1] > found["0.65"][1]  # the cells go with their names
    assert found["0.84"][0] < found["0.12"][0]


def test_names_are_read_from_the_top(grid_table):
    found = places(draw(grid_table, lambda *_: {"acc": 0.5}, ys=("adam", "lion")).svg())
    assert found["adam"][1] < found["lion"][1]


def test_hatched_where_runs_are_missing_and_grey_where_all_are(grid_table, half):
    def fields(svg):
        return svg.count("fill: url(#"), svg.count(f"fill: {RULE}")

    whole = draw(grid_table, lambda *_: {"acc": 0.5})
    assert fields(whole.svg()) == (0, 0)
    assert fields(half.svg()) == (2 + 1, 2 + 1)  # and once each in the legend
    said = texts(half.svg())
    assert " some runs not measured" in said
    assert " nothing measured" in said
    assert not {" some runs not measured", " nothing measured"} & set(texts(whole.svg()))


def test_a_cell_has_the_colour_of_its_mean(grid_table):
    svg = draw(grid_table, lambda x, y, _: {"acc": x * y / 4}).svg()
    for value in (0.25, 0.375, 0.5, 0.75):
        assert f"fill: {Scale(0.0, 1.0).colour(value)}" in svg
    low = draw(grid_table, lambda x, y, _: {"acc": x * y}, diagram={**PLAIN, "goal": "min"}).svg()
    assert f"fill: {scale_of([1.0, 3.0], goal='min').colour(1.5)}" in low


def test_which_way_is_better_is_told_where_it_is_down(grid_table):
    high, low = (
        draw(grid_table, lambda *_: {"acc": 0.5}, diagram={**PLAIN, "goal": goal}).svg() for goal in ("max", "min")
    )
    assert "lower is better" in " ".join(texts(low))
    assert "is better" not in " ".join(texts(high))


def test_classes_are_letters_and_lines_and_not_colours(half):
    said = texts(half.svg())
    assert [text for text in said if text in ("C", "C?", "N", "N?", "S")] == ["C", "N", "C?", "N?"]
    for sign in ("C composite: test_id/exact_match >= 0.5", "S symmetric: test_id/mirror >= 0.5", "N neither"):
        assert sign in " ".join(said)
    assert " between classes" in said
    assert " between classes, not settled" in said
    assert "? threshold inside the interval, or fewer than 3 runs" in said
    assert half.svg().count(DASHED) == 1 + 1  # one piece of the boundary, and the legend


def test_a_boundary_that_is_settled_is_an_unbroken_line(grid_table):
    svg = draw(grid_table, lambda x, *_: {"acc": x * 0.9}, diagram=CLASSED).svg()
    assert " between classes" in texts(svg)
    assert DASHED not in svg
    assert not [text for text in texts(svg) if "?" in text]
    none = draw(grid_table, lambda *_: {"acc": 0.9}, diagram=CLASSED).svg()
    assert " between classes" not in texts(none)


def test_how_much_is_measured_is_told_where_it_is_not_all(grid_table, half):
    assert "10 of 18 runs measured" in " ".join(texts(half.svg()))
    assert "runs measured" not in " ".join(texts(draw(grid_table, lambda *_: {"acc": 0.5}).svg()))


@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (1, 7), (9, 1), (12, 30), (30, 12)])
def test_grids_of_every_shape_show_every_mean(grid_table, columns, rows):
    def mean(x, y):
        return 0.3 + (x * 31 + y) / 2000

    drawing = draw(grid_table, lambda x, y, _: {"acc": mean(x, y)}, xs=range(columns), ys=range(rows), diagram=CLASSED)
    wanted = Counter(f"{mean(x, y):.2f}" for x in range(columns) for y in range(rows))
    assert wanted <= Counter(texts(drawing.svg()))
    assert drawing.inches < 14
    assert len(drawing.svg()) < 400_000


def test_a_fine_grid_leaves_what_cannot_be_read_to_the_table(grid_table):
    def cell(_x, _y, seed):
        return {"acc": 0.5 + seed / 10}

    coarse = texts(draw(grid_table, cell, xs=range(6), ys=range(5)).svg())
    fine = texts(draw(grid_table, cell, xs=range(30), ys=range(12)).svg())
    assert "± 0.25 (3)" in coarse
    assert "± 0.25 (3)" not in fine
    assert "half-widths and n are in the table" in " ".join(fine)
    assert "half-widths" not in " ".join(coarse).replace("half-width of", "")


@pytest.mark.parametrize("columns", [2, 12, 30])
@pytest.mark.parametrize("value", [0.5, -123456e20, 1e-9])
def test_a_text_is_not_wider_than_its_cell(grid_table, columns, value):
    """Numbers that need many letters are written smaller."""
    from matplotlib.textpath import TextPath

    xs = [f"c{column}" for column in range(columns)]
    svg = draw(grid_table, lambda _x, _y, seed: {"acc": value * (1 + seed)}, xs=xs, ys=(2,)).svg()
    at = places(svg)
    cell = at["c1"][0] - at["c0"][0]
    written = re.findall(r"font-size: ([\d.]+)px[^>]*fill: #(?:010101|fefefe)[^>]*>([^<]*)<", svg)
    assert len(written) >= columns
    for size, text in written:
        assert TextPath((0, 0), text, size=float(size)).get_extents().width < cell, text


def test_nothing_measured_at_all_is_a_grey_grid_without_a_scale(grid_table):
    svg = draw(grid_table, lambda *_: Status.PENDING).svg()
    said = texts(svg)
    assert said.count("0 of 3") == 4
    assert not {"0", "0.5", "1"} & set(said) - {"0.5"}
    assert said.count("0.5") == 1  # the name of a column, not of a step of the scale


def test_a_cell_that_was_not_declared_is_left_blank(grid_table):
    svg = draw(grid_table, lambda *_: {"acc": 0.5}, ys=(2,), diagram={**PLAIN, "y": "gamma"}).svg()
    assert texts(svg).count("0.50") == 2


@pytest.mark.parametrize("goal", ["max", "min"])
@pytest.mark.parametrize(
    "values", [(1e-9, 1e9, -1e300, 0.0), (1.7e308, -1.7e308, 0, 1), (1e-300, 1e300, 1, 2), (0, 0, 0, 0), (5e-324,) * 4]
)
def test_means_of_every_size_are_drawn(grid_table, values, goal):
    svg = draw(
        grid_table, lambda x, *_: {"acc": values[x]}, xs=range(4), ys=(2,), diagram={**PLAIN, "goal": goal}
    ).svg()
    assert "nan" not in svg
    assert len([text for text in texts(svg) if text == "(3)"]) == 4


def test_a_span_of_decades_has_a_scale_in_plain_numbers(grid_table):
    said = texts(
        draw(grid_table, lambda x, y, _: {"acc": 10.0 ** (x * 2 * y - 3)}, diagram={**PLAIN, "goal": "min"}).svg()
    )
    assert {"0.100", "10.0", "1000", "0.1", "10"} & set(said) >= {"0.1", "10"}
    assert "$" not in "".join(said)


def test_the_threshold_is_marked_on_the_scale_of_its_own_metric(grid_table):
    def strokes(diagram):
        return draw(grid_table, lambda *_: {"acc": 0.9, "other": 0.9}, diagram=diagram).svg().count("stroke-width: 1.4")

    assert strokes(CLASSED) == 1
    assert strokes({**PLAIN, "classes": {"high": "other >= 0.5"}}) == 0
    assert strokes({**PLAIN, "classes": {"high": "acc >= 7"}}) == 0


def test_it_is_the_same_bytes_every_time(half, half_grid):
    (diagram,) = phase_diagrams(load_study_table(half_grid.folder))
    again = draw_heatmap(diagram)
    assert (again.svg(), again.png(), again.inline("f")) == (half.svg(), half.png(), half.inline("f"))


def test_it_carries_no_date_and_no_outside_reference(half):
    svg = half.svg()
    assert "<dc:date>" not in svg
    assert re.findall(r'(?:xlink:)?href="(?!#)', svg) == []
    assert set(re.findall(r"url\((.)", svg)) <= {"#"}
    assert "<image" not in svg


def test_names_are_shown_as_they_are_and_break_nothing(grid_table):
    diagram = {
        "x": NASTY,
        "y": "b",
        "metric": NASTY,
        "title": "",
        "classes": {NASTY: f"{NASTY.replace('<', '').replace('>', '')} >= 1"},
    }
    drawing = draw(grid_table, lambda *_: {NASTY: 0.5}, xs=(NASTY,), ys=(NASTY,), axes=(NASTY, "b"), diagram=diagram)
    shown = NASTY.replace("\x00", "\ufffd")
    for svg in (drawing.svg(), drawing.inline("f")):
        tree = ElementTree.fromstring(
            svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', "xmlns=" not in svg)
        )
        assert not list(tree.iter(f"{SVG}script"))
        assert sum(shown in (node.text or "") for node in tree.iter(f"{SVG}text")) >= 4


def test_long_names_are_cut_and_turned(grid_table):
    drawing = draw(grid_table, lambda *_: {"acc": 0.5}, xs=("a" * 60, "b"), ys=("c" * 60,))
    said = texts(drawing.svg())
    assert f"{'a' * 23}…" in said
    assert f"{'c' * 23}…" in said
    assert "rotate(-35 " in drawing.svg()


def test_on_a_page_the_cells_keep_their_colours_and_the_rest_follows(half):
    inline = half.inline("one")
    assert Scale(0.0, 1.0).colour(0.84) in inline
    assert "var(--rule)" in inline
    assert "var(--ink)" in inline
    assert not re.search("#(?:0072b2|ffffff|16181d|d9dce1)", inline)
    ids = re.findall(r' id="([^"]*)"', inline)
    assert len(ids) == len(set(ids))
    assert all(name.startswith("one-") for name in ids)
    assert set(re.findall(r'(?:url\(|href=")#([\w-]+)', inline)) <= set(ids)
