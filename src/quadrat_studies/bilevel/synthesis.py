"""From a prototype to the element values of a ladder, for any ratio of load to source (Darlington's procedure).

S21 = P / E and S11 = F / E fix the input impedance (E + F) / (E - F), which is taken apart from the source to the load:
series inductors and shunt capacitors for poles at infinity, and for a transmission zero first as much of an inductor as
moves a zero of the impedance there, then the shunt resonator. Polynomials are in extended precision, since every
extraction cancels leading terms.
"""

from __future__ import annotations

import cmath
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, final

import numpy as np

from quadrat_studies.bilevel import elliptic
from quadrat_studies.bilevel.macros import SER_L, SHUNT_C, SHUNT_NOTCH, Cell, dual
from quadrat_studies.bilevel.prototypes import Prototype, bessel_excess_polynomial, bessel_polynomial

Form = Literal["t", "pi"]
Polynomial = np.ndarray
"""Highest power first, longdouble."""


@final
@dataclass(frozen=True, slots=True)
class Lowpass:
    """A normalised lowpass ladder between 1 and ``rl``, edge at Omega = 1."""

    cells: tuple[Cell, ...]
    rl: float


@lru_cache(maxsize=4096)
def synthesise(prototype: Prototype, form: Form = "t", *, rl: float | None = None) -> Lowpass:
    """The ladder of a prototype; ``t`` starts with a series part, ``pi`` with a shunt one.

    ``rl`` is the load in units of the source; None takes equal ends, or the nearest a perfect match allows for an even
    order with ripple.

    Raises:
        ValueError: the load cannot be had in this form.
    """
    if prototype.family == "elliptic" and prototype.order % 2 == 0:
        raise ValueError("an even elliptic order has no ladder with real parts: take the next odd order")
    if rl is None:
        ripple = prototype.epsilon
        at_even = (ripple + math.sqrt(1 + ripple**2)) ** 2
        rl = (at_even if form == "t" else 1 / at_even) if prototype.dc_loss > 1 else 1.0
    if rl <= 0:
        raise ValueError(f"rl must be positive, but got {rl}")
    if form == "pi":
        other = synthesise(prototype, "t", rl=1 / rl)
        return Lowpass(tuple(dual(other.cells)), rl)
    gain = prototype.dc_loss * 4 * rl / (1 + rl) ** 2
    if gain > 1 + 1e-9:
        raise ValueError(
            f"an even-order {prototype.family} filter of {prototype.edge_db:.4g} dB ripple needs unequal ends: take an "
            "odd order, or leave rl out"
        )
    if prototype.order % 2 == 0 and rl < 1 - 1e-12:
        raise ValueError(f"an even order that starts with a series part needs rl >= 1, but got {rl:.4g}: take form pi")
    if abs(gain - 1) < 1e-12 and prototype.family in ("butterworth", "chebyshev"):
        return Lowpass(tuple(_closed_form(prototype)), rl)
    return _checked(prototype, Lowpass(tuple(_taken_apart(prototype, rl, gain=min(gain, 1.0))), rl))


def _taken_apart(prototype: Prototype, rl: float, *, gain: float) -> list[Cell]:
    e, f = _characteristic(prototype, gain)
    if prototype.order % 2 and rl < 1:
        f = f * (-1.0) ** np.arange(len(f))  # (-1)^n F(-s): the same |S11|, the other sign at zero frequency
    numerator, denominator = e + f, _trim(e - f)
    zeros = prototype.zeros()
    return _with_zeros(numerator, denominator, zeros) if zeros else _all_pole(numerator, denominator)


