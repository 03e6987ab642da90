"""The block: by hand as by torch, positions as rotations, and what the published formulas say."""

from __future__ import annotations

import pytest
import torch

from quadrat_studies.etrm import fused
from quadrat_studies.etrm.config import ArchConfig
from quadrat_studies.etrm.layers import Block, CrossBlock, as_turns, cut_normal, key_bias, plain_block, rms, rotary

ARCH = ArchConfig(hidden_size=32, num_heads=2, expansion_multiple=16)


def turns(length, batch=None):
    places = torch.arange(length)[:, None]
    angles = rotary(places, 16, theta=100.0)
    own = None if batch is None else torch.arange(1, batch + 1)[:, None, None] * angles
    return as_turns(angles if own is None else own, 16)


@pytest.mark.parametrize("length", [1, 7, 16, 37])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("own_places", [False, True])
def test_the_block_by_hand_is_the_block_in_torchs_operations(length, masked, own_places):
    torch.manual_seed(0)
    block = Block(ARCH)
    x, given = (torch.randn(3, length, 32) for _ in range(2))
    assert fused.applies(x, block.weights, 16)
    valid = torch.rand(3, length) < 0.6
    valid[:, 0] = True
    bias = key_bias(valid) if masked else None
    at = turns(length, 3 if own_places else None)
    for _ in range(2):  # the second time where others have worked before
        y = x.clone().requires_grad_()
        hand = block(y, at, bias)
        by_hand = torch.autograd.grad(hand, [y, *block.weights], given)
        plain = plain_block(y, block.weights, turns=at, bias=bias)
        by_torch = torch.autograd.grad(plain, [y, *block.weights], given)
        assert torch.allclose(hand, plain, atol=1e-5)
        for ours, theirs in zip(by_hand, by_torch, strict=True):
            assert torch.allclose(ours, theirs, atol=1e-5 * theirs.abs().max().item() + 1e-7)
    with torch.no_grad():
        assert torch.allclose(block(x, at, bias), plain, atol=1e-5)


def test_very_large_scores_are_no_trouble():
    torch.manual_seed(0)
    block = Block(ARCH)
    x = 100 * torch.randn(2, 9, 32)
    y = x.clone().requires_grad_()
    ours, theirs = block(y, turns(9)), plain_block(y, block.weights, turns=turns(9), bias=None)
    assert torch.allclose(ours, theirs, atol=1e-4)
    slopes = [torch.autograd.grad(each.square().sum() + each.sum(), block.weights) for each in (ours, theirs)]
    for mine, their in zip(*slopes, strict=True):
        assert torch.allclose(mine, their, atol=1e-3 * their.abs().max().item())


def test_a_nan_stays_in_its_sample_and_in_its_call():
    torch.manual_seed(0)
    block = Block(ARCH)
    x = torch.randn(2, 9, 32)
    sound = block(x, turns(9))
    sick = x.clone()
    sick[1, 4, 3] = float("nan")
    found = block(sick, turns(9))
    assert torch.equal(found[0], sound[0]) and found[1].isnan().all()
    found.sum().backward()
    again = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(block(again, turns(9)).square().sum(), again)
    assert torch.equal(block(x, turns(9)), sound) and slope.isfinite().all()


def test_without_numba_torch_does_it_all(monkeypatch):
    torch.manual_seed(0)
    block = Block(ARCH)
    x = torch.randn(2, 9, 32)
    with_loops = block(x, turns(9))
    monkeypatch.setattr(fused, "loops", lambda: None)
    assert not fused.applies(x, block.weights, 16)
    assert torch.allclose(block(x, turns(9)), with_loops, atol=1e-5)


def test_without_onednn_another_library_multiplies(monkeypatch):
    rows, weight = torch.randn(5, 32), torch.randn(48, 32)
    usual = fused.product(rows, weight)
    monkeypatch.setattr(fused, "_onednn", None)
    assert torch.allclose(fused.product(rows, weight), usual, atol=1e-5)


def test_other_heads_than_of_sixteen_are_left_to_torch():
    block = Block(ArchConfig(hidden_size=16, num_heads=2, expansion_multiple=8))
    x, places = torch.randn(2, 5, 16), rotary(torch.arange(5)[:, None], 8, theta=100.0)
    assert not fused.applies(x, block.weights, 8)
    assert torch.equal(
        block(x, as_turns(places, 8)), plain_block(x, block.weights, turns=as_turns(places, 8), bias=None)
    )


def test_frozen_weights_still_pass_the_gradient_on():
    torch.manual_seed(0)
    block = Block(ARCH)
    for weight in block.weights:
        weight.requires_grad_(False)
    x = torch.randn(2, 5, 32, requires_grad=True)
    (ours,) = torch.autograd.grad(block(x, turns(5)).square().sum() + x.sum(), x)
    (theirs,) = torch.autograd.grad(
        plain_block(x, block.weights, turns=turns(5), bias=None).square().sum() + x.sum(), x
    )
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_masked_keys_have_no_say():
    torch.manual_seed(1)
    for style in ("post", "pre"):
        block = Block(ARCH, style=style)
        x = torch.randn(1, 6, 32)
        valid = torch.tensor([[True, True, True, True, False, False]])
        other = x.clone()
        other[:, 4:] = torch.randn(1, 2, 32)
        first, second = (block(z, turns(6), key_bias(valid))[:, :4] for z in (x, other))
        assert torch.allclose(first, second, atol=1e-6)
        assert not torch.allclose(block(x, turns(6))[:, :4], block(other, turns(6))[:, :4], atol=1e-3)


def test_scores_depend_on_distance_alone():
    at = turns(9)
    q, k = torch.randn(2, 16)

    def turned(x, part, place):
        pair = torch.view_as_complex(x.view(8, 2)) * at[part, 0, 0, place]
        return torch.view_as_real(pair).flatten()

    scores = [turned(q, 0, i) @ turned(k, 1, i + 3) for i in range(5)]
    assert torch.allclose(torch.stack(scores), scores[0].expand(5), atol=1e-5)
    same = turned(q, 0, 2) @ turned(k, 1, 2)
    assert torch.allclose(same, (q @ k) / 16**0.5, atol=1e-5), "the scale of the scores is in the queries"


def test_two_axes_share_the_pairs():
    places = torch.tensor([[0, 0], [1, 0], [0, 1]])
    angles = rotary(places, 8, theta=10.0)
    assert angles.shape == (3, 4)
    assert (angles[1, 2:] == 0).all() and (angles[2, :2] == 0).all()
    assert angles[1, 0] == angles[2, 2] == 1


def test_weights_start_cut_at_two_sigma_with_the_right_spread():
    torch.manual_seed(0)
    draw = cut_normal(400, 400, std=0.05)
    assert draw.std().item() == pytest.approx(0.05, rel=0.01)
    assert draw.abs().max().item() <= 2 * 0.05 / 0.8796 + 1e-6


def test_rms_leaves_rows_at_one():
    x = torch.randn(4, 32) * 50
    assert torch.allclose(rms(x).square().mean(-1), torch.ones(4), atol=1e-3)


def test_cross_attention_sees_what_is_there():
    torch.manual_seed(0)
    block = CrossBlock(ARCH)
    x, memory = torch.randn(1, 3, 32), torch.randn(1, 4, 32)
    there = torch.tensor([[True, True, False, False]])
    shorter = block(x, memory[:, :2], there[:, :2])
    assert torch.allclose(block(x, memory, there), shorter, atol=1e-6)
    assert torch.allclose(block(x, memory[:, [1, 0, 2, 3]], there), shorter, atol=1e-6)
