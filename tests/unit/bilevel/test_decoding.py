"""Viterbi against trying everything, and the seed's repair."""

from __future__ import annotations

import itertools

import pytest
import torch

from quadrat_studies.bilevel.decoding import not_empty, packed, per_cell, transitions, viterbi
from quadrat_studies.bilevel.macros import SKIP, may_follow

VOCABULARY = (0, 3, 5)


def brute(logits, *, ladder_rule):
    macros = [*VOCABULARY, SKIP]
    found = []
    for path in itertools.product(range(4), repeat=len(logits)):
        names = [macros[column] for column in path]
        if all(name == SKIP for name in names):
            continue
        pairs = list(itertools.pairwise(names))
        fine = all(may_follow(a, b) for a, b in pairs) if ladder_rule else all(a != SKIP or b == SKIP for a, b in pairs)
        if fine:
            found.append((float(sum(logits[k, column] for k, column in enumerate(path))), list(path)))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("ladder_rule", [True, False])
def test_the_k_best_are_the_k_best(ladder_rule):
    logits = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found, scores = viterbi(logits, transitions(VOCABULARY, ladder_rule=ladder_rule), k=6)
    for b in range(3):
        wanted = brute(logits[b], ladder_rule=ladder_rule)[:6]
        assert scores[b].tolist() == pytest.approx([score for score, _ in wanted])
        assert found[b].tolist() == [path for _, path in wanted]


def test_fewer_sequences_than_asked_for_score_minus_infinity():
    _, scores = viterbi(torch.zeros(1, 1, 4), transitions(VOCABULARY, ladder_rule=True), k=5)
    assert scores[0].isfinite().sum() == 3


def test_the_ladder_rule_repairs_what_mixes_two_duals():
    # Cell by cell the two duals win in turn: series, series, series; the rule takes the better of the two ladders.
    logits = torch.tensor([[[2.0, 1.9, -9, -9], [1.1, 1.0, -9, -9], [2.0, 1.0, -9, -9]]])
    assert per_cell(logits).tolist() == [[0, 0, 0]]
    assert viterbi(logits, transitions(VOCABULARY, ladder_rule=True))[0].tolist() == [[[0, 1, 0]]]
    assert viterbi(logits, transitions(VOCABULARY, ladder_rule=False))[0].tolist() == [[[0, 0, 0]]]


def test_an_empty_answer_gets_its_best_cell():
    logits = torch.tensor([[[0.0, 0.0, 0.1, 5.0], [0.0, 2.0, 0.0, 5.0]], [[9.0, 0.0, 0.0, 5.0], [0.0, 0.0, 0.0, 5.0]]])
    columns = per_cell(logits)
    assert columns.tolist() == [[3, 3], [0, 3]]
    assert not_empty(columns, logits).tolist() == [[3, 1], [0, 3]]


def test_packing_moves_skips_to_the_end():
    ids = torch.tensor([[8, 3, 8, 0]])
    x = torch.arange(8.0).reshape(1, 4, 2)
    packed_ids, packed_x = packed(ids, x)
    assert packed_ids.tolist() == [[3, 0, 8, 8]]
    assert packed_x[0, :2].tolist() == [[2.0, 3.0], [6.0, 7.0]]
