"""Masks, snapping to standard values, and manufacturing yield."""

from __future__ import annotations

import pytest
import torch

from quadrat_studies.bilevel.ladder import Loss, decibels, power
from quadrat_studies.bilevel.masks import Mask
from quadrat_studies.bilevel.samples import si_scale
from quadrat_studies.bilevel.snapping import snap_circuits
from quadrat_studies.bilevel.solver import Target
from quadrat_studies.bilevel.standard import snap
from quadrat_studies.bilevel.tolerance import Demands, Tolerance, disturb, monte_carlo, wilson


def test_every_ideal_filter_passes_its_own_mask(mixed):
    assert mixed.mask(margin=1e-6).passes(mixed.ideal[0]).all()
    assert mixed.mask(margin=1e-6).constrained().all()


def test_a_mask_fails_what_it_should(textbook):
    mask = textbook.mask(margin=0.01)
    assert not mask.passes(textbook.ideal[0] - 0.6).any() or mask.passes(textbook.ideal[0] - 0.6).double().mean() < 0.1
    assert not mask.passes(torch.zeros_like(textbook.ideal[0])).any(), "no filter at all has no stopband"
    assert not mask.passes(torch.full_like(textbook.ideal[0], torch.nan)).any()
    low, high = mask.shortfall(textbook.ideal[0] - 3.0)
    assert float(low.max()) > 2.5 and float(high.max()) == 0.0


def test_the_wilson_interval_is_wilsons():
    # Newcombe 1998, table I: 81 of 263.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def demands(samples, row, **more):
    mask = samples.mask(margin=0.05).take(slice(row, row + 1))
    return Demands(Mask(mask.low, mask.high), **more)


def run(samples, row, plan, **more):
    about = samples.ladder.take(slice(row, row + 1))
    generator = torch.Generator().manual_seed(5)
    loss = more.pop("loss", None)
    return monte_carlo(
        about, samples.w[row], demands=demands(samples, row, **more), plan=plan, generator=generator, loss=loss
    )


def test_no_tolerance_is_full_yield_and_drawing_stops_early(textbook):
    found = run(textbook, 0, Tolerance(0.0))
    assert (found.share, found.draws, found.reasons) == (1.0, 200, {})
    assert found.low > 0.98


def test_yield_falls_with_tolerance_and_reasons_are_counted(textbook):
    row = int(((textbook.specs.kind == 0) & (textbook.lengths == 5)).nonzero()[0])
    shares = [run(textbook, row, Tolerance(t, most=600)).share for t in (0.001, 0.02, 0.2)]
    assert shares[0] > shares[1] > shares[2]
    wide = run(textbook, row, Tolerance(0.2, most=600), ripple_db=0.01, return_loss_db=40.0)
    assert set(wide.reasons) == {"passband", "stopband", "ripple", "return_loss"}
    assert wide.passed == 0 and wide.reasons["return_loss"] <= wide.draws


def test_drawing_stops_when_the_interval_is_narrow(textbook):
    row = int((textbook.specs.kind == 0).nonzero()[0])
    loose = run(textbook, row, Tolerance(0.03, half_width=0.06))
    tight = run(textbook, row, Tolerance(0.03, half_width=0.02))
    assert loose.draws < tight.draws <= 2000
    assert (loose.high - loose.low) / 2 <= 0.06
    again = run(textbook, row, Tolerance(0.03, half_width=0.06))
    assert again == loose


def test_losses_count(textbook):
    row = int((textbook.specs.kind == 2).nonzero()[0])
    assert run(textbook, row, Tolerance(0.0), loss=Loss(20, 20)).share == 0.0


def test_laws_of_parts_and_lots(textbook):
    generator = torch.Generator().manual_seed(0)
    about = textbook.ladder.take(slice(0, 1))
    used = about.used()[0]
    for law in ("uniform", "normal"):
        off = disturb(about, 4000, plan=Tolerance(0.1, law), generator=generator).x.exp() / about.x.exp() - 1
        assert float(off[:, used].abs().max()) <= 0.1 + 1e-12
        assert float(off[:, used].std()) == pytest.approx({"uniform": 0.1 / 3**0.5, "normal": 0.0329}[law], rel=0.03)
    lots = disturb(about, 500, plan=Tolerance(0.0, lot=0.1), generator=generator).x - about.x
    kinds = {round(float(value), 12) for value in lots[3][used]}
    assert len(kinds) == min(2, int(used.sum())), "all inductors share one factor, all capacitors another"


@pytest.mark.parametrize("series", ["E24", "E96"])
def test_snapped_circuits_are_of_the_series_and_no_worse_than_rounding(textbook, series):
    about = textbook.take(slice(0, 8))
    mask, scale = about.mask(margin=0.05), si_scale(about.ids, about.fc, 50.0)
    found = snap_circuits(about.ladder, Target(about.ideal[0], about.w), mask=mask, scale=scale, series=series)
    used = about.ladder.used()
    values = (found.x.exp() * scale)[used]
    torch.testing.assert_close(snap(values, series), values, rtol=1e-12, atol=0)

    def worst(x):
        low, high = mask.shortfall(decibels(power(about.ladder.with_values(x), about.w)[0]))
        return (low + high).amax(1)

    assert (worst(found.x) <= worst(found.naive_x) + 1e-2).all()
    assert (found.passes >= found.naive_passes).all()
    assert found.passes.sum() > found.naive_passes.sum() or series == "E96"
