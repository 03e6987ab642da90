"""The block: by hand as by torch, positions as rotations, and what the published formulas say."""

from __future__ import annotations

import pytest
import torch

from quadrat_studies.etrm.config import ArchConfig
from quadrat_studies.etrm.fused import Pool
from quadrat_studies.etrm.layers import Block, CrossBlock, as_turns, cut_normal, key_bias, plain_block, rms, rotary

ARCH = ArchConfig(hidden_size=16, num_heads=2, expansion_multiple=8)


def turns(length, batch=None):
    places = torch.arange(length)[:, None]
    angles = rotary(places, 8, theta=100.0)
    return as_turns(angles if batch is None else angles.expand(batch, -1, -1), 8)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("own_places", [False, True])
def test_the_block_by_hand_is_the_block_in_torchs_operations(masked, own_places):
    torch.manual_seed(0)
    block = Block(ARCH, pool=Pool())
    x, given = (torch.randn(3, 7, 16) for _ in range(2))
    valid = torch.rand(3, 7) < 0.6
    valid[:, 0] = True
    bias = key_bias(valid) if masked else None
    at = turns(7, 3 if own_places else None)
    for _ in range(2):  # the second time with arrays that were used before
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


def test_a_pool_gives_the_same_arrays_for_shapes_of_like_size():
    pool = Pool()
    first = pool.take(3, 5)
    place = first.data_ptr()
    pool.give(first)
    again = pool.take(2, 7)
    assert (again.shape, again.data_ptr(), pool.waiting) == ((2, 7), place, 0)
    assert pool.take(3, 5).data_ptr() != place
    pool.give(again)
    assert pool.take(4, 4).data_ptr() == place, "sixteen numbers were there all along"


def test_frozen_weights_still_pass_the_gradient_on():
    torch.manual_seed(0)
    block = Block(ARCH, pool=Pool())
    for weight in block.weights:
        weight.requires_grad_(False)
    x = torch.randn(2, 5, 16, requires_grad=True)
    (ours,) = torch.autograd.grad(block(x, turns(5)).square().sum() + x.sum(), x)
    (theirs,) = torch.autograd.grad(
        plain_block(x, block.weights, turns=turns(5), bias=None).square().sum() + x.sum(), x
    )
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_masked_keys_have_no_say():
    torch.manual_seed(1)
    for style in ("post", "pre"):
        block = Block(ARCH, pool=Pool(), style=style)
        x = torch.randn(1, 6, 16)
        valid = torch.tensor([[True, True, True, True, False, False]])
        other = x.clone()
        other[:, 4:] = torch.randn(1, 2, 16)
        first, second = (block(z, turns(6), key_bias(valid))[:, :4] for z in (x, other))
        assert torch.allclose(first, second, atol=1e-6)
        assert not torch.allclose(block(x, turns(6))[:, :4], block(other, turns(6))[:, :4], atol=1e-3)


def test_scores_depend_on_distance_alone():
    at = turns(9)
    q, k = torch.randn(2, 8)

    def turned(x, part, place):
        pair = torch.view_as_complex(x.view(4, 2)) * at[part, 0, 0, place]
        return torch.view_as_real(pair).flatten()

    scores = [turned(q, 0, i) @ turned(k, 1, i + 3) for i in range(5)]
    assert torch.allclose(torch.stack(scores), scores[0].expand(5), atol=1e-5)
    same = turned(q, 0, 2) @ turned(k, 1, 2)
    assert torch.allclose(same, (q @ k) / 8**0.5, atol=1e-5), "the scale of the scores is in the queries"


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
    x, memory = torch.randn(1, 3, 16), torch.randn(1, 4, 16)
    there = torch.tensor([[True, True, False, False]])
    shorter = block(x, memory[:, :2], there[:, :2])
    assert torch.allclose(block(x, memory, there), shorter, atol=1e-6)
    assert torch.allclose(block(x, memory[:, [1, 0, 2, 3]], there), shorter, atol=1e-6)