def _closed_form(prototype: Prototype) -> list[Cell]:
    """g-values of the families that have them, for the ends that need no mismatch (Matthaei, Young and Jones, 4.05)."""
    n = prototype.order
    a = [math.sin((2 * k - 1) * math.pi / (2 * n)) for k in range(1, n + 1)]
    if prototype.family == "butterworth":
        g = [2 * value * prototype.epsilon ** (1 / n) for value in a]
    else:
        level = math.sinh(math.asinh(1 / prototype.epsilon) / n)
        b = [level**2 + math.sin(k * math.pi / n) ** 2 for k in range(1, n + 1)]
        g = [2 * a[0] / level]
        for k in range(1, n):
            g.append(4 * a[k - 1] * a[k] / (b[k - 1] * g[-1]))
    return [(SHUNT_C if k % 2 else SER_L, (value,)) for k, value in enumerate(g)]


def _checked(prototype: Prototype, found: Lowpass) -> Lowpass:
    """Compare with the prototype: taking an impedance apart loses digits as the order grows.

    Raises:
        ValueError: nothing usable is left.
    """
    gain = prototype.dc_loss * 4 * found.rl / (1 + found.rl) ** 2
    worst = 0.0
    for omega in (0.3, 0.8, 1.0, 1.3):
        v, i = complex(found.rl), 1 + 0j
        for macro, values in reversed(found.cells):
            if macro == SER_L:
                v += 1j * omega * values[0] * i
            elif macro == SHUNT_C:
                i += 1j * omega * values[0] * v
            else:
                i += v / (1j * (omega * values[0] - 1 / (omega * values[1])))
        loss = -10 * math.log10(4 * found.rl / abs(v + i) ** 2) + 10 * math.log10(gain)
        worst = max(worst, abs(loss - float(prototype.attenuation_db(np.array(omega)))))
    if not worst < 1e-3 or any(value <= 0 for _, values in found.cells for value in values):
        raise ValueError(
            f"a {prototype.family} ladder of order {prototype.order} into a load of {found.rl:.4g} is off by "
            f"{worst:.2g} dB in double precision: take a lower order, or equal ends"
        )
    return found


def _characteristic(prototype: Prototype, gain: float) -> tuple[Polynomial, Polynomial]:
    """E and F, monic, for a best gain of ``gain``."""
    poles, zeros = _poles(prototype, 1.0), _poles(prototype, max(1 - gain, 0.0))
    return _from_roots(poles), _from_roots(zeros)


def _poles(prototype: Prototype, level: float) -> list[complex]:
    """Left-half roots of ``level`` + characteristic function squared; level 1 gives poles, 1 - gain zeros of S11."""
    n, epsilon = prototype.order, prototype.epsilon
    angles = [(2 * k - 1) * math.pi / (2 * n) for k in range(1, n + 1)]
    if prototype.family == "butterworth":
        radius = (math.sqrt(level) / epsilon) ** (1 / n)
        return [radius * complex(-math.sin(a), math.cos(a)) for a in angles]
    if prototype.family == "chebyshev":
        beta = math.asinh(math.sqrt(level) / epsilon) / n
        return [complex(-math.sinh(beta) * math.sin(a), math.cosh(beta) * math.cos(a)) for a in angles]
    if prototype.family == "elliptic":
        return _elliptic_roots(prototype, level)
    return _bessel_roots(prototype, level)


def _elliptic_roots(prototype: Prototype, level: float) -> list[complex]:
    n, k = prototype.order, prototype.modulus
    k1 = prototype.epsilon / math.sqrt(math.expm1(prototype.stop_db * math.log(10) / 10))
    shift = -1j * elliptic.inverse_sn(1j * math.sqrt(level) / prototype.epsilon, k1) / n
    found: list[complex] = []
    for i in range(1, n + 1):
        root = 1j * elliptic.cd((2 * i - 1) / n - 1j * shift, k)
        found.append(complex(-abs(root.real), root.imag))
    return found


