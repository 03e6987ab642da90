"""The models: held against a plain sequential Mamba-2, sized as published, started as said."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch.nn import functional as F

from quadrat.tensor.stack import trainable
from quadrat_studies.symmetry.config import Config, ModelType
from quadrat_studies.symmetry.model import Probe, build

TYPES = get_args(ModelType)
MAMBAS = [name for name in TYPES if name.startswith("mamba")]


def config(**values):
    return Config.model_validate(values)


def tokens(replicas, *, rows=5, length=9, seed=0):
    return torch.randint(0, 101, (replicas, rows, length), generator=torch.Generator().manual_seed(seed))


def reference(network, about, row):
    """One sequence through replica 0, position by position, written from the published equations."""
    p = {name: value[0].double() for name, value in network.state_dict().items()}
    inner, state = about.expand * about.d_model, about.d_state

    def rms(x, weight):
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-5) * weight

    h = p["embedding"][row]
    if network.has_positions:
        h = h + network.positions[0, : len(row)].double()
    for layer in range(about.n_layers):
        q = {name.removeprefix(f"blocks.{layer}."): value for name, value in p.items()}
        u = rms(h, q["norm"]) if about.prenorm else h
        xbc = u @ q["convolution.weight"]
        taps = q["convolution.taps"]
        v = []
        for t in range(len(row)):
            c = q["convolution.bias"].clone()
            for k in range(4):
                if t - 3 + k >= 0:
                    c += taps[k] * xbc[t - 3 + k]
            activated = c * torch.sigmoid(c)
            activated = {"mamba_residual": activated + xbc[t], "mamba_gate": activated * xbc[t]}.get(
                about.model_type, activated
            )
            v.append(activated)
        hidden, out = torch.zeros(state, inner, dtype=torch.float64), []
        for t in range(len(row)):
            x, b, c = v[t].split([inner, state, state])
            dt = F.softplus(u[t] @ q["step"] + q["step_bias"])
            hidden = torch.exp(-torch.exp(q["log_rate"]) * dt) * hidden + dt * torch.outer(b, x)
            y = hidden.t() @ c + q["skip"] * x
            gated = y * F.silu(u[t] @ q["gate"])
            out.append(h[t] + rms(gated, q["gated_norm"]) @ q["out"])
        h = torch.stack(out)
    last = rms(h[-1], p["norm"]) if about.prenorm else h[-1]
    return last @ p["head"]


@pytest.mark.parametrize("prenorm", [True, False])
@pytest.mark.parametrize("model_type", MAMBAS)
def test_mamba_is_the_published_recurrence(model_type, prenorm):
    about = config(model_type=model_type, n_layers=3, gamma=0.5, prenorm=prenorm, d_model=8, d_state=6)
    network = build([about], [3]).double()
    given = tokens(1, rows=2)
    found = network(given)
    for row in range(2):
        assert (found[0, row] - reference(network, about, given[0, row])).abs().max() < 1e-9


@pytest.mark.parametrize("model_type", TYPES)
def test_reading_only_the_last_position_changes_nothing(model_type):
    network = build([config(model_type=model_type, gamma=gamma) for gamma in (0.5, 1.0)], [1, 2]).double()
    given = tokens(2)
    assert (network(given) - network(given, probe=Probe())).abs().max() < 1e-12


@pytest.mark.parametrize("model_type", TYPES)
def test_gradients_agree_with_finite_differences(model_type):
    about = config(model_type=model_type, gamma=0.5, d_model=4, d_state=3, data={"vocabulary": 128})
    network = build([about, about], [1, 2]).double()
    given, answers = tokens(2, rows=2), torch.tensor([[30, 40], [50, 60]])
    parameters = trainable(network)

    def loss():
        return F.cross_entropy(network(given).flatten(0, 1), answers.flatten())

    gradients = dict(zip(parameters, torch.autograd.grad(loss(), list(parameters.values())), strict=True))
    generator = torch.Generator().manual_seed(0)
    for name, parameter in parameters.items():
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            parameter.add_(direction, alpha=1e-6)
            above = loss()
            parameter.add_(direction, alpha=-2e-6)
            below = loss()
            parameter.add_(direction, alpha=1e-6)
        slope = ((above - below) / 2e-6).item()
        assert (gradients[name] * direction).sum().item() == pytest.approx(slope, rel=1e-5, abs=1e-7), name


@pytest.mark.parametrize(("layers", "count"), [(2, 45_030), (3, 61_097), (4, 77_164), (5, 93_231), (6, 109_298)])
def test_published_sizes(layers, count):
    network = build([config(n_layers=layers)], [0])
    assert sum(p.numel() for p in trainable(network).values()) == count


@pytest.mark.parametrize("model_type", TYPES)
def test_no_answer_depends_on_what_follows(model_type):
    network = build([config(model_type=model_type, gamma=0.5)], [0]).double()
    streams = []
    for last in (30, 31):
        given = tokens(1)
        given[:, :, 6:] = last
        network(given, probe=Probe(passed=lambda layer, h: streams.append(h)))
    for before, after in zip(streams[:2], streams[2:], strict=True):
        assert torch.equal(before[:, :, :6], after[:, :, :6])
        assert not torch.equal(before[:, :, 6:], after[:, :, 6:])


# How models start


def test_gamma_is_the_exponent_of_the_number_of_inputs():
    network = build([config(gamma=0.5), config(gamma=1.0)], [5, 5])
    block = network.blocks[0]
    for weight, fan in ((network.embedding, 32), (network.head, 32), (block.convolution.weight, 32), (block.out, 64)):
        for replica, gamma in enumerate((0.5, 1.0)):
            assert weight[replica].std().item() == pytest.approx(fan**-gamma, rel=0.05)
        assert torch.allclose(weight[0] * fan**-0.5, weight[1], rtol=1e-5)
    assert block.convolution.taps[1].std().item() == pytest.approx(1 / 4, rel=0.05)
    assert torch.equal(block.log_rate[0], block.log_rate[1])


@pytest.mark.parametrize(
    ("conv_init", "std"), [("gamma_fan_in", 1 / 4), ("gamma_channels", 1 / 320), ("default_uniform", 1 / math.sqrt(12))]
)
def test_readings_of_the_convolutions_start(conv_init, std):
    taps = build([config(conv_init=conv_init)], [0]).blocks[0].convolution.taps
    assert taps.std().item() == pytest.approx(std, rel=0.05)


def test_readings_of_the_embeddings_start():
    wide = build([config(embedding_fan="width", model_type="mamba_residual", gamma=1.0)], [0])
    assert wide.embedding.std().item() == pytest.approx(1 / 32, rel=0.05)
    assert wide.positions.std().item() == pytest.approx(1 / 32, rel=0.1)
    one_hot = build([config(embedding_fan="vocabulary", gamma=1.0)], [0])
    assert one_hot.embedding.std().item() == pytest.approx(1 / 201, rel=0.05)


def test_library_ranges_of_what_gamma_leaves_alone():
    network = build([config()] * 200, list(range(200)))
    block = network.blocks[1]
    assert block.log_rate.exp().min() >= 1
    assert block.log_rate.exp().max() <= 16
    steps = F.softplus(block.step_bias)
    assert steps.min() >= 1e-3 * 0.999
    assert steps.max() <= 1e-1 * 1.001
    assert 0.3 < (steps < 1e-2).float().mean() < 0.7


def test_variants_share_the_draws_of_what_they_share():
    standard, ones = (build([config(model_type=name)], [7]) for name in ("mamba_standard", "mamba_ones_conv"))
    assert torch.equal(standard.embedding, ones.embedding)
    assert torch.equal(standard.blocks[1].convolution.weight, ones.blocks[1].convolution.weight)


def test_ones_are_ones_and_frozen():
    network = build([config(model_type="mamba_ones_conv")], [0])
    assert (network.blocks[0].convolution.taps == 1).all()
    assert not any("taps" in name or "convolution.bias" in name for name in trainable(network))
    trained = build([config(model_type="mamba_ones_conv", ones_conv_bias="trained")], [0])
    assert "blocks.0.convolution.bias" in trainable(trained)


def test_equal_taps_make_the_window_blind_to_order():
    network = build([config(model_type="mamba_ones_conv")], [0]).double()
    seen = []
    for pair in ((4, 3), (3, 4)):
        given = torch.full((1, 1, 9), 50)
        given[0, 0, 2:5] = torch.tensor([30, *pair])
        network(given, probe=Probe(convolved=lambda layer, parts: (seen.append(parts[0]), parts)[1]))
    after_pair = 5
    assert torch.allclose(seen[0][:, :, after_pair], seen[2][:, :, after_pair], atol=1e-12)
    first_anchor = 3
    assert not torch.allclose(seen[0][:, :, first_anchor], seen[2][:, :, first_anchor])


def test_sinusoidal_positions_are_not_trained():
    network = build([config(model_type="mamba_pos_encoding", positions="sinusoidal")], [0])
    assert "positions" not in trainable(network)
    assert network.positions.shape == (1, 9, 32)
    assert torch.equal(network.positions[0, 0, :4], torch.tensor([0.0, 1.0, 0.0, 1.0]))
