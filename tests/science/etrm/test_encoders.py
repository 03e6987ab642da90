"""Encoders: sets of demonstrations, no padding, live gradients, and what each variant is for."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from quadrat_studies.etrm.config import ArchConfig, EncoderType
from quadrat_studies.etrm.encoders import Demos, Look, build_encoder, by_length, pack

SIDE = 4
KINDS = get_args(EncoderType)


def encoder(kind="standard", **changes):
    torch.manual_seed(0)
    arch = ArchConfig(encoder_type=kind, hidden_size=16, num_heads=2, encoder_num_layers=1, puzzle_emb_len=3, **changes)
    return build_encoder(arch, side=SIDE)


def demos(seed=0, rows=3, slots=3):
    draw = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, 12, (2, rows, slots, SIDE**2), generator=draw).to(torch.uint8)
    tokens[:, :, :, 0] = 3
    filled = torch.ones(rows, slots, dtype=torch.bool)
    filled[0, 2:] = False
    tokens[:, 0, 2:] = 0
    return Demos(tokens[0], tokens[1], filled)


def look(rows=3, **changes):
    inputs = torch.randint(0, 12, (rows, SIDE**2), generator=torch.Generator().manual_seed(5)).to(torch.uint8)
    return Look(inputs, **changes)


@pytest.mark.parametrize("kind", KINDS)
def test_context_has_its_shape_and_scale_and_a_gradient(kind):
    made = encoder(kind)
    found = made(demos(), look())
    assert found.context.shape == (3, 3, 16)
    assert torch.allclose(found.context.square().mean(-1), torch.ones(3, 3), atol=1e-2)
    found.context.square().mul(torch.randn(16)).sum().backward()
    idle = {name for name, p in made.named_parameters() if p.grad is None or not p.grad.any()}
    # What the context does not pass through: sampling's spread at the mean, the cells' own way into the decoder.
    assert idle <= {"log_variance", "let_in", "cells", "place"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_demonstrations_does_not_matter(kind):
    made, given = encoder(kind), demos()
    turned = Demos(*(part[:, [2, 0, 1]] for part in (given.inputs, given.outputs, given.filled)))
    assert torch.allclose(made(given, look()).context, made(turned, look()).context, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_empty_slots_and_longer_neighbours_change_nothing(kind):
    made, given = encoder(kind), demos()
    pad = torch.zeros(3, 4, SIDE**2, dtype=torch.uint8)
    more = Demos(
        torch.cat((given.inputs, pad), 1), torch.cat((given.outputs, pad), 1),
        torch.cat((given.filled, torch.zeros(3, 4, dtype=torch.bool)), 1),
    )  # fmt: skip
    small = Demos(*(part[:1].clone() for part in (given.inputs, given.outputs, given.filled)))
    small.inputs[:, :, 5:] = 0
    alone = made(small, Look(look().inputs[:1])).context
    mixed = Demos(*(torch.cat((a, b[1:])) for a, b in zip(
        (small.inputs, small.outputs, small.filled), (given.inputs, given.outputs, given.filled), strict=True
    )))  # fmt: skip
    assert torch.allclose(made(given, look()).context, made(more, look()).context, atol=1e-5)
    assert torch.allclose(made(mixed, look()).context[:1], alone, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_other_demonstrations_give_another_context(kind):
    made = encoder(kind)
    assert not torch.allclose(made(demos(0), look()).context, made(demos(1), look()).context, atol=1e-2)


def test_packing_keeps_filled_slots_and_cells_that_hold_something():
    given = demos()
    packed = pack(given)
    assert len(packed.tokens) == 8 == int(given.filled.sum())
    assert (packed.tokens[packed.valid] > 0).all()
    assert int(packed.valid.sum()) == int(
        (given.inputs[given.filled] > 0).sum() + (given.outputs[given.filled] > 0).sum()
    )
    row = torch.cat((given.inputs[0, 1], given.outputs[0, 1]))
    n = int(((packed.rows == 0) & (packed.slots == 1)).nonzero())
    assert row[packed.place[n][packed.valid[n]]].tolist() == row[row > 0].tolist()


def test_parts_of_similar_length_hold_every_demonstration_once():
    given = demos(rows=5)
    given.inputs[1:3, :, 3:] = 0
    given.outputs[1:3, :, 2:] = 0
    packed = pack(given)
    parts = by_length(packed)
    longest = [part.tokens.shape[1] for part in parts]
    assert longest == sorted(longest) and longest[0] < longest[-1]
    owners = [pair for part in parts for pair in zip(part.rows.tolist(), part.slots.tolist(), strict=True)]
    assert sorted(owners) == sorted(zip(packed.rows.tolist(), packed.slots.tolist(), strict=True))
    assert sum(int(part.valid.sum()) for part in parts) == int(packed.valid.sum())


@pytest.mark.parametrize("method", ["mean", "max", "attention"])
@pytest.mark.parametrize("style", ["post", "pre"])
def test_pooling_and_norm_styles_are_different_functions(method, style):
    plain = encoder()(demos(), look()).context
    other = encoder(encoder_pooling_method=method, encoder_norm_style=style)(demos(), look()).context
    assert torch.allclose(plain, other) == ((method, style) == ("mean", "post"))


def test_the_variational_encoder_samples_in_training_and_says_how_far_it_is():
    made = encoder("variational")
    made.log_variance.data.normal_()
    mean = made(demos(), look())
    noise = torch.randn(3, 16)
    drawn = made(demos(), look(noise=noise))
    again = made(demos(), look(noise=noise))
    assert torch.equal(drawn.context, again.context)
    assert not torch.allclose(drawn.context, mean.context, atol=1e-3)
    assert drawn.divergence is not None and drawn.divergence.shape == (3,)
    assert (drawn.divergence > 0).all()
    for parameter in (made.mean, made.log_variance):
        parameter.data.zero_()
    zero = made(demos(), look()).divergence
    assert zero is not None and torch.allclose(zero, torch.zeros(3)), "the standard normal is at distance 0"


def test_the_recurrent_encoder_goes_on_from_its_state():
    made = encoder("recurrent")
    first = made(demos(), look())
    fresh = made(demos(), look(state=torch.zeros(3, 3, 16)))
    assert torch.equal(first.context, fresh.context), "all zero means new"
    second = made(demos(), look(state=first.state.detach()))
    assert not torch.allclose(first.context, second.context, atol=1e-4)
    assert second.context.requires_grad
    partly = made(demos(), look(state=first.state.detach() * torch.tensor([1.0, 0, 1])[:, None, None]))
    assert torch.equal(partly.context[1], first.context[1])
    assert torch.equal(partly.context[0], second.context[0])


def test_cells_of_the_query_look_at_the_demonstrations_by_themselves():
    made = encoder("cross_attention")
    made.let_in.data.normal_()
    found = made(demos(), look())
    assert found.cells is not None and found.cells.shape == (3, SIDE**2, 16)
    other = look()
    other.inputs[:, 7] = (other.inputs[:, 7] + 1) % 12
    changed = (made(demos(), other).cells - found.cells).abs().amax((0, 2)) > 1e-6
    assert changed.tolist() == [cell == 7 for cell in range(SIDE**2)]
    swapped = made(demos(1), look()).cells
    assert (swapped - found.cells).abs().amax() > 1e-2
