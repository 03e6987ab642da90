"""AdamATan2 on one vector, clipping, schedule, averaging, and sign descent on a table."""

from __future__ import annotations

import math

import pytest
import torch

from quadrat_studies.etrm.config import ArchConfig, TrainingConfig
from quadrat_studies.etrm.model import build
from quadrat_studies.etrm.optimiser import AdamATan2, FlatWeights, learning_rate, sign_descent

ARCH = ArchConfig(hidden_size=16, num_heads=2, encoder_num_layers=1, L_layers=1, puzzle_emb_len=2)


def made(**recipe):
    solver = build(ARCH, side=3, seed=0)
    weights = FlatWeights(solver)
    return solver, weights, AdamATan2(weights, TrainingConfig.model_validate(recipe))


def test_parameters_and_gradients_are_views_of_two_vectors():
    solver, weights, _ = made()
    before = {name: p.detach().clone() for name, p in build(ARCH, side=3, seed=0).named_parameters()}
    assert all(torch.equal(p, before[name]) for name, p in solver.named_parameters())
    weights.values += 1
    assert all(torch.equal(p, before[name] + 1) for name, p in solver.named_parameters())
    sizes = {
        part: sum(p.numel() for n, p in solver.named_parameters() if n.startswith(part)) for part in ("enc", "inn")
    }
    assert (weights.encoder_size, len(weights.values)) == (sizes["enc"], sizes["enc"] + sizes["inn"])
    for p in solver.inner.parameters():
        p.grad += 2
    encoder, inner, total = weights.norms().tolist()
    assert encoder == 0
    assert inner == total == pytest.approx(2 * math.sqrt(sizes["inn"]), rel=1e-6)


def test_the_update_is_that_of_the_formula():
    _, weights, optimiser = made(weight_decay=0.1, ema_rate=0.9)
    start = weights.values.clone()
    m = v = torch.zeros_like(start)
    values, averaged = start.clone(), start.clone()
    for t in range(1, 4):
        g = torch.randn(len(start), generator=torch.Generator().manual_seed(t))
        weights.gradient.copy_(g)
        optimiser.update(0.01)
        m, v = 0.9 * m + 0.1 * g, 0.95 * v + 0.05 * g * g
        hat_m, hat_v = m / (1 - 0.9**t), v / (1 - 0.95**t)
        values = values * (1 - 0.01 * 0.1) - 0.01 * torch.atan2(hat_m, hat_v.sqrt())
        averaged = 0.9 * averaged + 0.1 * values
    assert torch.allclose(weights.values, values, atol=1e-6)
    assert torch.allclose(optimiser.averaged, averaged, atol=1e-6)


def test_a_frozen_decoder_keeps_its_weights_and_moments():
    _, weights, optimiser = made()
    before = weights.values.clone()
    weights.gradient.fill_(1.0)
    optimiser.update(0.01, freeze_inner=True)
    assert torch.equal(weights.values[weights.inner], before[weights.inner])
    assert not torch.equal(weights.values[weights.encoder], before[weights.encoder])
    assert not optimiser.state()["first"][weights.inner].any()


def test_clipping_shrinks_to_the_limit_and_never_enlarges():
    _, weights, _ = made()
    weights.gradient.fill_(0.5)
    total = weights.norms()[2]
    factor = weights.clip(1.0, total)
    assert weights.norms()[2].item() == pytest.approx(1.0, rel=1e-4)
    assert factor.item() == pytest.approx(1 / total.item(), rel=1e-4)
    assert weights.clip(5.0, weights.norms()[2]).item() == 1.0
    assert weights.clip(0.0, weights.norms()[2]).item() == 1.0


def test_the_rate_rises_and_falls_to_its_floor():
    recipe = TrainingConfig(lr=1.0, lr_warmup_steps=10, max_steps=110, lr_min_ratio=0.05)
    assert learning_rate(0, recipe) == 0.1
    assert learning_rate(9, recipe) == learning_rate(10, recipe) == 1.0
    assert learning_rate(60, recipe) == pytest.approx(0.525)
    assert learning_rate(110, recipe) == pytest.approx(0.05)
    constant = recipe.model_copy(update={"lr_min_ratio": 1.0})
    assert learning_rate(90, constant) == 1.0


def test_sign_descent_moves_only_the_vectors_in_the_batch():
    table = torch.ones(5, 3)
    gradient = torch.tensor([[1.0, -2.0, 0.0], [-3.0, 1.0, 0.0], [0.5, 0.5, 0.5]])
    sign_descent(table, torch.tensor([4, 4, 1]), gradient=gradient, rate=0.1, decay=0.5)
    assert torch.equal(table[[0, 2, 3]], torch.ones(3, 3))
    assert torch.allclose(table[4], torch.tensor([0.95 + 0.1, 0.95 + 0.1, 0.95])), "gradients of one vector are added"
    assert torch.allclose(table[1], torch.full((3,), 0.85))
