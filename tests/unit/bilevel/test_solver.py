"""The inner problem: both solvers, and that they say when they fail."""

from __future__ import annotations

import pytest
import torch

from quadrat_studies.bilevel.ladder import Ladder, decibels, power, scattering
from quadrat_studies.bilevel.solver import Target, Unroll, levenberg_marquardt, unrolled


def target_of(samples):
    return Target(samples.ideal[0], samples.w)


def started(samples, *, impedance, resonance=0.0):
    """The true values, off in impedance level and in resonance."""
    generator = torch.Generator().manual_seed(1)
    z, r = (torch.randn(samples.ids.shape, generator=generator, dtype=torch.float64) for _ in range(2))
    both = samples.ladder.used().all(2)
    first = impedance * z + resonance * r * both
    second = torch.where(both, -impedance * z + resonance * r, 0.0)
    return samples.ladder.with_values(samples.x + torch.stack((first, second), 2))


def test_from_the_true_values_nothing_moves(textbook):
    found = levenberg_marquardt(textbook.ladder, target_of(textbook))
    assert found.converged.all()
    assert float(found.error.max()) < 1e-9
    torch.testing.assert_close(found.x, textbook.x, rtol=0, atol=1e-6)


def test_from_thirty_percent_off_all_circuits_are_found(textbook):
    found = levenberg_marquardt(started(textbook, impedance=0.3), target_of(textbook), iterations=40)
    assert float(found.start.median()) > 0.1
    assert float((found.error < 1e-2).double().mean()) >= 0.97
    assert (found.error <= found.start).all()
    assert int(found.iterations.max()) <= 40


def test_it_never_moves_uphill_and_reports_what_it_did_not_reach(mixed):
    mixed = mixed.take(slice(0, 60))
    start = started(mixed, impedance=1.0, resonance=0.3)
    few, more = (levenberg_marquardt(start, target_of(mixed), iterations=n) for n in (3, 15))
    assert (few.error <= few.start).all() and (more.error <= few.error + 1e-12).all()
    assert not more.converged.all() and few.converged.sum() < more.converged.sum()
    again = decibels(power(mixed.ladder.with_values(more.x), mixed.w)[0], floor=1e-8).clamp_min(-80)
    wanted = mixed.ideal[0].clamp_min(-80)
    torch.testing.assert_close((again - wanted).square().mean(1), more.error, rtol=1e-9, atol=1e-9)


def test_frozen_parts_stay_and_unused_slots_are_left_alone(textbook):
    start = started(textbook, impedance=0.2)
    free = torch.zeros_like(start.ids, dtype=torch.bool)[..., None].expand_as(start.x).clone()
    free[:, 0] = True
    found = levenberg_marquardt(start, target_of(textbook), free=free, iterations=5)
    assert found.x[:, 1:].equal(start.x[:, 1:])
    assert not found.x[:, 0].equal(start.x[:, 0])


def test_a_wanted_value_that_is_no_number_is_refused(textbook):
    curve = textbook.ideal[0].clone()
    curve[7, 3] = torch.nan
    with pytest.raises(ValueError, match="circuit 7"):
        levenberg_marquardt(textbook.ladder, Target(curve, textbook.w))


def test_a_mask_counts_beside_the_curve(textbook):
    textbook = textbook.take(slice(0, 50))
    mask = textbook.mask(margin=0.0)
    start = started(textbook, impedance=0.2)
    plain = levenberg_marquardt(start, Target(textbook.ideal[0] * 0.98, textbook.w), iterations=8)
    heeding = levenberg_marquardt(
        start, Target(textbook.ideal[0] * 0.98, textbook.w, mask=mask, mask_weight=1000.0), iterations=8
    )

    def worst(x):
        low, high = mask.shortfall(decibels(power(textbook.ladder.with_values(x), textbook.w)[0]))
        return (low + high).sum(1).median()

    assert worst(heeding.x) < 0.7 * worst(plain.x)


# Unrolled ------------------------------------------------------------------------------------------------------------


def quadratic(centre):
    return lambda x: ((x - centre) ** 2).sum((1, 2))


def test_the_last_step_counts():
    x = torch.zeros(3, 2, 2, dtype=torch.float64)
    x1, loss1 = unrolled(quadratic(1.0), x, plan=Unroll(steps=1, lr=0.25, max_step=0))
    assert x1.unique().tolist() == [0.5]
    assert loss1.tolist() == [1.0] * 3, "the loss after the step, not before it"
    _, loss0 = unrolled(quadratic(1.0), x, plan=Unroll(steps=0))
    assert loss0.tolist() == [4.0] * 3


def test_steps_and_values_are_clamped():
    x = torch.zeros(1, 1, 1, dtype=torch.float64)
    for plan, end in (
        (Unroll(steps=1, lr=1, max_step=0.3), 0.3),
        (Unroll(steps=9, lr=1, max_step=0, raw_max=2.0), 2.0),
    ):
        assert unrolled(quadratic(100.0), x, plan=plan)[0].item() == pytest.approx(end)


def test_second_order_terms_are_there_exactly_when_asked():
    x = torch.full((1, 1, 1), 0.2, dtype=torch.float64, requires_grad=True)

    def cubic(v):
        return (v**3).sum((1, 2))

    for create, expected in (
        (True, 3 * (0.2 - 0.1 * 0.12) ** 2 * (1 - 0.1 * 1.2)),
        (False, 3 * (0.2 - 0.1 * 0.12) ** 2),
    ):
        _, loss = unrolled(cubic, x, plan=Unroll(steps=1, lr=0.1, max_step=0, create_graph=create))
        (gradient,) = torch.autograd.grad(loss.sum(), [x])
        assert float(gradient) == pytest.approx(expected)


def test_a_step_into_nan_is_taken_back_and_shortened():
    def fence(v):
        return torch.where(v > 0.4, torch.nan, (v - 1.0) ** 2).sum((1, 2))

    x = torch.zeros(2, 1, 1, dtype=torch.float64)
    plan = Unroll(steps=1, lr=0.5, max_step=0, nan_backoff=0.5, nan_tries=3)
    assert unrolled(fence, x, plan=plan)[0].flatten().tolist() == [0.25, 0.25], "1.0 and 0.5 fall over the fence"
    stuck = Unroll(steps=1, lr=0.5, max_step=0, nan_backoff=0.9, nan_tries=2)
    assert unrolled(fence, x, plan=stuck)[0].flatten().tolist() == [0.0, 0.0], "then it stays, with a finite loss"


def test_unrolling_a_circuit_goes_downhill(textbook):
    # Band filters are too steep for plain gradient steps of any useful length, which is why it is not the default.
    about = textbook.take(textbook.specs.kind < 2).take(slice(0, 24))
    start = started(about, impedance=0.2)

    def loss(x):
        s21 = scattering(about.ladder.with_values(x), about.w).s21
        curve = (s21.real.square() + s21.imag.square()).clamp_min(1e-8).log10() * 10
        return (curve - about.ideal[0].clamp_min(-80)).square().mean(1)

    before = loss(start.x)
    _, after = unrolled(loss, start.x, plan=Unroll(steps=5, lr=1e-4, max_step=0.01))
    assert float((after < before).double().mean()) > 0.9
    assert Ladder.of(about.ids, about.x).used().shape == about.x.shape
