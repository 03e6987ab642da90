"""Gates, and the ladder they mix."""

from __future__ import annotations

import pytest
import torch

from quadrat_studies.bilevel.ladder import decibels, power
from quadrat_studies.bilevel.relaxation import (
    chosen_values,
    columns_of,
    gumbel_gates,
    macro_ids,
    mixed_db,
    prune,
    query_asymmetry,
    transition_penalty,
    with_chosen,
)

EVERY = tuple(range(8))


@pytest.fixture
def relaxed(mixed):
    """Labels of forty circuits as open gates, their values among random others."""
    about = mixed.take(slice(0, 40))
    columns = columns_of(about.ids, EVERY)
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(*columns.shape, 8, 2, generator=generator, dtype=torch.float64)
    values = with_chosen(values, columns, replaced=about.x)
    gates = torch.nn.functional.one_hot(columns, 9).double()
    return about, columns, values, gates


def test_open_gates_give_exactly_the_circuit(relaxed):
    about, columns, values, gates = relaxed
    found = mixed_db(values, gates, about.w, vocabulary=EVERY, floor_db=-80.0)
    torch.testing.assert_close(found, decibels(power(about.ladder, about.w)[0], floor=1e-8), rtol=0, atol=1e-7)
    torch.testing.assert_close(chosen_values(values, columns)[about.ladder.used()], about.x[about.ladder.used()])
    assert macro_ids(columns, EVERY).equal(about.ids)


def test_a_smaller_vocabulary_is_the_same_circuit(mixed):
    about = mixed.take(mixed.specs.kind == 2).take(slice(0, 9))
    vocabulary = tuple(sorted(set(about.ids.flatten().tolist()) - {8}))
    columns = columns_of(about.ids, vocabulary)
    values = torch.zeros(*columns.shape, len(vocabulary), 2, dtype=torch.float64)
    values = with_chosen(values, columns, replaced=about.x)
    gates = torch.nn.functional.one_hot(columns, len(vocabulary) + 1).double()
    found = mixed_db(values, gates, about.w, vocabulary=vocabulary, floor_db=-80.0)
    torch.testing.assert_close(found, about.ideal[0].clamp_min(-80), rtol=0, atol=1e-7)


def test_the_mix_is_passive_and_reciprocal_in_any_proportion(relaxed):
    about, _, values, gates = relaxed
    soft = (
        gates * 2 + torch.rand(gates.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ).softmax(2)
    found = mixed_db(values, soft, about.w, vocabulary=EVERY, floor_db=-80.0)
    assert float(found.max()) <= 1e-9, "no gain: every mixed cell is two lossless branches"
    assert found.isfinite().all()


def test_gradients_of_gates_and_values_are_those_of_differences(relaxed):
    about, _, values, gates = relaxed
    rows = slice(0, 6)
    v, w = values[rows].clone().requires_grad_(), about.w[rows]
    g = (0.9 * gates[rows] + 0.1 / 9).clone().requires_grad_()

    def loss(v, g):
        return mixed_db(v, g, w, vocabulary=EVERY, floor_db=-80.0).square().mean(1)

    by_v, by_g = torch.autograd.grad(loss(v, g).sum(), [v, g], create_graph=True)
    assert by_g.requires_grad and by_v.requires_grad, "a second derivative can follow"
    for place in ((0, 0), (1, 3), (2, 8)):
        step = torch.zeros_like(g)
        step[:, place[0], place[1]] = 1e-6
        numeric = (loss(v, g + step) - loss(v, g - step)) / 2e-6
        torch.testing.assert_close(by_g[:, place[0], place[1]], numeric, rtol=1e-3, atol=1e-3)


def test_an_alternative_macro_has_a_gradient_though_its_gate_is_shut(relaxed):
    about, _, values, _ = relaxed
    logits = torch.zeros(*values.shape[:2], 9, dtype=torch.float64, requires_grad=True)
    gates = gumbel_gates(logits, tau=1.0)
    loss = mixed_db(values, gates.through, about.w, vocabulary=EVERY, floor_db=-80.0).square().mean()
    (gradient,) = torch.autograd.grad(loss, [logits])
    shut = gates.hard == 0
    assert float((gradient[shut].abs() > 0).double().mean()) > 0.9


def test_hard_and_soft_share_one_draw():
    logits = torch.randn(50, 4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.manual_seed(5)
    gates = gumbel_gates(logits, tau=0.7)
    assert gates.hard.argmax(2).equal(gates.soft.argmax(2))
    assert gates.through.detach().sub(gates.hard).abs().max() < 1e-12
    torch.manual_seed(5)
    cold = gumbel_gates(logits, tau=0.01)
    assert cold.choice.equal(gates.choice) and float(cold.soft.amax(2).mean()) > 0.95
    # The frequencies of hard samples are the softmax probabilities.
    torch.manual_seed(0)
    many = gumbel_gates(logits[:1, :1].expand(20000, 1, 6), tau=1.0).hard.mean(0)[0]
    torch.testing.assert_close(many, logits[0, 0].softmax(0), rtol=0, atol=0.015)


def test_pruning_keeps_the_largest_and_sums_to_one():
    gates = torch.tensor([[[0.1, 0.5, 0.15, 0.25]]])
    assert prune(gates, 2)[0, 0].tolist() == pytest.approx([0, 2 / 3, 0, 1 / 3])
    assert prune(gates, 0) is gates and prune(gates, 9) is gates


def test_the_transition_penalty_is_the_seeds():
    # Three cells, vocabulary (0, 4): probabilities put by hand.
    p = torch.tensor([[[0.5, 0.2, 0.3], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]]], dtype=torch.float64)
    expected = 100 * (0.3 * 0.7 + 0.3 * 0.5) + 2 * (0.5 * 0.1 + 0.1 * 0.25)
    found = transition_penalty(p.log(), vocabulary=(0, 4), skip_penalty=100.0, redundant_penalty=2.0)
    assert float(found) == pytest.approx(expected)


def test_asymmetry_is_zero_for_mirrored_queries():
    half = torch.randn(3, 5)
    assert float(query_asymmetry(torch.cat((half, half.flip(0))))) == 0.0
    queries = torch.tensor([[0.0], [1.0], [1.0], [3.0]])
    assert float(query_asymmetry(queries)) == pytest.approx((9 + 0 + 0 + 9) / 4)
    assert float(query_asymmetry(queries, core=torch.tensor([False, True, True, False]))) == 0.0
