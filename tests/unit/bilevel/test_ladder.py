"""The ladder kernel against two independent ones: scikit-rf and two-port matrices written out."""

from __future__ import annotations

import warnings

import pytest
import torch

from quadrat_studies.bilevel.ladder import (
    DB,
    FLOOR,
    Ladder,
    Loss,
    decibels,
    lossy_power,
    lossy_sensitivity,
    power,
    scattering,
    sensitivity,
)
from quadrat_studies.bilevel.macros import MACROS, SER_TANK, SHUNT_NOTCH, SKIP, dual
from quadrat_studies.bilevel.samples import cells_of, tensors


def matrices(ladder, w, *, s_l, s_c):
    """ABCD matrices of every circuit by plain multiplication, (B, F, 2, 2)."""
    size, points = len(ladder), len(w)
    total = torch.eye(2, dtype=torch.complex128).expand(size, points, 2, 2).clone()
    for b in range(size):
        for macro, x in zip(ladder.ids[b].tolist(), ladder.x[b].exp().tolist(), strict=True):
            if macro == SKIP:
                continue
            about = MACROS[macro]
            parts = dict(zip(about.slots, x, strict=False))
            z = [s_l * value if kind == "L" else 1 / (s_c * value) for kind, value in parts.items()]
            chained = about.token in ("<MAC_SER_RESO>", "<MAC_SHUNT_NOTCH>")
            impedance = sum(z) if chained else 1 / sum(1 / part for part in z)
            cell = torch.eye(2, dtype=torch.complex128).expand(points, 2, 2).clone()
            if about.branch == "series":
                cell[:, 0, 1] = impedance
            else:
                cell[:, 1, 0] = 1 / impedance
            total[b] = total[b] @ cell
    return total


def from_matrices(m, rs, rl):
    a, b, c, d = m[..., 0, 0], m[..., 0, 1], m[..., 1, 0], m[..., 1, 1]
    den = a * rl + b + c * rs * rl + d * rs
    s11 = (a * rl + b - c * rs * rl - d * rs) / den
    s22 = (-a * rl + b - c * rs * rl + d * rs) / den
    return s11, 2 * (rs * rl).sqrt() / den, s22


