"""What a design leaves behind: Touchstone, a SPICE bench, a bill of materials, a picture."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from quadrat_studies.bilevel.design import FilterDesign, Version
from quadrat_studies.bilevel.ladder import Ladder, scattering
from quadrat_studies.bilevel.netlist import output_node
from quadrat_studies.bilevel.standard import written


def write_touchstone(path: Path, found: FilterDesign, *, version: Version) -> None:
    """Version 1: real and imaginary parts of S11 S21 S12 S22, both ports referred to the source resistance."""
    ladder, request = version.ladder, found.request
    matched = Ladder.of(ladder.ids, ladder.x)
    s = scattering(matched, found.w, loss=request.loss)
    lines = [
        f"! {request.kind} {found.prototype.family} order {found.prototype.order}, {version.name} values",
        f"! designed between {request.rs:g} and {request.rl:g} ohm",
        f"# Hz S RI R {request.rs:g}",
    ]
    columns = [part[0].numpy() for part in (s.s11, s.s21, s.s21, s.s22)]
    for index, hertz in enumerate((found.w * request.f0).tolist()):
        numbers = [n for part in columns for n in (part[index].real, part[index].imag)]
        lines.append(" ".join(f"{number:.15e}" for number in (hertz, *numbers)))
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def spice(found: FilterDesign, *, version: Version) -> str:
    """A bench: source and load with their resistors around the ladder as a subcircuit, and an AC sweep.

    The source has 2 V, so that V(out) sqrt(Rs / Rl) is S21. Finite Q becomes resistors that are right at f0.
    """
    request = found.request
    parts = found.parts(version)
    out = output_node(parts)
    w0 = 2 * math.pi * request.f0
    body: list[str] = []
    for part in parts:
        a, b = ("0" if node == "gnd" else node for node in part.nodes)
        if request.loss is None:
            body.append(f"{part.name} {a} {b} {part.value:.12e}")
        elif part.kind == "L":
            body += [f"{part.name} {a} q{part.name} {part.value:.12e}",
                     f"R{part.name} q{part.name} {b} {w0 * part.value / request.loss.q_l:.12e}"]  # fmt: skip
        else:
            body += [f"{part.name} {a} {b} {part.value:.12e}",
                     f"R{part.name} {a} {b} {request.loss.q_c / (w0 * part.value):.12e}"]  # fmt: skip
    low, high = (float(found.w[end]) * request.f0 for end in (0, -1))
    return "\n".join(
        [
            f"* {request.kind} {found.prototype.family} order {found.prototype.order}, {version.name} values",
            f".subckt ladder in {out}" if out != "in" else ".subckt ladder in",
            *body,
            ".ends ladder",
            "VS source 0 DC 0 AC 2",
            f"RS source in {request.rs:g}",
            f"XF in {out} ladder" if out != "in" else "XF in ladder",
            f"RL {out} 0 {request.rl:g}",
            f".ac dec 400 {low:.6e} {high:.6e}",
            f"* S21 = V({out}) * {math.sqrt(request.rs / request.rl):.9g}",
            f".print ac vdb({out}) vp({out})",
            ".end",
            "",
        ]
    )


def write_bom(path: Path, found: FilterDesign, *, version: Version) -> None:
    """Name, kind, value, ideal value, series, tolerance, nodes, sensitivity (dB in band per percent)."""
    from quadrat_studies.bilevel.design import sensitivities

    ideal = {part.name: part.value for part in found.parts(found.ideal)}
    slopes = dict(sensitivities(found))
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["part", "kind", "value_si", "value", "ideal_si", "series", "tolerance", "node1", "node2",
                      "db_per_percent"])  # fmt: skip
        for part in found.parts(version):
            unit = "H" if part.kind == "L" else "F"
            series = (found.request.series or "") if version.name == "standard" else ""
            out.writerow([part.name, part.kind, f"{part.value:.6e}", written(part.value, unit),
                          f"{ideal[part.name]:.6e}", series, f"{found.request.tolerance:g}", *part.nodes,
                          f"{slopes[part.name]:.4g}"])  # fmt: skip


def group_delay(found: FilterDesign, version: Version) -> np.ndarray:
    """Seconds at each frequency, from the phase's slope."""
    s21 = found.curves(version).s21[0].numpy()
    rate = 2 * np.pi * (found.w * found.request.f0).numpy()
    return -np.gradient(np.unwrap(np.angle(s21)), rate)