def _bessel_roots(prototype: Prototype, level: float) -> list[complex]:
    scale = prototype.bessel_scale
    if level == 1.0:
        return [complex(root) / scale for root in np.roots(bessel_polynomial(prototype.order))]
    squares = bessel_excess_polynomial(prototype.order)
    zero_roots = [0j] if level == 0.0 else []
    squares = squares[:-1] if zero_roots else [*squares[:-1], level]
    found = zero_roots + [_left(cmath.sqrt(-complex(square))) for square in np.roots(squares)]
    return [root / scale for root in found]


def _left(root: complex) -> complex:
    return -root if root.real > 0 else root


def _from_roots(roots: Sequence[complex]) -> Polynomial:
    """The real polynomial of complex roots that come in conjugate pairs."""
    found = np.array([1.0], dtype=np.clongdouble)
    for root in roots:
        found = np.convolve(found, np.array([1.0, -np.clongdouble(root)]))
    return found.real.astype(np.longdouble)


def _trim(polynomial: Polynomial) -> Polynomial:
    """Without leading terms that are rounding errors of a difference."""
    size = np.abs(polynomial).max()
    first = int(np.argmax(np.abs(polynomial) > 1e-13 * size))
    return polynomial[first:]


def _all_pole(numerator: Polynomial, denominator: Polynomial) -> list[Cell]:
    """Continued fraction at infinity: series L, shunt C, series L, ..."""
    cells: list[Cell] = []
    order = len(numerator) - 1
    for k in range(order):
        # One degree is lost at each step, by construction; the leading terms are dropped, not compared with zero.
        denominator = denominator[-(order - k) :]
        value = numerator[0] / denominator[0]
        rest = numerator.copy()
        rest[:-1] -= value * denominator
        cells.append((SHUNT_C if k % 2 else SER_L, (float(value),)))
        numerator, denominator = denominator, rest[2:]
        if k < order - 1 and len(denominator) < order - k - 1:
            denominator = rest[-(order - k - 1) :]
    return cells


def _with_zeros(numerator: Polynomial, denominator: Polynomial, zeros: Sequence[float]) -> list[Cell]:
    """Series inductors and shunt notches; the first order of notches with positive values all through."""
    for order in sorted(itertools.permutations(zeros), key=_wide_outside):
        cells = _extract(numerator, denominator, order)
        if all(value > 0 for _, values in cells for value in values):
            return cells
    raise ValueError("this elliptic filter has no ladder with positive parts: relax its stopband")


def _wide_outside(order: Sequence[float]) -> float:
    # Zeros far from the edge at the ends, those near it inside: what usually keeps every part positive.
    middle = (len(order) - 1) / 2
    return sum(abs(place - middle) * -zero for place, zero in enumerate(order))


def _extract(numerator: Polynomial, denominator: Polynomial, order: Sequence[float]) -> list[Cell]:
    cells: list[Cell] = []
    for zero in order:
        s = np.clongdouble(1j * zero)
        inductor = ((np.polyval(numerator, s) / np.polyval(denominator, s)) / s).real
        numerator = np.polysub(numerator, np.convolve(denominator, np.array([inductor, 0.0], dtype=np.longdouble)))
        pair = np.array([1.0, 0.0, zero * zero], dtype=np.longdouble)
        reduced, _ = np.polydiv(numerator, pair)  # the impedance now vanishes at the zero
        # Y = D / (R (s^2 + z^2)): the pole's residue gives (s / L) / (s^2 + z^2) with 1 / L = D / (R s) there.
        strength = (np.polyval(denominator, s) / (np.polyval(reduced, s) * s)).real
        cells += [(SER_L, (float(inductor),)), (SHUNT_NOTCH, (float(1 / strength), float(strength / zero**2)))]
        taken = np.polysub(denominator, strength * np.convolve(reduced, np.array([1.0, 0.0], dtype=np.longdouble)))
        numerator, (denominator, _) = reduced, np.polydiv(taken, pair)
        # A degree that only rounding keeps alive would be read as a pole at infinity.
        denominator = denominator[-(len(numerator) - 1) :]
    return [*cells, (SER_L, (float(numerator[0] / denominator[0]),))]
