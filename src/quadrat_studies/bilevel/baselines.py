"""What a designer has without learning: formulas, enumeration with the inner solver, and the seed's older refiner."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from quadrat_studies.bilevel.bands import FilterType, transform
from quadrat_studies.bilevel.ladder import DB, Ladder, decibels, power, sensitivity
from quadrat_studies.bilevel.macros import SKIP, Cell
from quadrat_studies.bilevel.masks import Mask
from quadrat_studies.bilevel.prototypes import THREE_DB, Prototype
from quadrat_studies.bilevel.samples import Samples, tensors
from quadrat_studies.bilevel.solver import Solution, Target, levenberg_marquardt
from quadrat_studies.bilevel.synthesis import synthesise

ORDERS = range(2, 9)
MATCHED = 0.01
"""Mean squared dB error under which an order counts as found."""
RATIO = 2.0


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """Circuits (N, K) proposed by a baseline, and the curves' mean squared dB error."""

    ids: Tensor
    x: Tensor
    error: Tensor


def butterworth(kind: FilterType, order: int, *, scale: float = 1.0, d: float = 1.0) -> list[Cell]:
    """A Butterworth ladder whose 3 dB edge is at ``scale`` times the band's own."""
    cells = [(macro, tuple(v / scale for v in values)) for macro, values in
             synthesise(Prototype("butterworth", order)).cells]  # fmt: skip
    return transform(cells, kind, d=d)


def three_db_edge(samples: Samples) -> Tensor:
    """Omega of the 3 dB point of each wanted curve, by interpolation, in units of its own band's edge (N,)."""
    seen = samples.specs.omega(samples.w)
    edges = torch.ones(len(samples), dtype=torch.float64)
    loss = -samples.ideal[0]
    for i in range(len(samples)):
        order = seen[i].argsort()
        s, a = seen[i][order], loss[i][order]
        past = (a >= THREE_DB).nonzero()
        if not len(past) or int(past[0]) == 0:
            continue
        j = int(past[0])
        share = float((THREE_DB - a[j - 1]) / (a[j] - a[j - 1]).clamp_min(1e-12))
        edges[i] = float(s[j - 1]) + share * float(s[j] - s[j - 1])
    return edges


def enumerate_orders(samples: Samples, *, k: int, floor_db: float = -80.0, iterations: int = 20) -> Answer:
    """Orders 2 to 8 in T form, Butterworth start values at the curve's own 3 dB width, the first that matches.

    Where none does, the best.
    """
    edges = three_db_edge(samples).tolist()
    kinds, widths = samples.kind_names(), samples.specs.d.tolist()
    error = torch.full((len(samples),), math.inf, dtype=torch.float64)
    ids = torch.full((len(samples), k), SKIP)
    x = torch.zeros(len(samples), k, 2, dtype=torch.float64)
    for order in ORDERS:
        if order > k:
            break
        open_rows = (error > MATCHED).nonzero().flatten()
        if not len(open_rows):
            break
        cells = [butterworth(kinds[i], order, scale=edges[i], d=widths[i]) for i in open_rows.tolist()]
        new_ids, new_x = tensors(cells, k=k)
        target = Target(samples.ideal[0][open_rows], samples.w[open_rows], floor_db)
        found = levenberg_marquardt(Ladder.of(new_ids, new_x), target, iterations=iterations, tolerance=1e-6)
        better = found.error < error[open_rows]
        rows = open_rows[better]
        ids[rows], x[rows], error[rows] = new_ids[better], found.x[better], found.error[better]
    return Answer(ids, x, error)


def closed_form_order(samples: Samples, *, k: int) -> Answer:
    """The order by the slope from the 3 dB point to the last one above the floor; Butterworth values, no search."""
    edges = three_db_edge(samples).tolist()
    seen, loss = samples.specs.omega(samples.w), -samples.ideal[0]
    kinds, widths = samples.kind_names(), samples.specs.d.tolist()
    cells = []
    for i in range(len(samples)):
        ratio = seen[i] / edges[i]
        usable = (ratio > 1.3) & (loss[i] > 6) & (loss[i] < 80)
        order = ORDERS[0]
        if bool(usable.any()):
            far = int(torch.where(usable, ratio, 0.0).argmax())
            excess = math.log10(10 ** (float(loss[i][far]) / 10) - 1)
            order = round(excess / (2 * math.log10(float(ratio[far]))))
        cells.append(butterworth(kinds[i], min(max(order, 2), ORDERS[-1]), scale=edges[i], d=widths[i]))
    ids, x = tensors(cells, k=k)
    curve = decibels(power(Ladder.of(ids, x), samples.w)[0])
    error = (curve.clamp_min(-80) - samples.ideal[0].clamp_min(-80)).square().mean(1)
    return Answer(ids, x, error)


def older_refiner(ladder: Ladder, target: Target, *, mask: Mask, steps: int = 50, lr: float = 0.05) -> Solution:
    """The refiner of the origin's older path: values within a factor of two, Adam on the mask's hinge and a little MSE.

    ``v = v0 exp(ln 2 tanh u)``; the loss is the mean squared shortfall in each band plus a hundredth of the error.
    """
    u, first, second = (torch.zeros_like(ladder.x) for _ in range(3))
    limit = math.log(RATIO)
    start: Tensor | None = None
    best, best_x = torch.full((len(ladder),), math.inf, dtype=torch.float64), ladder.x
    for step in range(1, steps + 2):
        x = ladder.x + limit * u.tanh()
        logs, slopes = sensitivity(ladder.with_values(x), target.w)
        curve = logs * DB
        gap = torch.where(curve > target.floor_db, curve - target.curve.clamp_min(target.floor_db), 0.0)
        low, high = mask.shortfall(curve)
        inside = (~mask.low.isnan()).sum(1, keepdim=True).clamp_min(1)
        outside = (~mask.high.isnan()).sum(1, keepdim=True).clamp_min(1)
        points = curve.shape[1]
        loss = (low.square() / inside + high.square() / outside + 0.01 * gap.square() / points).sum(1)
        error = gap.square().mean(1)
        start = error if start is None else start
        best_x = torch.where((loss < best)[:, None, None], x, best_x)
        best = torch.minimum(best, loss)
        pull = 2 * (-low / inside + high / outside + 0.01 * gap / points)
        gradient = (slopes * (DB * pull)[:, None, None]).sum(3) * limit * (1 - u.tanh().square())
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient.square()
        u = u - lr * (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
    curve = decibels(power(ladder.with_values(best_x), target.w)[0])
    end = (curve.clamp_min(target.floor_db) - target.curve.clamp_min(target.floor_db)).square().mean(1)
    count = torch.full((len(ladder),), steps)
    assert start is not None
    return Solution(best_x, start, end, best <= 0, count)
