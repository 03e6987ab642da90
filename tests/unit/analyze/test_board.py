"""The board: one mark for every arm, the queued ones first."""

from __future__ import annotations

import pytest

from quadrat.analyze.board import board, counts, plain, skipping, standings
from quadrat.analyze.declaration import Declaration, Declared
from quadrat.analyze.rows import Row
from quadrat.core.verdicts import Status

GATE = {"metric": "acc", "pass": "> 0.9", "partial": "> 0.5"}
STAGES = [{"name": "one", "gate": GATE}, {"name": "two", "needs": ["one"], "gate": GATE}]


def rows(**arms):
    """``arm=(value in one, value in two)``; None is a run that has not begun, a status one that ended so."""
    found = []
    for stage, place in (("one", 0), ("two", 1)):
        for arm, values in arms.items():
            told = values[place] if place < len(values) else None
            declared = Declared(name=f"{arm}_S0", stage=stage, arm=arm, point={}, seed=0, identity=None)
            status = told if isinstance(told, Status) else Status.PENDING if told is None else Status.COMPLETED
            final = {"acc": told} if isinstance(told, float) else {}
            found.append(Row(declared=declared, status=status, final=final))
    return tuple(found)


def marks(arms, **lock):
    return {line.label: line.mark for line in board(Declaration({"stages": STAGES, **lock}), rows(**arms))}


@pytest.mark.parametrize(
    ("values", "mark"),
    [
        ((0.95, 0.95), "validated"),
        ((0.1,), "failed"),
        ((0.95, 0.1), "failed"),
        ((0.6,), "retest"),
        ((Status.FAILED,), "retest"),
        ((Status.LOST,), "retest"),
        ((0.95,), "not tested"),
        ((), "not tested"),
        ((Status.RUNNING,), "not tested"),
    ],
)
def test_the_mark_of_an_arm(values, mark):
    assert marks({"a": values}) == {"a": mark}


def test_queued_arms_come_first_and_a_person_may_ask_for_another_test():
    queue = [{"arm": "c"}, {"arm": "a", "retest": "The loss lacked a term."}]
    lines = board(Declaration({"stages": STAGES, "queue": queue}), rows(a=(0.95, 0.95), b=(0.1,), c=(0.95, 0.95)))
    assert [(line.label, line.place, line.mark) for line in lines] == [
        ("c", 1, "validated"),
        ("a", 2, "retest"),
        ("b", None, "failed"),
    ]
    assert lines[1].why == "The loss lacked a term."
    assert counts(lines) == {"validated": 1, "failed": 1, "retest": 1}
    assert plain(lines[2])["stages"] == [{"stage": "one", "outcome": "fail"}, {"stage": "two", "outcome": "skipped"}]


def test_a_decision_by_hand_is_told_beside_the_outcome_and_does_not_change_it():
    told = [{"stage": "one", "arm": "a", "because": "We look anyway."}]
    (line,) = board(Declaration({"stages": STAGES, "overrides": told}), rows(a=(0.1, 0.95)))
    assert (line.mark, "We look anyway." in line.why) == ("failed", True)
    assert line.stages == (("one", "fail (overridden)"), ("two", "pass"))


def test_runs_behind_a_missed_gate_are_skipped_with_the_reason():
    lock, table = Declaration({"stages": STAGES}), rows(a=(0.1,), b=(0.95,))
    shown = skipping(table, standings(lock, table))
    by_place = {row.declared.place: (row.status, row.barred) for row in shown}
    assert by_place["two/a_S0"] == (Status.SKIPPED, "one: fail, 0.1, 1 of 1 measured")
    assert by_place["two/b_S0"] == (Status.PENDING, None)
    assert skipping(shown, standings(lock, shown)) == shown


def test_a_study_without_gates_has_no_board():
    assert board(Declaration({"stages": [{"name": "one"}]}), rows(a=(0.95,))) == ()
    assert board(Declaration({}), ()) == ()
