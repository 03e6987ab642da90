"""The decoder's recursion against its definition, and the losses against theirs."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from quadrat_studies.etrm.carry import exploration, halts, sampling_noise
from quadrat_studies.etrm.config import ArchConfig
from quadrat_studies.etrm.grids import IGNORED
from quadrat_studies.etrm.losses import score_rows, stablemax_losses
from quadrat_studies.etrm.model import Answer, Decoder, Solver, States, build

ARCH = ArchConfig(
    hidden_size=16, num_heads=2, L_layers=2, puzzle_emb_len=2, expansion_multiple=8, H_cycles=3, L_cycles=2
)


def decoder(**changes):
    return build(ARCH.model_copy(update=changes), side=3, seed=0).inner


def given(batch=2):
    torch.manual_seed(1)
    return torch.randn(batch, 2, 16), torch.randint(0, 12, (batch, 9))


def test_one_step_is_the_recursion_of_the_paper():
    made = decoder()
    context, inputs = given()
    start = made.start(2)
    answer = made(start, context=context, inputs=inputs)

    def f(x):
        for layer in made.layers:
            x = layer(x, made.turns)
        return x

    x = torch.cat((4.0 * context, 4.0 * made.embed_tokens[inputs]), 1)
    high, low = start.high, start.low
    for _ in range(3):
        for _ in range(2):
            low = f(low + high + x)
        high = f(high + low)
    assert torch.allclose(answer.states.high, high, atol=1e-4)
    assert torch.allclose(answer.states.low, low, atol=1e-4)
    assert torch.allclose(answer.logits, high[:, 2:] @ made.lm_head.T, atol=1e-4)
    assert torch.equal(answer.halt, torch.full((2,), -5.0)), "nothing halts at the start"


def test_only_the_last_round_has_a_gradient():
    made = decoder()
    context, inputs = given()
    shared = made(made.start(2), context=context, inputs=inputs)
    whole = torch.autograd.grad(shared.logits.square().sum(), made.layers[0].qkv)[0]
    with torch.no_grad():
        high, low = made.start(2).high, made.start(2).low
        x = made._injection(context, inputs, None)
        for _ in range(2):
            high, low = made._round(high, low, x)
    last = decoder(H_cycles=1)
    answer = last(States(high, low), context=context, inputs=inputs)
    alone = torch.autograd.grad(answer.logits.square().sum(), last.layers[0].qkv)[0]
    assert torch.allclose(whole, alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("positions", ["rope", "rope_2d"])
def test_the_decoder_knows_where_a_cell_is(positions):
    made = decoder(pos_encodings=positions)
    context = torch.zeros(1, 2, 16)
    answers = []
    for cell in (1, 3):
        inputs = torch.zeros(1, 9, dtype=torch.int64)
        inputs[0, cell] = 5
        answers.append(made(made.start(1), context=context, inputs=inputs).logits)
    moved = answers[0][0, [0, 3, 6, 1, 4, 7, 2, 5, 8]]
    assert not torch.allclose(moved, answers[1][0], atol=1e-3)


def test_weights_follow_the_seed_and_leave_the_global_stream_alone():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, again, other = (build(ARCH, side=3, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["inner.h_init"], other["inner.h_init"])
    assert isinstance(build(ARCH, side=3, seed=1).inner, Decoder)


def test_the_published_sizes_give_the_published_number_of_weights():
    arch = ArchConfig(conditioning="embedding_table", hidden_size=512, num_heads=8, expansion_multiple=256)
    solver = Solver(arch, side=3, puzzles=1)  # the canvas has no weights
    assert sum(p.numel() for p in solver.parameters()) == 6_829_058


def answer(logits, halt):
    return Answer(logits, halt, States(logits, logits))


def test_stablemax_by_hand():
    logits = torch.tensor([[[1.0, -1.0, 0.0]]])
    labels = torch.tensor([[1]])
    # s = 2, 1/2, 1
    assert stablemax_losses(logits, labels).item() == pytest.approx(-math.log(0.5 / 3.5))
    assert stablemax_losses(logits, torch.tensor([[IGNORED]])).item() == 0
    far = torch.tensor([[[1e6, -1e6, 0.0]]], requires_grad=True)
    stablemax_losses(far, labels).sum().backward()
    assert torch.isfinite(far.grad).all()


def test_rows_are_means_over_their_own_cells():
    logits = torch.zeros(3, 4, 12)
    logits[0, :, 5] = 9.0
    logits[1, :2, 5] = 9.0
    labels = torch.tensor([[5, 5, 5, IGNORED], [5, 5, 5, 5], [IGNORED] * 4])
    rows = score_rows(answer(logits, torch.tensor([1.0, 1.0, 1.0])), labels)
    assert rows.exact.tolist() == [1, 0, 0]
    assert rows.accuracy.tolist() == [1.0, 0.5, 0.0]
    assert rows.halt_right.tolist() == [1, 0, 0]
    assert rows.counted.tolist() == [1, 1, 0]
    each = -math.log(10 / (10 + 11))
    assert rows.prediction.tolist() == pytest.approx([each, (2 * each + 2 * math.log(12)) / 4, 0], abs=1e-5)
    wanted = F.binary_cross_entropy_with_logits(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 0.0]), reduction="none")
    assert rows.halting.tolist() == pytest.approx([*wanted.tolist(), 0.0])


def test_rows_halt_when_they_say_so_or_must():
    arch = ArchConfig(halt_max_steps=4, halt_exploration_prob=0.5)
    steps = torch.tensor([1, 1, 2, 3, 4])
    halt = torch.tensor([1.0, 1.0, 1.0, -1.0, -1.0])
    chances = torch.tensor([0.9, 0.1, 0.1, 0.9, 0.1])
    least = torch.tensor([4, 2, 2, 4, 4])
    found = halts(steps, halt, arch=arch, chances=chances, least=least)
    assert found.tolist() == [True, False, True, False, True]


def test_exploration_is_the_published_distribution():
    """With exploration always on and q always positive, P(halt at n | alive) = (n - 1) / (M - 1)."""
    arch = ArchConfig(halt_max_steps=4, halt_exploration_prob=1.0)
    chances, least = exploration(3, 20_000, arch=arch, seed=0)
    for n in (1, 2, 3):
        found = halts(torch.full((20_000,), n), torch.ones(20_000), arch=arch, chances=chances, least=least)
        assert found.double().mean().item() == pytest.approx((n - 1) / 3, abs=0.02)
    again = exploration(3, 20_000, arch=arch, seed=0)
    assert torch.equal(again[1], least) and not torch.equal(exploration(4, 20_000, arch=arch, seed=0)[1], least)
    assert sampling_noise(2, 3, width=4, seed=1).shape == (3, 4)
    assert torch.equal(sampling_noise(2, 3, width=4, seed=1), sampling_noise(2, 3, width=4, seed=1))
