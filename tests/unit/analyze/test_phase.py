"""The class of a cell: by its means, and settled only where the runs settle it."""

from __future__ import annotations

import pytest

from quadrat.analyze.declaration import Declared
from quadrat.analyze.phase import class_label, phase_of
from quadrat.analyze.rows import Row
from quadrat.core.verdicts import Status
from quadrat.study.quantities import Demand

CLASSES = {name: Demand.parse(f"{name} >= 0.5") for name in ("composite", "symmetric")}


def rows(*values):
    """Completed runs of (composite, symmetric) each; None for a run that failed."""
    return [
        Row(
            Declared(f"S{seed}", None, None, {}, seed=seed, identity=None),
            Status.COMPLETED if pair else Status.FAILED,
            final=dict(zip(CLASSES, pair or (1.0, 1.0), strict=True)),
        )
        for seed, pair in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("pair", "label", "met"),
    [
        ((0.9, 0.1), "composite", ("composite",)),
        ((0.1, 0.9), "symmetric", ("symmetric",)),
        ((0.5, 0.5), "both", ("composite", "symmetric")),
        ((0.1, 0.1), "neither", ()),
    ],
)
def test_four_classes_out_of_two_demands(pair, label, met):
    found = phase_of(rows(pair, pair, pair), CLASSES)
    assert (found.label, found.met, found.settled) == (label, met, True)
    assert found.runs == {label: 3}


def test_labels_of_one_and_of_three_named_classes():
    assert class_label([], ["a"]) == "not a"
    assert class_label(["a"], ["a"]) == "a"
    assert class_label([], ["a", "b", "c"]) == "none"
    assert class_label(["a", "c"], ["a", "b", "c"]) == "a + c"


@pytest.mark.parametrize(
    ("values", "settled"),
    [
        ((0.80, 0.85, 0.90), True),
        ((0.55, 0.60, 0.95), False),  # the mean is .70, its interval reaches down to .16
        ((0.9, 0.9), False),  # two runs have no interval
        ((0.9,), False),
        ((0.9, 0.9, 0.9), True),  # no variation: there is no interval to hold the threshold
        ((0.9, 0.91, None), False),
        ((0.9, 0.91, 0.92, None), True),
    ],
)
def test_a_class_is_settled_where_the_threshold_lies_outside_the_interval(values, settled):
    found = phase_of(rows(*(value and (value, 0.0) for value in values)), CLASSES)
    assert (found.label, found.settled) == ("composite", settled)


def test_one_metric_in_doubt_leaves_the_class_open():
    found = phase_of(rows((0.9, 0.1), (0.9, 0.4), (0.9, 0.8)), CLASSES)
    assert (found.label, found.settled) == ("composite", False)


def test_runs_are_classed_each_by_itself():
    """Half of the runs in one phase and half in the other: the means meet both demands, and no run does."""
    found = phase_of(rows((1.0, 0.0), (0.0, 1.0), (1.0, 0.0), (0.0, 1.0), None), CLASSES)
    assert (found.label, found.settled) == ("both", False)
    assert found.runs == {"composite": 2, "symmetric": 2}


def test_a_cell_without_classes_or_without_a_measured_metric_has_none():
    assert phase_of(rows((0.9, 0.1)), {}) is None
    assert phase_of(rows(None, None), CLASSES) is None
    assert phase_of(rows((0.9, 0.1)), {**CLASSES, "odd": Demand.parse("other < 1")}) is None