@pytest.mark.parametrize("loss", [None, Loss(40, 90), Loss(30, 60, "fixed_ref")])
def test_scattering_is_that_of_the_multiplied_matrices(wild, loss):
    ladder, w = wild
    s_l = 1j * w if loss is None else loss.frequency(w, "L")
    s_c = 1j * w if loss is None else loss.frequency(w, "C")
    expected = from_matrices(matrices(ladder, w, s_l=s_l, s_c=s_c), ladder.rs[:, None], ladder.rl[:, None])
    found = scattering(ladder, w, loss=loss)
    for mine, theirs in zip((found.s11, found.s21, found.s22), expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_scikit_rf_agrees_on_every_macro():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import skrf

    hertz = torch.linspace(2e8, 3e9, 41, dtype=torch.float64)
    frequency = skrf.Frequency.from_f(hertz.numpy(), unit="hz")
    ind, cap, f0 = 6.1e-9, 2.3e-12, 1e9
    w0 = 2 * torch.pi * f0
    for first in range(len(MACROS)):
        macros = [first, (first + 3) % 8, (first + 5) % 8]
        net = None
        for macro in macros:
            about = MACROS[macro]
            z_l, z_c = 1j * 2 * torch.pi * hertz * ind, 1 / (1j * 2 * torch.pi * hertz * cap)
            z = {("L",): z_l, ("C",): z_c}.get(about.slots)
            if z is None:
                chained = about.token in ("<MAC_SER_RESO>", "<MAC_SHUNT_NOTCH>")
                z = z_l + z_c if chained else z_l * z_c / (z_l + z_c)
            a = torch.zeros(len(hertz), 2, 2, dtype=torch.complex128)
            a[:, 0, 0] = a[:, 1, 1] = 1
            if about.branch == "series":
                a[:, 0, 1] = z
            else:
                a[:, 1, 0] = 1 / z
            cell = skrf.Network(frequency=frequency, s=skrf.network.a2s(a.numpy(), 50), z0=50)
            net = cell if net is None else net**cell
        assert net is not None
        values = [(w0 * ind / 50,) if MACROS[m].slots == ("L",) else (w0 * cap * 50,) if MACROS[m].slots == ("C",)
                  else (w0 * ind / 50, w0 * cap * 50) for m in macros]  # fmt: skip
        ids, x = tensors([list(zip(macros, values, strict=True))])
        found = scattering(Ladder.of(ids, x), hertz / f0)
        for mine, (i, j) in ((found.s11, (0, 0)), (found.s21, (1, 0)), (found.s21, (0, 1)), (found.s22, (1, 1))):
            torch.testing.assert_close(mine[0], torch.from_numpy(net.s[:, i, j]), rtol=1e-10, atol=1e-10)


def test_scikit_rf_media_elements_agree_on_a_lowpass_and_a_bandpass(textbook):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import skrf

    for kind in (0, 2):
        row = int((textbook.specs.kind == kind).nonzero()[0])
        w, fc = textbook.w[row], float(textbook.fc[row])
        frequency = skrf.Frequency.from_f((w * fc).numpy(), unit="hz")
        medium = skrf.media.DefinedGammaZ0(frequency, z0_port=50)
        net = medium.thru()
        for macro, values in cells_of(textbook.ids[row].tolist(), textbook.x[row].tolist()):
            about, unit = MACROS[macro], 1 / (2 * torch.pi * fc)
            si = [v * unit * 50 if slot == "L" else v * unit / 50 for slot, v in zip(about.slots, values, strict=True)]
            makers = {"L": medium.inductor, "C": medium.capacitor} if about.branch == "series" else {
                "L": medium.shunt_inductor, "C": medium.shunt_capacitor}  # fmt: skip
            for slot, value in zip(about.slots, si, strict=True):
                net = net ** makers[slot](value)
        mine = scattering(textbook.ladder.take(slice(row, row + 1)), w)
        torch.testing.assert_close(mine.s21[0], torch.from_numpy(net.s[:, 1, 0]), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(mine.s11[0], torch.from_numpy(net.s[:, 0, 0]), rtol=1e-10, atol=1e-10)


def test_the_real_kernel_is_the_complex_one(wild):
    ladder, w = wild
    transmitted, reflected = power(ladder, w)
    found = scattering(ladder, w)
    torch.testing.assert_close(transmitted, found.s21.abs().square(), rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(reflected, found.s11.abs().square(), rtol=1e-10, atol=1e-14)
    assert transmitted.dtype == torch.float64
    assert float((transmitted + reflected - 1).abs().max()) < 1e-12, "lossless"


def test_finite_q_loses_power_and_equal_q_is_a_complex_frequency(wild):
    ladder, w = wild
    transmitted, reflected = lossy_power(ladder, w, loss=Loss(25, 25))
    assert float((transmitted + reflected).max()) < 1 + 1e-12
    same = Ladder(ladder.ids, ladder.x, ladder.rs, ladder.rl)
    barely, _ = lossy_power(same, w, loss=Loss(1e13, 1e13))
    torch.testing.assert_close(barely, power(ladder, w)[0], rtol=1e-6, atol=1e-12)
    by_reference = lossy_power(ladder, torch.ones(1, dtype=torch.float64), loss=Loss(20, 30, "fixed_ref"))
    by_frequency = lossy_power(ladder, torch.ones(1, dtype=torch.float64), loss=Loss(20, 30))
    torch.testing.assert_close(by_reference, by_frequency)


@pytest.mark.parametrize("lossy", [False, True])
def test_derivatives_are_those_of_differences(wild, lossy):
    ladder, w = wild
    ladder, loss = ladder.take(slice(0, 12)), Loss(30, 50)

    def logs(x):
        moved = ladder.with_values(x)
        return (lossy_power(moved, w, loss=loss) if lossy else power(moved, w))[0].clamp_min(FLOOR).log()

    value, slopes = lossy_sensitivity(ladder, w, loss=loss) if lossy else sensitivity(ladder, w)
    torch.testing.assert_close(value, logs(ladder.x), rtol=1e-9, atol=1e-9)
    used = ladder.used()
    assert float(slopes[~used].abs().max()) == 0.0
    for k, slot in [(0, 0), (2, 1), (4, 0), (5, 1), (8, 0)]:
        step = torch.zeros_like(ladder.x)
        step[:, k, slot] = 1e-6
        numeric = (logs(ladder.x + step) - logs(ladder.x - step)) / 2e-6
        torch.testing.assert_close(slopes[:, k, slot], numeric, rtol=2e-4, atol=2e-5)


def test_a_transmission_zero_is_exactly_zero_and_everything_stays_finite():
    ids, x = tensors([[(SER_TANK, (0.5, 2.0)), (SHUNT_NOTCH, (4.0, 0.25))], [(SHUNT_NOTCH, (1.0, 1.0))]])
    w = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    transmitted, reflected = power(Ladder.of(ids, x), w)
    assert transmitted[:, 1].tolist() == [0.0, 0.0]
    assert reflected[1, 1] == 1.0
    assert decibels(transmitted)[0, 1] == pytest.approx(-240.0)
    value, slopes = sensitivity(Ladder.of(ids, x), w)
    assert value.isfinite().all() and slopes.isfinite().all()
    assert value[0, 1] * DB == pytest.approx(-240.0)
    assert scattering(Ladder.of(ids, x), w).s21.isfinite().all()


def test_duals_have_equal_magnitudes_and_opposite_reflections(mixed):
    ladder = mixed.ladder
    cells = [dual(cells_of(i, x)) for i, x in zip(ladder.ids.tolist(), ladder.x.tolist(), strict=True)]
    ids, x = tensors(cells, k=ladder.ids.shape[1])
    mine, other = scattering(ladder, mixed.w), scattering(Ladder.of(ids, x), mixed.w)
    torch.testing.assert_close(mine.s21, other.s21, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(mine.s11, -other.s11, rtol=1e-9, atol=1e-12)


def test_chunks_and_grids_of_ones_own_make_no_difference(wild):
    ladder, w = wild
    rows = torch.stack([w * (1 + b / 100) for b in range(len(ladder))])
    whole = power(ladder, rows)[0]
    for b in (0, 17, 59):
        torch.testing.assert_close(power(ladder.take(slice(b, b + 1)), rows[b])[0][0], whole[b], rtol=1e-12, atol=0)
    many = Ladder.of(
        ladder.ids.repeat(20, 1), ladder.x.repeat(20, 1, 1), rs=ladder.rs.repeat(20), rl=ladder.rl.repeat(20)
    )
    torch.testing.assert_close(power(many, w)[0][-60:], power(ladder, w)[0], rtol=1e-12, atol=0)


def test_scattering_lets_autograd_through(wild):
    ladder, w = wild
    x = ladder.x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(scattering(ladder.with_values(x), w).s21.abs().square().log().sum(), [x])
    torch.testing.assert_close(gradient, sensitivity(ladder, w)[1].sum(3), rtol=1e-7, atol=1e-7)