def plot(path: Path, found: FilterDesign) -> None:
    """|S21| with its mask, |S11|, group delay, and S11 in the Smith chart.

    Raises:
        ValueError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as problem:
        raise ValueError("plots need matplotlib: pip install 'quadrat[report]', or leave --out away") from problem
    figure = Figure(figsize=(11, 8), layout="constrained")
    FigureCanvasAgg(figure)
    (gain, match), (delay, smith) = figure.subplots(2, 2)
    hertz = (found.w * found.request.f0).numpy()
    for version, style in ((found.ideal, "--"), (found.standard, "-")):
        if version is None:
            continue
        s = found.curves(version)
        s21, s11 = s.s21[0].numpy(), s.s11[0].numpy()
        gain.plot(hertz, 20 * np.log10(np.maximum(abs(s21), 1e-6)), style, label=version.name)
        match.plot(hertz, 20 * np.log10(np.maximum(abs(s11), 1e-6)), style, label=version.name)
        delay.plot(hertz, group_delay(found, version) * 1e9, style, label=version.name)
        inside = ~found.mask.low[0].isnan().numpy()
        real, imaginary = np.real(s11), np.imag(s11)
        (line,) = smith.plot(real, imaginary, style, lw=0.8)
        smith.plot(
            real[inside], imaginary[inside], style, lw=2.4, color=line.get_color(), label=f"{version.name}, band"
        )
    for bound in (found.mask.low[0], found.mask.high[0]):
        gain.plot(hertz, bound.numpy(), color="0.3", lw=2)
    _finish(gain, "|S21|, dB", (-90, 3))
    _finish(match, "|S11|, dB", (-60, 3))
    _finish(delay, "group delay, ns", None)
    _smith_grid(smith)
    figure.savefig(path, dpi=110)


def _finish(axes: Any, title: str, limits: tuple[float, float] | None) -> None:
    axes.set(xscale="log", xlabel="Hz", title=title)
    if limits:
        axes.set_ylim(*limits)
    axes.grid(visible=True, alpha=0.3)
    axes.legend()


def _smith_grid(axes: Any) -> None:
    """Circles of constant resistance and arcs of constant reactance, clipped to the unit circle."""
    turn = np.linspace(0, 2 * np.pi, 361)
    for r in (0.0, 0.2, 0.5, 1.0, 2.0, 5.0):
        circle = (r + np.exp(1j * turn)) / (1 + r)
        axes.plot(circle.real, circle.imag, color="0.75", lw=0.6, zorder=0)
    resistance = np.concatenate(([0.0], np.logspace(-3, 3, 300)))
    for x in (0.2, 0.5, 1.0, 2.0, 5.0):
        for sign in (1, -1):
            z = resistance + 1j * sign * x
            arc = (z - 1) / (z + 1)
            axes.plot(arc.real, arc.imag, color="0.75", lw=0.6, zorder=0)
    axes.plot([-1, 1], [0, 0], color="0.75", lw=0.6, zorder=0)
    axes.set(aspect="equal", title="S11", xlim=(-1.08, 1.08), ylim=(-1.08, 1.08))
    axes.axis("off")
    axes.legend(loc="lower left")


def passivity(found: FilterDesign, version: Version) -> tuple[float, float]:
    """Largest |S11|^2 + |S21|^2 of the lossless ladder (1), and largest |S11 S21* + S21 S22*| (0): is it a two-port?"""
    s = scattering(Ladder.of(version.ladder.ids, version.ladder.x), found.w)
    power = s.s11.abs().square() + s.s21.abs().square()
    cross = s.s11 * s.s21.conj() + s.s21 * s.s22.conj()
    return float(power.max()), float(cross.abs().max().to(torch.float64))
