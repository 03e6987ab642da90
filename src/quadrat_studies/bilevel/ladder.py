"""Ladder two-ports, batched over circuits, cells and frequencies, in float64.

The state is voltage and current, carried from the load to the source: ``v += Z i`` at a series cell, ``i += Y v`` at a
shunt one. With source ``rs`` and load ``rl`` the denominator is ``den = v + rs i`` and S21 = S12 = 2 sqrt(rs rl) / den,
S11 = (v - rs i) / den; a chain of such cells has determinant one, so nothing has to be subtracted for S12.

A branch ``1 / t`` is infinite where it resonates. Its cell is therefore multiplied by ``t``, and the product ``scale``
of these factors goes into the numerator of S21: a transmission zero comes out as an exact zero.

Lossless, every immittance is ``j tau`` with real ``tau``, and real arithmetic is enough. A finite Q moves the frequency
into the complex plane: an inductor is ``l s`` with ``s = w (j + 1/Q)`` (constant Q) or ``j w + 1/Q`` (fixed resistors,
right at the centre frequency).

Shapes: B circuits, K cells, F frequencies. ``ids`` (B, K) with SKIP = 8; ``x`` (B, K, 2) logs of dimensionless values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import torch
from torch import Tensor

from quadrat_studies.bilevel.macros import MACROS

CHUNK = 8192
"""Circuit x frequency points worked on at a time: what stays in a core's second-level cache."""
DB = 10 / math.log(10)
Pair: TypeAlias = tuple[Tensor, Tensor]
"""Real and imaginary part."""
FLOOR = 1e-24
"""|S21|^2 of the seed's floor of -240 dB."""


@final
@dataclass(frozen=True, slots=True)
class Loss:
    """How lossy parts are: quality factors, and whether they hold at every frequency or at the centre alone."""

    q_l: float = 50.0
    q_c: float = 50.0
    model: Literal["freq_dependent", "fixed_ref"] = "freq_dependent"

    def frequency(self, w: Tensor, kind: Literal["L", "C"]) -> Tensor:
        """The complex frequency that parts of one kind see."""
        q = self.q_l if kind == "L" else self.q_c
        real = w / q if self.model == "freq_dependent" else torch.full_like(w, 1 / q)
        return torch.complex(real, w)


@final
@dataclass(frozen=True, slots=True)
class Ladder:
    """A batch of ladders: topology, logs of values, and both ends in units of the reference resistance."""

    ids: Tensor
    x: Tensor
    rs: Tensor
    rl: Tensor

    @classmethod
    def of(cls, ids: Tensor, x: Tensor, *, rs: Tensor | float = 1.0, rl: Tensor | float = 1.0) -> Ladder:
        """A batch with its ends spread over all circuits."""
        size = ids.shape[:1]
        ends = [torch.as_tensor(r, dtype=torch.float64, device=x.device).expand(size) for r in (rs, rl)]
        return cls(ids, x.to(torch.float64), *ends)

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Tensor | slice) -> Ladder:
        """Some of the circuits."""
        return Ladder(self.ids[rows], self.x[rows], self.rs[rows], self.rl[rows])

    def with_values(self, x: Tensor) -> Ladder:
        """The same circuits with other values."""
        return Ladder(self.ids, x, self.rs, self.rl)

    def reversed(self) -> Ladder:
        """Seen from the load."""
        return Ladder(self.ids.flip(1), self.x.flip(1), self.rl, self.rs)

    def used(self) -> Tensor:
        """Which slots hold a value: (B, K, 2)."""
        return _table(self.x.device).used[self.ids]


@final
@dataclass(frozen=True, slots=True)
class Table:
    """The vocabulary as columns, SKIP last; what ``p`` and ``n`` are made of, by slot."""

    p: Tensor
    n: Tensor
    p_is_l: Tensor
    n_is_l: Tensor
    inverted: Tensor
    series: Tensor
    shunt: Tensor
    used: Tensor


def _table(device: torch.device) -> Table:
    def row(slot: int | None) -> list[float]:
        return [float(slot == index) for index in (0, 1)]

    rows = [*MACROS, None]
    columns = {
        "p": [row(m.p) if m else row(None) for m in rows],
        "n": [row(m.n) if m else row(None) for m in rows],
        "p_is_l": [float(bool(m) and m.p is not None and m.slots[m.p] == "L") for m in rows],
        "n_is_l": [float(bool(m) and m.n is not None and m.slots[m.n] == "L") for m in rows],
        "inverted": [float(bool(m) and m.inverted) for m in rows],
        "series": [float(bool(m) and m.branch == "series") for m in rows],
        "shunt": [float(bool(m) and m.branch == "shunt") for m in rows],
    }
    tensors = {name: torch.tensor(values, dtype=torch.float64, device=device) for name, values in columns.items()}
    used = torch.tensor([[len(m.slots) > 0, len(m.slots) > 1] if m else [False] * 2 for m in rows], device=device)
    return Table(**tensors, used=used)


