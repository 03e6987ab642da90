"""Phase diagrams: which cells there are, what each rests on, and where the classes meet."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from quadrat.analyze.declaration import Declaration, Declared
from quadrat.analyze.diagram import Missing, phase_diagrams
from quadrat.analyze.rows import Row
from quadrat.analyze.stats import Method, t_interval
from quadrat.analyze.table import StudyTable, load_study_table
from quadrat.core.verdicts import Status

TEST = "test_id/exact_match"
PLAIN = {"x": "gamma", "y": "n_layers", "metric": "acc"}
CLASSED = {**PLAIN, "classes": {"high": "acc >= 0.5"}}


def scores(table):
    """acc by column and row, from a mapping; a row of the grid that is None was not begun."""

    def cell(x, y, _):
        value = table[y][x]
        return Status.PENDING if value is None else {"acc": value}

    return cell


def labels(diagram):
    return [[cell.phase.label if cell and cell.phase else None for cell in row] for row in diagram.rows]


def test_a_half_finished_study_has_every_declared_cell(half_grid):
    (diagram,) = phase_diagrams(load_study_table(half_grid.folder))
    assert (diagram.xs, diagram.ys) == ((1.0, 0.5), (2, 3, 10))  # as declared, not sorted
    assert (diagram.planned, diagram.measured) == (18, 10)
    counts = [[(cell.estimate.n, cell.estimate.measured) for cell in row] for row in diagram.rows]
    assert counts == [[(3, 3), (3, 3)], [(3, 2), (3, 2)], [(3, 0), (3, 0)]]


def test_a_cell_says_what_it_rests_on(half_grid):
    (diagram,) = phase_diagrams(load_study_table(half_grid.folder))
    whole, partial = diagram.rows[0][0], diagram.rows[1][0]
    found = t_interval([0.80, 0.84, 0.88])
    assert (whole.x, whole.y, whole.missing) == (1.0, 2, ())
    assert whole.half == pytest.approx((found.high - found.low) / 2)
    assert whole.spread == (0.80, 0.88)
    assert partial.estimate.method is Method.VALUES
    assert partial.estimate.mean == pytest.approx(0.65)  # the failed run's last value is no measurement
    assert math.isnan(partial.half)


def test_missing_runs_are_named_with_the_reason(half_grid):
    (diagram,) = phase_diagrams(load_study_table(half_grid.folder))
    assert diagram.rows[1][0].missing == (Missing(2, "failed"),)
    assert diagram.rows[1][1].missing == (Missing(2, "running"),)
    assert diagram.rows[2][0].missing == tuple(Missing(seed, "missing") for seed in (0, 1, 2))
    assert math.isnan(diagram.rows[2][0].spread[0])


def test_a_value_that_is_no_number_is_told_apart_from_one_that_was_not_logged(grid_table):
    came = [{"acc": math.nan}, {"acc": math.inf}, {"other": 1.0}]
    table = grid_table(lambda _x, _y, seed: came[seed], xs=[1.0], ys=[2], diagrams=[PLAIN])
    (diagram,) = phase_diagrams(table)
    assert [missing.why for missing in diagram.rows[0][0].missing] == ["not a number", "infinite", "not logged"]


def test_values_of_an_axis_are_told_apart_as_they_are_written(grid_table):
    table = grid_table(lambda *_: {"acc": 0.5}, xs=[1, True, "1", [1, 2], None], ys=[2], diagrams=[PLAIN])
    (diagram,) = phase_diagrams(table)
    assert [type(x) for x in diagram.xs] == [int, bool, str, list, type(None)]
    assert all(cell.estimate.n == 3 for cell in diagram.rows[0])


def test_other_axes_and_stages_get_a_diagram_each_and_arms_have_no_cell():
    def row(stage, arm, point):
        declared = Declared(f"{stage}{arm}{point}", stage, arm, point, seed=0, identity=None)
        return Row(declared, Status.COMPLETED, final={"acc": 0.5})

    grid = [{"gamma": x, "n_layers": 2, "model.kind": kind} for kind in ("a", "b") for x in (0.5, 1.0)]
    rows = [row(stage, None, point) for stage in ("one", "two") for point in grid]
    rows += [row("one", "arm", {"gamma": 9.0, "n_layers": 2}), row("one", None, {"gamma": 7.0})]
    table = StudyTable("s", None, Declaration({"diagrams": [PLAIN]}), tuple(rows))
    found = [(diagram.stage, dict(diagram.fixed), diagram.xs) for diagram in phase_diagrams(table)]
    assert found == [(stage, {"model.kind": kind}, (0.5, 1.0)) for stage in ("one", "two") for kind in ("a", "b")]


def test_a_cell_that_nobody_declared_is_none(grid_table):
    table = grid_table(lambda *_: {"acc": 0.5}, xs=[0.5, 1.0], ys=[2, 3], diagrams=[PLAIN])
    table = replace(
        table, rows=tuple(row for row in table.rows if row.condition.point != {"gamma": 1.0, "n_layers": 3})
    )
    (diagram,) = phase_diagrams(table)
    assert [[cell is None for cell in row] for row in diagram.rows] == [[False, False], [False, True]]
    assert len(list(diagram.cells())) == 3


def test_an_axis_against_itself_is_a_diagonal(grid_table):
    table = grid_table(lambda *_: {"acc": 0.5}, xs=[0.5, 1.0], ys=[2], diagrams=[{**PLAIN, "y": "gamma"}])
    (diagram,) = phase_diagrams(table)
    assert [place for place, _ in diagram.cells()] == [(0, 0), (1, 1)]


@pytest.mark.parametrize(
    "diagrams",
    ["no", [3], [{"x": "gamma", "y": "n_layers"}], [{**PLAIN, "x": 3}], [{**PLAIN, "x": "depth"}], []],
)
def test_a_diagram_that_cannot_be_made_is_none(grid_table, diagrams):
    table = grid_table(lambda *_: {"acc": 0.5}, xs=[0.5], ys=[2], diagrams=[])
    table = replace(table, declaration=Declaration({"diagrams": diagrams}))
    assert phase_diagrams(table) == ()


def test_a_demand_that_cannot_be_read_counts_as_absent(grid_table):
    classes = {"high": "acc >= 0.5", "odd": "acc is high", "no": 3}
    table = grid_table(lambda *_: {"acc": 0.7}, xs=[0.5], ys=[2], diagrams=[{**PLAIN, "classes": classes}])
    (diagram,) = phase_diagrams(table)
    assert list(diagram.declared.classes) == ["high"]
    assert labels(diagram) == [["high"]]
    table = replace(table, declaration=Declaration({"diagrams": [{**PLAIN, "classes": ["high"]}]}))
    assert phase_diagrams(table)[0].declared.classes == {}


def test_the_boundary_is_between_neighbours_of_different_class(grid_table):
    table = grid_table(
        scores({2: {0.5: 0.1, 0.7: 0.2, 1.0: 0.9}, 3: {0.5: 0.1, 0.7: 0.8, 1.0: 0.9}}),
        xs=[0.5, 0.7, 1.0],
        ys=[2, 3],
        diagrams=[CLASSED],
    )
    (diagram,) = phase_diagrams(table)
    assert labels(diagram) == [["not high", "not high", "high"], ["not high", "high", "high"]]
    assert {(edge.first, edge.second) for edge in diagram.boundary()} == {
        ((1, 0), (2, 0)),
        ((0, 1), (1, 1)),
        ((1, 0), (1, 1)),
    }
    assert all(edge.settled for edge in diagram.boundary())


def test_a_boundary_is_settled_when_both_sides_are(grid_table):
    def cell(x, _y, seed):
        return {"acc": {0.5: 0.1, 0.7: (0.2, 0.9, 0.9)[seed], 1.0: 0.1}[x]}

    (diagram,) = phase_diagrams(grid_table(cell, xs=[0.5, 0.7, 1.0], ys=[2], diagrams=[CLASSED]))
    assert [edge.settled for edge in diagram.boundary()] == [False, False]
    assert [(found.old, found.new, found.settled) for found in diagram.crossings()] == [
        ("not high", "high", False),
        ("high", "not high", False),
    ]


def test_crossings_step_over_cells_of_no_class_and_the_boundary_does_not(grid_table):
    values = scores({2: {0.5: 0.1, 0.7: None, 1.0: 0.9}})
    (diagram,) = phase_diagrams(grid_table(values, xs=[0.5, 0.7, 1.0], ys=[2], diagrams=[CLASSED]))
    assert diagram.boundary() == ()
    (crossing,) = diagram.crossings()
    assert (crossing.along, crossing.at, crossing.before, crossing.after) == ("gamma", 2, 0.5, 1.0)


def test_a_single_column_is_crossed_upwards(grid_table):
    values = scores({2: {0.5: 0.1}, 3: {0.5: 0.9}})
    (diagram,) = phase_diagrams(grid_table(values, xs=[0.5], ys=[2, 3], diagrams=[CLASSED]))
    (crossing,) = diagram.crossings()
    assert (crossing.along, crossing.at, crossing.before, crossing.after) == ("n_layers", 0.5, 2, 3)


def test_without_classes_there_is_no_boundary(grid_table):
    values = scores({2: {0.5: 0.1, 1.0: 0.9}})
    (diagram,) = phase_diagrams(grid_table(values, xs=[0.5, 1.0], ys=[2], diagrams=[PLAIN]))
    assert (diagram.boundary(), diagram.crossings(), diagram.classes) == ((), (), ())


def test_the_classes_of_cells_and_of_runs_are_listed_named_ones_first(half_grid):
    (diagram,) = phase_diagrams(load_study_table(half_grid.folder))
    assert labels(diagram) == [["composite", "neither"], ["composite", "neither"], [None, None]]
    assert diagram.classes == ("composite", "neither")


@pytest.mark.parametrize(
    ("baseline", "column"),
    [
        ({"gamma": 1.0}, 1.0),
        ({"gamma": 1.0, "n_layers": 2}, 1.0),
        ({"gamma": 1.0, "width": 64}, None),  # no run has a config here that would say so
        ({"n_layers": 2}, None),
        ({"gamma": 3.0}, None),
        ({}, None),
    ],
)
def test_columns_are_compared_with_the_one_the_baseline_lies_in(grid_table, baseline, column):
    table = grid_table(
        lambda x, y, seed: {"acc": x + y + seed**2}, xs=[0.5, 1.0], ys=[2, 3], diagrams=[PLAIN], baseline=baseline
    )
    (diagram,) = phase_diagrams(table)
    assert [found.baseline for found in diagram.contrasts] == ([column] if column else [])
    assert [found.x for found in diagram.contrasts] == ([0.5] if column else [])


def test_a_baseline_named_by_config_is_found_in_written_runs(bench):
    runs = [{"name": f"G{x}", "seed": 0, "point": {"gamma": x, "n_layers": 2}} for x in (0.5, 1.0)]
    bench.declare(runs, diagrams=[PLAIN], baseline={"gamma": 0.5, "model.width": 64})
    bench.run("G0.5", more={"acc": 0.25})
    bench.run("G1.0", more={"acc": 0.75})
    (diagram,) = phase_diagrams(load_study_table(bench.folder))
    (found,) = diagram.contrasts
    assert (found.x, found.baseline, found.result.difference.values) == (1.0, 0.5, (0.5,))


def test_no_config_is_read_for_a_point_that_cannot_be_the_baseline(grid_table):
    table = grid_table(lambda *_: {"acc": 0.5}, xs=[0.5, 1.0], ys=[2], diagrams=[PLAIN])
    declaration = Declaration({"baseline": {"gamma": 1.0, "width": 64}})
    asked = []

    def config(condition):
        asked.append(condition.point["gamma"])
        return {"width": 64}

    found = [
        condition.point["gamma"]
        for condition in table.conditions()
        if declaration.is_baseline(condition, lambda condition=condition: config(condition))
    ]
    assert (found, asked) == ([1.0], [1.0])
