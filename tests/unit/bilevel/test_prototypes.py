"""Prototypes, their ladders, and what the four filter types make of them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from quadrat_studies.bilevel import elliptic
from quadrat_studies.bilevel.bands import TYPES, frequency, grid, omega, transform
from quadrat_studies.bilevel.ladder import Ladder, decibels, power
from quadrat_studies.bilevel.macros import MACROS, dual, may_follow
from quadrat_studies.bilevel.prototypes import THREE_DB, Prototype, minimum_order
from quadrat_studies.bilevel.samples import tensors
from quadrat_studies.bilevel.synthesis import synthesise


def loss_db(cells, w, *, rl=1.0):
    ids, x = tensors([cells])
    return -decibels(power(Ladder.of(ids, x, rl=rl), w)[0])[0]


def test_g_values_of_the_tables():
    # Matthaei, Young and Jones, tables 4.05-1 and 4.05-2.
    butterworth = [v[0] for _, v in synthesise(Prototype("butterworth", 5)).cells]
    assert butterworth == pytest.approx([0.6180, 1.6180, 2.0000, 1.6180, 0.6180], abs=1e-4)
    half_db = synthesise(Prototype("chebyshev", 4, 0.5))
    assert [v[0] for _, v in half_db.cells] == pytest.approx([1.6703, 1.1926, 2.3661, 0.8419], abs=1e-4)
    assert half_db.rl == pytest.approx(1.9841, abs=1e-4)
    tenth_db = [v[0] for _, v in synthesise(Prototype("chebyshev", 5, 0.1)).cells]
    assert tenth_db == pytest.approx([1.1468, 1.3712, 1.9750, 1.3712, 1.1468], abs=1e-4)


def test_bessel_values_of_the_table():
    # Normalised to 3.01 dB at 1 (Zverev): order 3, equal ends.
    values = [v[0] for _, v in synthesise(Prototype("bessel", 3)).cells]
    assert sorted(values) == pytest.approx([0.3374, 0.9705, 2.2034], abs=1e-4)


@pytest.mark.parametrize("family", ["butterworth", "chebyshev", "bessel", "elliptic"])
@pytest.mark.parametrize("form", ["t", "pi"])
def test_the_ladder_has_the_prototypes_attenuation(family, form):
    w = torch.linspace(0.02, 3.5, 301, dtype=torch.float64)
    for order in (2, 3, 5, 6, 7):
        if family == "elliptic" and order % 2 == 0:
            continue
        prototype = Prototype(family, order, 0.3, 45.0)
        found = synthesise(prototype, form)
        wanted = torch.from_numpy(prototype.attenuation_db(w.numpy())) - 10 * math.log10(
            prototype.dc_loss * 4 * found.rl / (1 + found.rl) ** 2
        )
        mine = loss_db(found.cells, w, rl=found.rl)
        seen = wanted < 120
        assert float((mine - wanted).abs()[seen].max()) < 1e-5
        assert MACROS[found.cells[0][0]].branch == ("series" if form == "t" else "shunt")
        assert float(prototype.attenuation_db(np.array(1.0))) == pytest.approx(0.3, abs=1e-9)


@pytest.mark.parametrize(("family", "order", "rl"), [("butterworth", 3, 2.0), ("butterworth", 4, 1.7),
    ("chebyshev", 5, 0.4), ("chebyshev", 4, 3.0), ("bessel", 3, 0.25), ("elliptic", 5, 2.0)])  # fmt: skip
def test_any_load(family, order, rl):
    prototype = Prototype(family, order, 0.2, 50.0)
    found = synthesise(prototype, rl=rl)
    w = torch.linspace(0.02, 2.0, 101, dtype=torch.float64)
    gain = prototype.dc_loss * 4 * rl / (1 + rl) ** 2
    wanted = torch.from_numpy(prototype.attenuation_db(w.numpy())) - 10 * math.log10(gain)
    torch.testing.assert_close(loss_db(found.cells, w, rl=rl)[wanted < 100], wanted[wanted < 100], rtol=0, atol=1e-6)


def test_what_cannot_be_had_is_said():
    with pytest.raises(ValueError, match="unequal ends"):
        synthesise(Prototype("chebyshev", 4, 0.2), rl=1.0)
    with pytest.raises(ValueError, match="next odd order"):
        synthesise(Prototype("elliptic", 4, 0.2))
    with pytest.raises(ValueError, match="take form pi"):
        synthesise(Prototype("butterworth", 4), rl=0.5)
    with pytest.raises(ValueError, match="double precision"):
        synthesise(Prototype("bessel", 12))
    with pytest.raises(ValueError, match="an order lies"):
        Prototype("butterworth", 0)
    with pytest.raises(ValueError, match="outside the passband"):
        minimum_order("butterworth", edge_db=1.0, stop_db=30.0, selectivity=0.9)


def test_scipy_has_the_same_orders_and_zeros():
    import scipy.signal as s

    for edge_db, stop_db, selectivity in [(0.2, 40, 1.5), (1.0, 60, 2.0), (3.0, 30, 1.2), (0.1, 50, 3.0)]:
        for family, theirs in (("butterworth", s.buttord), ("chebyshev", s.cheb1ord), ("elliptic", s.ellipord)):
            order, _ = theirs(1.0, selectivity, edge_db, stop_db, analog=True)
            mine = minimum_order(family, edge_db=edge_db, stop_db=stop_db, selectivity=selectivity).order
            # Elliptic ladders have odd orders, from 3 on.
            assert mine == (max(3, order + (order + 1) % 2) if family == "elliptic" else order)
    zeros, _, _ = s.ellipap(5, 0.2, 45)
    assert sorted(Prototype("elliptic", 5, 0.2, 45.0).zeros()) == pytest.approx(
        sorted(z.imag for z in zeros if z.imag > 0)
    )
    w = np.linspace(0.1, 3, 50)
    for order in (3, 5, 7):
        z, p, k = s.ellipap(order, 0.2, 45)
        _, h = s.freqs_zpk(z, p, k, w)
        assert Prototype("elliptic", order, 0.2, 45.0).attenuation_db(w) == pytest.approx(
            -20 * np.log10(abs(h)), abs=1e-6
        )


def test_elliptic_functions_agree_with_scipy():
    from scipy.special import ellipj, ellipk

    for k in (0.1, 0.6, 0.95, 0.999):
        for u in (0.1, 0.5, 0.8):
            s, c, d, _ = ellipj(u * ellipk(k * k), k * k)
            assert elliptic.sn(u, k).real == pytest.approx(s, abs=1e-12)
            assert elliptic.cd(u, k).real == pytest.approx(c / d, abs=1e-12)
            assert elliptic.inverse_sn(s, k).real == pytest.approx(u, abs=1e-9)
        assert elliptic.quarter_period(k) == pytest.approx(ellipk(k * k), rel=1e-12)


@pytest.mark.parametrize("family", ["butterworth", "chebyshev", "bessel", "elliptic"])
def test_the_stop_edge_is_where_the_attenuation_is_reached(family):
    prototype = Prototype(family, 5, 0.3, 60.0)
    edge = prototype.stop_edge(40.0)
    assert float(prototype.attenuation_db(np.array(edge))) == pytest.approx(40.0, abs=1e-6)
    assert (prototype.attenuation_db(np.linspace(edge * 1.0001, 20, 4000)) >= 40.0 - 1e-6).all()


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("family", ["chebyshev", "elliptic"])
def test_transforms_are_exact(kind, family):
    prototype, d = Prototype(family, 5, 0.3, 50.0), 0.17
    for form in ("t", "pi"):
        lowpass = synthesise(prototype, form)
        cells = transform(lowpass.cells, kind, d=d)
        w = grid(kind, d=d, points=201)[0]
        wanted = torch.from_numpy(prototype.attenuation_db(omega(kind, w, d=d).numpy()))
        mine = loss_db(cells, w)
        torch.testing.assert_close(mine[wanted < 120], wanted[wanted < 120], rtol=0, atol=1e-6)
        assert all(may_follow(a, b) for (a, _), (b, _) in itertools.pairwise(cells))
    assert len(cells) == (7 if family == "elliptic" and kind.startswith("band") else 5)


def test_edges_are_geometric():
    low, high = frequency("bandpass", 1.0, d=0.3)
    assert low * high == pytest.approx(1.0)
    assert high - low == pytest.approx(0.3)
    assert frequency("bandstop", 1.0, d=0.3) == pytest.approx((low, high))
    assert frequency("highpass", 2.0) == (0.5,)
    for kind in TYPES:
        for w in frequency(kind, 1.7, d=0.3):
            assert float(omega(kind, torch.tensor(w), d=0.3)) == pytest.approx(1.7, rel=1e-6)


def test_grids_are_log_spaced_and_reach_as_far_as_the_seed_says():
    assert grid("lowpass", d=1.0, points=5)[0].tolist() == pytest.approx([0.1, 0.1**0.5, 1.0, 10**0.5, 10.0])
    narrow, wide = grid("bandpass", d=torch.tensor([0.05, 0.4]), points=9)
    assert (narrow[0], narrow[-1]) == pytest.approx((0.8, 1.2))
    assert (wide[0], wide[-1]) == pytest.approx((0.1, 2.0))


def test_a_butterworth_edge_is_three_db_when_nothing_else_is_asked():
    assert pytest.approx(3.0103, abs=1e-4) == THREE_DB
    assert dual(dual([(0, (1.0,)), (4, (2.0, 3.0))])) == [(0, (1.0,)), (4, (2.0, 3.0))]