@final
@dataclass(frozen=True, slots=True)
class Cells:
    """What a ladder is made of, cell by cell: everything (B, K), ``p`` and ``n`` also by slot (B, K, 2)."""

    p: Tensor
    n: Tensor
    p_slots: Tensor
    n_slots: Tensor
    inverted: Tensor
    series: Tensor
    shunt: Tensor

    @classmethod
    def of(cls, ladder: Ladder) -> Cells:
        """Look every macro up; no compilation, so nothing to cache."""
        table, ids = _table(ladder.x.device), ladder.ids
        p_slots = table.p[ids] * ladder.x.exp()
        n_slots = table.n[ids] * (-ladder.x).exp()
        marks = (table.inverted[ids], table.series[ids], table.shunt[ids])
        return cls(p_slots.sum(-1), n_slots.sum(-1), p_slots, n_slots, *marks)

    def column(self, k: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """p, n, inverted, series, shunt of one cell, (B, 1) each."""
        every = (self.p, self.n, self.inverted, self.series, self.shunt)
        p, n, inverted, series, shunt = (part[:, k : k + 1] for part in every)
        return p, n, inverted, series, shunt


# Lossless: real arithmetic ------------------------------------------------------------------------------------------


@final
class Walk:
    """The four real numbers of (v, i) on their way to the source, written in place: no allocation inside the loop."""

    def __init__(self, cells: Cells, w: Tensor) -> None:
        self.cells, self.w, self.inverse = cells, w, 1 / w
        self.has_inverted = (cells.inverted > 0).any(0).tolist()
        self.idle = ((cells.series + cells.shunt) == 0).all(0).tolist()
        self.tau, self.along, self.across, self.keep = (torch.empty_like(w) for _ in range(4))
        self.cross = [torch.empty_like(w) for _ in range(4)]

    def factors(self, k: int) -> None:
        """Fill ``tau`` and what the cell does: ``keep`` on the diagonal, ``along`` if series, ``across`` if shunt."""
        p, n, inverted, series, shunt = self.cells.column(k)
        torch.mul(p, self.w, out=self.tau)
        self.tau.addcmul_(n, self.inverse, value=-1.0)
        if not self.has_inverted[k]:
            torch.mul(self.tau, series, out=self.along)
            torch.mul(self.tau, shunt, out=self.across)
            return
        straight = 1 - inverted
        torch.addcmul(straight, self.tau, inverted, out=self.keep)
        torch.addcmul(-inverted * series, self.tau, straight * series, out=self.along)
        torch.addcmul(-inverted * shunt, self.tau, straight * shunt, out=self.across)

    def step(self, k: int, v: Pair, *, i: Pair) -> None:
        """Take (v, i) from the load's side of cell k to the source's side; each is real and imaginary part."""
        if self.idle[k]:
            return
        self.factors(k)
        if not self.has_inverted[k]:
            # A cell is series or shunt, so one of the two products is zero and their order does not matter.
            v[0].addcmul_(self.along, i[1], value=-1.0)
            v[1].addcmul_(self.along, i[0])
            i[0].addcmul_(self.across, v[1], value=-1.0)
            i[1].addcmul_(self.across, v[0])
            return
        for place, factor, part in zip(
            self.cross, (self.along, self.along, self.across, self.across), (*i, *v), strict=True
        ):
            torch.mul(factor, part, out=place)
        for part in (*v, *i):
            part.mul_(self.keep)
        v[0].sub_(self.cross[1])
        v[1].add_(self.cross[0])
        i[0].sub_(self.cross[3])
        i[1].add_(self.cross[2])


def _start(ladder: Ladder, w: Tensor) -> tuple[Pair, Pair]:
    zero = torch.zeros_like(w)
    return (zero + ladder.rl[:, None], zero.clone()), (torch.ones_like(w), zero)


def power(ladder: Ladder, w: Tensor) -> tuple[Tensor, Tensor]:
    """|S21|^2 and |S11|^2 of lossless ladders at the normalised frequencies ``w`` (B, F) or (F,). No autograd."""
    w = w.to(torch.float64).expand(len(ladder), w.shape[-1])
    transmitted, reflected = (torch.empty_like(w) for _ in range(2))
    for rows in _batches(ladder, w.shape[-1]):
        transmitted[rows], reflected[rows] = _power(ladder.take(rows), w[rows])
    return transmitted, reflected


@torch.no_grad()
def _power(ladder: Ladder, w: Tensor) -> tuple[Tensor, Tensor]:
    cells, (v, i) = Cells.of(ladder), _start(ladder, w)
    walk = Walk(cells, w.contiguous())
    scale: Tensor | None = None
    for k in reversed(range(ladder.ids.shape[1])):
        walk.step(k, v, i=i)
        if walk.has_inverted[k]:
            scale = walk.keep.clone() if scale is None else scale.mul_(walk.keep)
    (vr, vi), (ir, ii) = v, i
    rs = ladder.rs[:, None]
    total = (vr + rs * ir).square_().add_((vi + rs * ii).square_())
    reflected = (vr - rs * ir).square_().add_((vi - rs * ii).square_()).div_(total)
    gain = 4 * rs * ladder.rl[:, None]
    transmitted = gain / total if scale is None else scale.square_().mul_(gain).div_(total)
    return transmitted, reflected


def decibels(value: Tensor, *, floor: float = FLOOR) -> Tensor:
    """10 log10 of a power, not below that of ``floor``."""
    return value.clamp_min(floor).log10() * 10


@torch.no_grad()
def sensitivity(ladder: Ladder, w: Tensor) -> tuple[Tensor, Tensor]:
    """ln |S21|^2 (B, F) of lossless ladders and its derivatives by ``x``, (B, K, 2, F), in closed form.

    With the row (l1, l2) carried from the source and (v, i) from the load, d ln S21 / d tau = -j l1 i / den at a
    series cell and -j l2 v / den at a shunt one: two chains, whatever the number of parts.
    At an exact transmission zero the logarithm is floored at -240 dB and its derivatives are zero.
    """
    size, cells_count = ladder.ids.shape
    w = w.to(torch.float64).expand(size, w.shape[-1]).contiguous()
    logs = torch.empty_like(w)
    slopes = torch.empty(size, cells_count, 2, w.shape[-1], dtype=torch.float64, device=w.device)
    for rows in _batches(ladder, w.shape[-1]):
        logs[rows], slopes[rows] = _sensitivity(ladder.take(rows), w[rows])
    return logs, slopes


def _sensitivity(ladder: Ladder, w: Tensor) -> tuple[Tensor, Tensor]:
    cells, count = Cells.of(ladder), ladder.ids.shape[1]
    w = w.contiguous()
    out = torch.empty(len(w), count, 2, w.shape[1], dtype=w.dtype, device=w.device)
    walk, (v, i) = Walk(cells, w), _start(ladder, w)
    seen = torch.empty(count, 4, *w.shape, dtype=w.dtype, device=w.device)
    scale = torch.ones_like(w)
    for k in reversed(range(count)):
        for place, part in zip(seen[k], (*v, *i), strict=True):
            place.copy_(part)
        walk.step(k, v, i=i)
        if walk.has_inverted[k]:
            scale.mul_(walk.keep)
    (vr, vi), (ir, ii) = v, i
    rs = ladder.rs[:, None]
    den_r, den_i = vr + rs * ir, vi + rs * ii
    total = den_r.square().add_(den_i.square())
    transmitted = scale.square_().mul_(4 * rs * ladder.rl[:, None]).div_(total)
    # 2 Im(z / den) = (zi den_r - zr den_i) * twice; nothing where the floor holds.
    twice = torch.where(transmitted > FLOOR, 2 / total, torch.zeros_like(total))
    # The row (l1, l2) obeys the column's rule with the roles of v and i exchanged: l2 += Z l1, l1 += Y l2.
    l1 = (torch.ones_like(w), torch.zeros_like(w))
    l2 = (torch.zeros_like(w) + rs, torch.zeros_like(w))
    for k in range(count):
        if walk.idle[k]:
            out[:, k] = 0.0
            continue
        _, _, inverted, series, shunt = cells.column(k)
        left = [a * series + b * shunt for a, b in zip(l1, l2, strict=True)]
        right = [a * shunt + b * series for a, b in zip(seen[k][:2], seen[k][2:], strict=True)]
        product_r = left[0] * right[0] - left[1] * right[1]
        product_i = left[0] * right[1] + left[1] * right[0]
        slope = product_i.mul_(den_r).sub_(product_r.mul_(den_i)).mul_(twice)
        walk.step(k, l2, i=l1)
        if walk.has_inverted[k]:
            slope.div_(torch.where(inverted > 0, walk.tau, 1.0)).nan_to_num_(0.0, 0.0, 0.0)
        for slot in (0, 1):
            torch.mul(cells.p_slots[:, k, slot, None], walk.w, out=walk.along)
            walk.along.addcmul_(cells.n_slots[:, k, slot, None], walk.inverse)
            torch.mul(slope, walk.along, out=out[:, k, slot])
    return transmitted.clamp_min_(FLOOR).log_(), out


def _batches(ladder: Ladder, frequencies: int) -> Iterator[Tensor | slice]:
    """Rows to work on together. Circuits without an inverted branch, which are cheaper, keep to themselves."""
    if len(ladder) <= CHUNK // max(frequencies, 1):
        yield slice(None)
        return
    poles = (_table(ladder.x.device).inverted[ladder.ids] > 0).any(1)
    for some in ((~poles).nonzero().flatten(), poles.nonzero().flatten()):
        for rows in _chunks(len(some), frequencies):
            yield some[rows]


def _chunks(size: int, frequencies: int) -> Iterator[slice]:
    step = max(1, CHUNK // max(frequencies, 1))
    for start in range(0, size, step):
        yield slice(start, start + step)


# Lossy: complex frequency --------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class Scattering:
    """Complex S-parameters, (B, F) each; S12 = S21."""

    s11: Tensor
    s21: Tensor
    s22: Tensor


def scattering(ladder: Ladder, w: Tensor, *, loss: Loss | None = None) -> Scattering:
    """S-parameters referred to ``rs`` and ``rl``. Written without in-place steps, so autograd goes through."""
    w = w.to(torch.float64).expand(len(ladder), w.shape[-1])
    s11, s21 = _scatter(ladder, w, loss)
    s22, _ = _scatter(ladder.reversed(), w, loss)
    return Scattering(s11, s21, s22)


def lossy_power(ladder: Ladder, w: Tensor, *, loss: Loss) -> tuple[Tensor, Tensor]:
    """|S21|^2 and |S11|^2 with finite Q."""
    w = w.to(torch.float64).expand(len(ladder), w.shape[-1])
    found = [_scatter(ladder.take(rows), w[rows], loss) for rows in _chunks(len(ladder), w.shape[-1])]
    s11, s21 = (torch.cat(part) for part in zip(*found, strict=True))
    return s21.real.square() + s21.imag.square(), s11.real.square() + s11.imag.square()


def _immittance(ladder: Ladder, w: Tensor, loss: Loss | None) -> Tensor:
    """t of every cell, (K, B, F) complex."""
    cells, table = Cells.of(ladder), _table(w.device)
    if loss is None:
        s_l = s_c = torch.complex(torch.zeros_like(w), w)
    else:
        s_l, s_c = loss.frequency(w, "L"), loss.frequency(w, "C")
    p_is_l, n_is_l = table.p_is_l[ladder.ids], table.n_is_l[ladder.ids]

    def spread(part: Tensor) -> Tensor:
        return part.T[:, :, None]

    rising = spread(cells.p * p_is_l) * s_l + spread(cells.p * (1 - p_is_l)) * s_c
    falling = spread(cells.n * n_is_l) / s_l + spread(cells.n * (1 - n_is_l)) / s_c
    return rising + falling


def _scatter(ladder: Ladder, w: Tensor, loss: Loss | None) -> tuple[Tensor, Tensor]:
    cells, t = Cells.of(ladder), _immittance(ladder, w, loss)
    rs, rl = ladder.rs[:, None], ladder.rl[:, None]
    v = rl.to(t.dtype).expand(t.shape[1:])
    i = scale = torch.ones_like(v)
    for k in reversed(range(ladder.ids.shape[1])):
        _, _, inverted, series, shunt = cells.column(k)
        keep = t[k] * inverted + (1 - inverted)
        value = t[k] * (1 - inverted) + inverted
        v, i = keep * v + value * series * i, keep * i + value * shunt * v
        scale = scale * keep
    den = v + rs * i
    return (v - rs * i) / den, 2 * (rs * rl).sqrt() * scale / den


def lossy_sensitivity(ladder: Ladder, w: Tensor, *, loss: Loss) -> tuple[Tensor, Tensor]:
    """ln |S21|^2 with finite Q and its derivatives by ``x``, like ``sensitivity``, by one reverse pass per batch.

    The sum over circuits separates, and a vector-Jacobian product for each frequency is avoided by differentiating
    with respect to ``x`` copied along the frequencies.
    """
    w = w.to(torch.float64).expand(len(ladder), w.shape[-1])
    count, points = w.shape
    flat = Ladder(
        ladder.ids.repeat_interleave(points, 0),
        ladder.x.repeat_interleave(points, 0).detach().requires_grad_(),
        ladder.rs.repeat_interleave(points),
        ladder.rl.repeat_interleave(points),
    )
    with torch.enable_grad():
        _, s21 = _scatter(flat, w.reshape(-1, 1), loss)
        logs = (s21.real.square() + s21.imag.square()).clamp_min(FLOOR).log()
        (slopes,) = torch.autograd.grad(logs.sum(), [flat.x])
    return logs.detach().reshape(count, points), slopes.reshape(count, points, -1, 2).permute(0, 2, 3, 1)
