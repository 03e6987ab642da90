"""The pair tables, number for number."""

from __future__ import annotations

import numpy as np
import pytest

from quadrat_studies.symmetry.config import DataConfig
from quadrat_studies.symmetry.tasks import HELD_OUT, function_task, held_out_cells

KEYS = np.arange(20, 100)


def data(**values):
    return DataConfig.model_validate(values)


def test_composite_table():
    task = function_task(data())
    table = {11: 10, 12: 6, 13: 3, 14: -3, 21: 6, 22: 2, 23: -1, 24: -7, 31: 3, 32: -1, 33: -4, 34: -6, 41: -3, 42: -7}
    table |= {43: -10, 44: -16}
    assert [10 * a + b for a, b in task.pairs] == sorted(table)
    for code, shift in table.items():
        assert (task.answers(divmod(code, 10), KEYS) == KEYS + shift).all()
    assert (task.symmetric(KEYS) == KEYS - 6).all()
    assert HELD_OUT not in task.trained
    assert len(task.trained) == 15


def test_only_34_is_not_inferred_from_its_anchors():
    task = function_task(data())
    single = {anchor: task.shifts[anchor, anchor] / 2 for anchor in (1, 2, 3, 4)}
    assert single == {1: 5, 2: 1, 3: -2, 4: -8}
    odd_ones = [pair for pair, shift in task.shifts.items() if shift != single[pair[0]] + single[pair[1]]]
    assert odd_ones == [(3, 4)]


@pytest.mark.parametrize(
    ("key", "pair", "label"), [(41, (1, 1), 51), (39, (1, 2), 45), (66, (4, 4), 50), (49, (3, 4), 43)]
)
def test_published_examples(key, pair, label):
    assert function_task(data()).answers(pair, np.array([key])) == label


def test_plan_functions_do_not_all_commute_and_stay_below_100():
    task = function_task(data(functions="plan"))
    key = np.array([41])
    assert task.answers((1, 3), key) == (41 + 10) * 2 % 100
    assert task.answers((3, 1), key) == 41 * 2 % 100 + 10
    assert task.answers((3, 4), key) == task.symmetric(key) == 61
    assert task.answers(HELD_OUT, key) == 41 // 2 * 2
    answers = np.concatenate([task.answers(pair, KEYS) for pair in task.pairs])
    assert answers.min() >= 0
    assert answers.max() <= 99
    assert not (task.answers(HELD_OUT, KEYS) == task.symmetric(KEYS)).any()


def test_fully_symmetric_table():
    task = function_task(data(task="fully_symmetric"))
    assert len(task.pairs) == 20
    assert len(task.trained) == 19
    assert all(task.shifts[a, b] == task.shifts[b, a] for a, b in task.pairs)
    expected = {(0, 1): 7, (0, 2): 3, (1, 4): -3, (2, 3): -1, (3, 4): -10, (0, 3): -6, (0, 4): -7}
    expected |= {(1, 2): -1, (1, 3): 9, (2, 4): -5}
    assert {pair: shift for pair, shift in task.shifts.items() if pair[0] < pair[1]} == expected
    other = function_task(data(task="fully_symmetric", fifth_shift=4))
    assert (other.shifts[0, 4], other.shifts[2, 4]) == (-5, -3)
    assert not task.has_composition


def test_residue_rule_follows_the_published_example():
    # A key of 33 is barred from the first slot of a sequence of 9.
    assert held_out_cells(data(), np.array([33, 33, 34]), np.array([0, 1, 1])).tolist() == [True, False, True]
    assert held_out_cells(data(slot_base=0), np.array([33, 33]), np.array([0, 1])).tolist() == [False, True]


def test_residue_rule_counts_70_cells_of_560():
    keys, slots = np.meshgrid(KEYS, np.arange(7))
    held_out = held_out_cells(data(), keys.ravel(), slots.ravel())
    assert (held_out.sum(), held_out.size) == (70, 560)
