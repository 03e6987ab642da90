"""Metrics on answers small enough to count by hand."""

from __future__ import annotations

import pytest
import torch

from quadrat_studies.bilevel.metrics import curve_errors, interval, passes, structure, trivial

S = 8
LABEL = torch.tensor([[0, 3, 0, S], [4, 6, S, S], [0, 3, S, S], [5, 7, 5, S]])


def test_structure_by_hand():
    answer = torch.tensor([[0, 3, 0, S], [6, 4, S, S], [0, 3, 0, S], [5, S, S, S]])
    found = structure(answer, LABEL)
    # Cells right: 4 + 2 + 3 + 2 of 16; of the ten cells with a label: 3 + 0 + 2 + 1.
    assert found["macro_acc"] == pytest.approx(11 / 16)
    assert found["macro_non_skip_acc"] == pytest.approx(6 / 10)
    assert found["len_mae"] == pytest.approx(3 / 4) and found["len_bias"] == pytest.approx(-1 / 4)
    assert found["len_exact"] == 0.5
    assert found["seq_exact"] == 0.25 and found["seq_equiv"] == 0.5, "the second answer is the dual"
    assert found["parts_ratio"] == pytest.approx(9 / 10)


def test_trivial_answers():
    kinds = torch.tensor([0, 2, 0, 3])
    train = torch.tensor([[0, 3, 0, S], [0, 3, 0, S], [0, 3, S, S], [4, 6, S, S]])
    found = trivial(LABEL, kinds, train_label=train, train_kinds=torch.tensor([0, 0, 0, 2]))
    assert found["trivial/skip_macro_acc"] == pytest.approx(6 / 16)
    assert found["trivial/skip_macro_non_skip_acc"] == 0.0
    assert found["trivial/skip_len_mae"] == pytest.approx(10 / 4)
    assert found["trivial/majority_seq_exact"] == 0.5


def test_curve_errors_know_their_floor():
    wanted, curve = torch.tensor([[0.0, -300.0]]), torch.tensor([[-2.0, -120.0]])
    assert curve_errors(curve, wanted).tolist() == [(4 + 120**2) / 2]
    assert curve_errors(curve, wanted, floor_db=-80).tolist() == [2.0]


def test_only_constrained_circuits_count():
    assert passes(torch.tensor([True, False, True]), torch.tensor([True, True, False])) == 0.5


def test_intervals_hold_the_mean_and_repeat():
    values = [0.0, 1.0] * 30
    low, high = interval(values)
    assert low < 0.5 < high and high - low == pytest.approx(0.25, abs=0.05)
    assert interval(values) == (low, high)
