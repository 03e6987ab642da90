"""Stacked tensors: replicas are kept apart, and each gets what it would get alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from quadrat.tensor import stack

SEEDS = (3, 1, 4)


class Line(nn.Module):
    """Two matrices, one of them with a width no vector unit likes, and a frozen bias."""

    def __init__(self, seeds, stds):
        super().__init__()
        self.up = stack.normal(seeds, "up", shape=(5, 7), std=stds)
        self.down = stack.normal(seeds, "down", shape=(7, 1), std=stds)
        self.bias = stack.constant(len(seeds), shape=(7,), value=0.5).requires_grad_(False)

    def forward(self, x):
        hidden = stack.softplus(stack.project(x, self.up) + stack.spread(self.bias, x))
        return stack.project(hidden, self.down).squeeze(-1)


def train(seeds, stds, rates, *, data, active=None, steps=20, limit=1.0):
    line = Line(seeds, stds)
    parameters = stack.trainable(line)
    optimiser = stack.AdamW(parameters, weight_decay=0.01)
    norms = []
    for step in range(steps):
        x, y = (part[step] for part in data)
        losses = (line(x) - y).square().mean(1)
        gradients = torch.autograd.grad(losses.sum(), list(parameters.values()))
        norms.append(stack.gradient_norms(gradients))
        stack.clip(gradients, norms[-1], limits=torch.full((len(seeds),), limit))
        optimiser.update(gradients, rates, active=active(step) if active else [True] * len(seeds))
    return line, optimiser, torch.stack(norms)


def data_for(seeds, *, steps=20, batch=11):
    def draw(name, *shape):
        return torch.stack(
            [stack.drawn(seeds, f"{name}/{i}", draw=lambda g: torch.randn(*shape, generator=g)) for i in range(steps)]
        )

    return draw("x", batch, 5), draw("y", batch)


# Initial values


def test_a_stream_depends_on_seed_and_name_alone():
    def first(seed, name):
        return torch.rand(3, generator=stack.stream(seed, name)).tolist()

    torch.manual_seed(0)
    before = first(1, "a")
    torch.manual_seed(9)
    assert first(1, "a") == before
    assert len({tuple(first(seed, name)) for seed in (0, 1) for name in ("a", "b")}) == 4
    # "1" with "1/a" and "11" with "a" must not meet.
    assert first(1, "1/a") != first(11, "a")


def test_a_member_starts_where_it_would_start_alone_whatever_its_neighbours():
    together = stack.normal(SEEDS, "w", shape=(4, 6), std=(0.1, 1.0, 2.0))
    for place, (seed, std) in enumerate(zip(SEEDS, (0.1, 1.0, 2.0), strict=True)):
        assert torch.equal(together[place], stack.normal((seed,), "w", shape=(4, 6), std=(std,))[0])


def test_standard_deviation_scales_the_same_draws():
    small, large = stack.normal((7, 7), "w", shape=(100, 100), std=(0.5, 2.0))
    assert torch.equal(4 * small, large)
    assert small.std().item() == pytest.approx(0.5, rel=0.03)


def test_uniform_stays_inside_and_fills_its_range():
    values = stack.uniform(SEEDS, "u", shape=(1000,), low=-0.5, high=2.0)
    assert values.min() >= -0.5
    assert values.max() < 2.0
    assert values.min() < -0.48
    assert values.max() > 1.98


# Building blocks


@pytest.mark.parametrize("width", [1, 3, 8])
def test_project_is_each_replicas_own_product(width):
    torch.manual_seed(0)
    x, weight = torch.randn(3, 2, 4, 5, dtype=torch.float64), torch.randn(3, 5, width, dtype=torch.float64)
    assert torch.allclose(stack.project(x, weight), torch.einsum("rbli,rio->rblo", x, weight), atol=1e-12)


def test_lookup_takes_rows_of_each_replicas_own_table():
    table = torch.arange(24.0).view(3, 4, 2)
    ids = torch.tensor([[[0, 3]], [[1, 1]], [[2, 0]]])
    found = stack.lookup(table, ids)
    assert found.shape == (3, 1, 2, 2)
    for replica in range(3):
        assert torch.equal(found[replica, 0], table[replica, ids[replica, 0]])


def test_norms_agree_with_torch():
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, 3, 4, 6), torch.randn(2, 6), torch.randn(2, 6)
    for replica in range(2):
        rms = nn.functional.rms_norm(x[replica], (6,), weight[replica], eps=stack.NORM_EPSILON)
        layer = nn.functional.layer_norm(x[replica], (6,), weight[replica], bias[replica], eps=stack.NORM_EPSILON)
        assert torch.allclose(stack.rms_norm(x, weight)[replica], rms, atol=1e-6)
        assert torch.allclose(stack.layer_norm(x, weight, bias=bias)[replica], layer, atol=1e-6)


def test_softplus_agrees_with_torch_and_does_not_overflow():
    x = torch.tensor([-800.0, -30.0, -1.0, 0.0, 1.0, 30.0, 800.0], dtype=torch.float64)
    assert torch.allclose(stack.softplus(x), nn.functional.softplus(x), atol=1e-8)


def test_softplus_rounds_an_element_alike_wherever_it_stands():
    x = torch.randn(3, 5, 9)
    alone = torch.stack([stack.softplus(part.clone()) for part in x])
    assert torch.equal(stack.softplus(x), alone)


def test_cross_entropy_is_a_mean_for_each_replica():
    torch.manual_seed(0)
    logits, targets = torch.randn(3, 5, 7), torch.randint(0, 7, (3, 5))
    found = stack.cross_entropy(logits, targets)
    for replica in range(3):
        wanted = nn.functional.cross_entropy(logits[replica], targets[replica])
        assert found[replica].item() == pytest.approx(wanted.item(), rel=1e-6)


# Members


def test_a_member_moves_between_stacks_of_different_size():
    source, target = Line(SEEDS, (1.0,) * 3), Line((8,), (1.0,))
    stack.put_member(target.state_dict(), 0, values=stack.member(source.state_dict(), 2))
    for name, tensor in target.state_dict().items():
        assert torch.equal(tensor[0], source.state_dict()[name][2])
        assert tensor.data_ptr() != source.state_dict()[name][2].data_ptr()


def test_a_state_of_another_shape_is_refused():
    line = Line((8,), (1.0,))
    values = stack.member(line.state_dict(), 0)
    with pytest.raises(KeyError):
        stack.put_member(line.state_dict(), 0, values={name: values[name] for name in values if name != "up"})
    with pytest.raises(ValueError, match="sideways"):
        stack.put_member(line.state_dict(), 0, values={**values, "sideways": values["up"]})


def test_trainable_leaves_frozen_tensors_out():
    assert set(stack.trainable(Line(SEEDS, (1.0,) * 3))) == {"up", "down"}


# Training


def test_norms_and_clipping_agree_with_torch_replica_by_replica():
    torch.manual_seed(0)
    gradients = [torch.randn(3, 4, 5), 10 * torch.randn(3, 6)]
    norms = stack.gradient_norms(gradients)
    limits = torch.tensor([1.0, 1e6, math.inf])
    expected = []
    for replica in range(3):
        alone = [nn.Parameter(torch.zeros_like(g[replica])) for g in gradients]
        for parameter, gradient in zip(alone, gradients, strict=True):
            parameter.grad = gradient[replica].clone()
        norm = nn.utils.clip_grad_norm_(alone, float(limits[replica]))
        assert norms[replica].item() == pytest.approx(norm.item(), rel=1e-6)
        expected.append([parameter.grad for parameter in alone])
    stack.clip(gradients, norms, limits=limits)
    for replica in range(3):
        for gradient, wanted in zip(gradients, expected[replica], strict=True):
            assert torch.allclose(gradient[replica], wanted, rtol=1e-6)


def test_adamw_agrees_with_torchs():
    data = data_for(SEEDS)
    line, _, _ = train(SEEDS, (1.0,) * 3, [0.01, 0.02, 0.02], data=data, limit=math.inf)
    for place, (seed, rate) in enumerate(zip(SEEDS, (0.01, 0.02, 0.02), strict=True)):
        alone = Line((seed,), (1.0,))
        optimiser = torch.optim.AdamW(stack.trainable(alone).values(), lr=rate, weight_decay=0.01)
        for step in range(20):
            optimiser.zero_grad()
            (alone(data[0][step, place : place + 1]) - data[1][step, place : place + 1]).square().mean().backward()
            optimiser.step()
        assert torch.allclose(line.up[place], alone.up[0], atol=1e-6)


@pytest.mark.parametrize("rates", [[0.01, 0.01, 0.01], [0.01, 0.02, 0.005]], ids=["one_rate", "own_rates"])
def test_a_member_learns_exactly_what_it_would_learn_alone(rates):
    data, stds = data_for(SEEDS), (0.3, 1.0, 0.6)
    together, _, norms = train(SEEDS, stds, rates, data=data)
    for place, seed in enumerate(SEEDS):
        own = tuple(part[:, place : place + 1] for part in data)
        alone, _, own_norms = train((seed,), stds[place : place + 1], rates[place : place + 1], data=own)
        for name, tensor in stack.trainable(together).items():
            assert torch.equal(tensor[place], stack.trainable(alone)[name][0])
        assert torch.equal(norms[:, place], own_norms[:, 0])


def test_nan_in_one_member_never_reaches_another():
    data = data_for(SEEDS)
    wanted, _, _ = train(SEEDS, (1.0,) * 3, [0.01] * 3, data=data)
    data[0][4, 1] = math.nan
    found, optimiser, norms = train(SEEDS, (1.0,) * 3, [0.01] * 3, data=data)
    assert torch.isnan(found.up[1]).all()
    assert torch.isnan(norms[5:, 1]).all()
    for place in (0, 2):
        assert torch.equal(found.up[place], wanted.up[place])
        assert not torch.isnan(optimiser.member(place)["second"]["up"]).any()


def test_a_member_that_is_not_active_stays_as_it_is_and_goes_on_from_there():
    data = data_for(SEEDS)
    rests = [step in (5, 6, 7) for step in range(20)]
    found, optimiser, _ = train(
        SEEDS, (1.0,) * 3, [0.01] * 3, data=data, active=lambda step: [True, not rests[step], True]
    )
    kept = [step for step in range(20) if not rests[step]]
    own = tuple(part[kept][:, 1:2] for part in data)
    alone, own_optimiser, _ = train((SEEDS[1],), (1.0,), [0.01], data=own, steps=len(kept))
    assert optimiser.updates == [20, 17, 20]
    assert torch.equal(found.up[1], alone.up[0])
    assert torch.equal(optimiser.member(1)["first"]["up"], own_optimiser.member(0)["first"]["up"])


def test_an_optimiser_state_moves_between_stacks_of_different_size():
    data = data_for(SEEDS)
    line, optimiser, _ = train(SEEDS, (1.0,) * 3, [0.01] * 3, data=data)
    alone = Line((8,), (1.0,))
    stack.put_member(alone.state_dict(), 0, values=stack.member(line.state_dict(), 2))
    fresh = stack.AdamW(stack.trainable(alone), weight_decay=0.01)
    fresh.put_member(0, optimiser.member(2))
    gradients = [torch.ones(3, 5, 7), torch.ones(3, 7, 1)]
    optimiser.update(gradients, [0.01] * 3, active=[True] * 3)
    fresh.update([gradient[:1] for gradient in gradients], [0.01], active=[True])
    assert torch.equal(line.up[2], alone.up[0])
    assert fresh.updates == [21]
