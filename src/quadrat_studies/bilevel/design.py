"""A filter from a designer's specification: order, ladder, standard values, yield."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from quadrat_studies.bilevel.bands import TYPES, FilterType, grid, omega, transform
from quadrat_studies.bilevel.ladder import Ladder, Loss, Scattering, decibels, power, scattering
from quadrat_studies.bilevel.macros import Cell
from quadrat_studies.bilevel.masks import Mask, Specs
from quadrat_studies.bilevel.netlist import Part, parts
from quadrat_studies.bilevel.prototypes import THREE_DB, Family, Prototype, minimum_order
from quadrat_studies.bilevel.samples import cells_of, si_scale, tensors
from quadrat_studies.bilevel.snapping import snap_circuits
from quadrat_studies.bilevel.solver import Target
from quadrat_studies.bilevel.standard import Series
from quadrat_studies.bilevel.synthesis import Form, synthesise
from quadrat_studies.bilevel.tolerance import Demands, Tolerance, Yield, monte_carlo

POINTS = 401
MARGIN_DB = 1e-3


@final
@dataclass(frozen=True, slots=True)
class Request:
    """What a designer asks for.

    Attributes:
        kind: filter type.
        f0: edge (lowpass, highpass) or geometric centre, in Hz.
        bw: fractional bandwidth of band filters.
        family: approximation.
        order: a number, or None for the smallest that does.
        ripple_db: greatest loss in the passband; None takes 0.1 dB, or 3.01 dB for Butterworth and Bessel filters.
        stops: (dB, Hz) pairs; each holds from there on, away from the passband, on both sides of a band.
        form: ``t`` starts with a series part, ``pi`` with a shunt one.
        rs, rl: ends in ohm.
        series: standard values, or None to keep ideal ones.
        tolerance: of parts, relative.
        loss: finite Q, or None.
        seed: of the Monte Carlo draws.
    """

    kind: FilterType
    f0: float
    bw: float = 1.0
    family: Family = "chebyshev"
    order: int | None = None
    ripple_db: float | None = None
    stops: tuple[tuple[float, float], ...] = ()
    form: Form = "t"
    rs: float = 50.0
    rl: float = 50.0
    series: Series | None = "E24"
    tolerance: float = 0.05
    loss: Loss | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("f0", "bw", "rs", "rl"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a positive number, but got {value}")
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"a tolerance lies between 0 and 100 %, but got {100 * self.tolerance:g} %")

    @property
    def d(self) -> float:
        """Fractional bandwidth; 1 where there is none."""
        return self.bw if self.kind in ("bandpass", "bandstop") else 1.0

    @property
    def pass_db(self) -> float:
        """Greatest loss in the passband."""
        if self.ripple_db is not None:
            return self.ripple_db
        return THREE_DB if self.family in ("butterworth", "bessel") else 0.1

    def selectivity(self, hertz: float) -> float:
        """The prototype frequency of a real one."""
        return float(omega(self.kind, torch.tensor(hertz / self.f0, dtype=torch.float64), d=self.d))


@final
@dataclass(frozen=True, slots=True)
class Version:
    """One set of values of a design: curves, whether the mask holds, and yield."""

    name: Literal["ideal", "standard"]
    ladder: Ladder
    passes: bool
    worst_db: float
    produced: Yield
    produced_lossy: Yield | None


@final
@dataclass(frozen=True, slots=True)
class FilterDesign:
    """A finished design."""

    request: Request
    prototype: Prototype
    w: Tensor
    mask: Mask
    ideal: Version
    standard: Version | None

    @property
    def best(self) -> Version:
        """What would be built."""
        return self.standard or self.ideal

    def parts(self, version: Version) -> list[Part]:
        """Its parts in SI units."""
        return si_parts(self.request, version.ladder)

    def curves(self, version: Version, *, w: Tensor | None = None, lossy: bool = True) -> Scattering:
        """S-parameters between the request's ends, with finite Q where it is given and ``lossy``."""
        loss = self.request.loss if lossy else None
        return scattering(version.ladder, self.w if w is None else w, loss=loss)


def si_parts(request: Request, ladder: Ladder) -> list[Part]:
    """Parts of the first circuit of a batch, in henry and farad. Dimensionless values refer to ``rs``."""
    cells = cells_of(ladder.ids[0].tolist(), ladder.x[0].tolist())
    w0 = 2 * math.pi * request.f0
    found = parts(cells)
    return [
        Part(p.name, p.kind, p.branch, p.value * (request.rs / w0 if p.kind == "L" else 1 / (w0 * request.rs)),
             p.nodes, p.cell, p.slot)
        for p in found
    ]  # fmt: skip


def parse_stop(text: str) -> tuple[float, float]:
    """``40dB@1.3e9`` as (40.0, 1.3e9).

    Raises:
        ValueError: it is written otherwise.
    """
    match = re.fullmatch(
        r"\s*([\d.]+(?:e[+-]?\d+)?)\s*(?:dB)?\s*@\s*([\d.]+(?:e[+-]?\d+)?)\s*(?:Hz)?\s*", text, re.IGNORECASE
    )
    if match is None:
        raise ValueError(f"a stopband is written 40dB@1.3e9 (attenuation at frequency), but got {text!r}")
    return float(match[1]), float(match[2])


def parse_share(text: str) -> float:
    """``5%`` or ``0.05`` as 0.05.

    Raises:
        ValueError: it is neither.
    """
    number = text.strip().removesuffix("%")
    try:
        value = float(number)
    except ValueError as problem:
        raise ValueError(f"a tolerance is written 5% or 0.05, but got {text!r}") from problem
    return value / 100 if text.strip().endswith("%") else value


def choose(request: Request) -> Prototype:
    """The prototype: of the order asked for, or of the smallest that meets every stopband.

    Raises:
        ValueError: no order was given and there is no stopband to choose it by, or none is enough.
    """
    equal = abs(request.rl / request.rs - 1) < 1e-9
    only_odd = request.family == "chebyshev" and equal
    if request.order is not None:
        return Prototype(request.family, request.order, request.pass_db, _deepest(request))
    if not request.stops:
        raise ValueError("an automatic order needs a stopband: add --stop 40dB@1.3e9, or name an order")
    found = [
        minimum_order(request.family, edge_db=request.pass_db, stop_db=db, selectivity=s, only_odd=only_odd)
        for db, s in ((db, request.selectivity(hertz)) for db, hertz in request.stops)
    ]
    order = max(prototype.order for prototype in found)
    return Prototype(request.family, order, request.pass_db, _deepest(request))


def _deepest(request: Request) -> float:
    return max((db for db, _ in request.stops), default=40.0)


def ideal_cells(request: Request, prototype: Prototype) -> list[Cell]:
    """The ladder of ideal values."""
    lowpass = synthesise(prototype, request.form, rl=request.rl / request.rs)
    return transform(lowpass.cells, request.kind, d=request.d)


def mask_of(request: Request, prototype: Prototype, w: Tensor) -> Mask:
    """The request's bounds at ``w`` (1, F): the passband, and the deepest stopband that holds at each frequency."""
    ratio = request.rl / request.rs
    gain = 10 * math.log10(min(1.0, prototype.dc_loss * 4 * ratio / (1 + ratio) ** 2))
    kind = TYPES.index(request.kind)

    def specs(stop_db: float, edge: float) -> Specs:
        numbers = (request.d, request.pass_db, edge, stop_db, gain)
        return Specs(torch.tensor([kind]), *(torch.tensor([n], dtype=torch.float64) for n in numbers))

    masks = [specs(db, request.selectivity(hertz)).mask(w, margin=MARGIN_DB) for db, hertz in request.stops]
    low = specs(40.0, math.inf).mask(w, margin=MARGIN_DB).low
    high = torch.full_like(w, torch.nan)
    for mask in masks:
        high = torch.fmin(high, mask.high)
    return Mask(low, high)


def frequencies(request: Request, *, points: int = POINTS) -> Tensor:
    """Normalised frequencies (F,) that reach past every stopband, with the band edges and stop frequencies in them."""
    base = grid(request.kind, d=request.d, points=points)[0]
    asked = [hertz / request.f0 for _, hertz in request.stops]
    marks = [1.0, *asked, *(1 / value for value in asked if request.kind in ("bandpass", "bandstop"))]
    low, high = min([float(base[0]), *(0.9 * m for m in marks)]), max([float(base[-1]), *(1.1 * m for m in marks)])
    wide = torch.logspace(math.log10(low), math.log10(high), points // 2, dtype=torch.float64)
    edges = []
    if request.kind in ("bandpass", "bandstop"):
        upper = request.d / 2 + math.sqrt(1 + request.d**2 / 4)
        edges = [1 / upper, upper]
    return torch.cat((base, wide, torch.tensor([*marks, *edges], dtype=torch.float64))).unique()


def design(request: Request, *, draws: int = 2000) -> FilterDesign:
    """Design the filter.

    Raises:
        ValueError: the request cannot be met by a ladder; the message says what to change.
    """
    prototype = choose(request)
    ids, x = tensors([ideal_cells(request, prototype)])
    ladder = Ladder.of(ids, x, rl=request.rl / request.rs)
    w = frequencies(request)
    mask = mask_of(request, prototype, w[None])
    ideal = _version("ideal", ladder, request, w=w, mask=mask, draws=draws)
    standard = None
    if request.series is not None:
        scale = si_scale(ids, torch.tensor([request.f0], dtype=torch.float64), request.rs)
        curve = decibels(power(ladder, w)[0])
        found = snap_circuits(ladder, Target(curve, w[None]), mask=mask, scale=scale, series=request.series)
        snapped = ladder.with_values(found.x)
        standard = _version("standard", snapped, request, w=w, mask=mask, draws=draws)
    return FilterDesign(request, prototype, w, mask, ideal, standard)


def _version(
    name: Literal["ideal", "standard"], ladder: Ladder, request: Request, *, w: Tensor, mask: Mask, draws: int
) -> Version:
    curve = decibels(power(ladder, w)[0])
    low, high = mask.shortfall(curve)
    plan = Tolerance(request.tolerance, most=draws, first=min(200, draws))

    def made(loss: Loss | None) -> Yield:
        generator = torch.Generator().manual_seed(request.seed)
        return monte_carlo(ladder, w, demands=Demands(mask), plan=plan, generator=generator, loss=loss)

    lossy = made(request.loss) if request.loss is not None else None
    return Version(name, ladder, bool(mask.passes(curve)[0]), float((low + high).max()), made(None), lossy)


def sensitivities(found: FilterDesign) -> list[tuple[str, float]]:
    """By part, the largest change of |S21| in the passband, in dB, for one percent of its value."""
    from quadrat_studies.bilevel.ladder import DB, sensitivity

    ladder = found.best.ladder
    _, slopes = sensitivity(ladder, found.w)
    inside = ~found.mask.low[0].isnan()
    return [
        (part.name, float(slopes[0, part.cell, part.slot, inside].abs().max()) * DB * 0.01)
        for part in si_parts(found.request, ladder)
    ]


def describe(found: Sequence[tuple[str, Yield]]) -> str:
    """Yields in words."""
    lines = []
    for name, result in found:
        why = ", ".join(f"{reason} {count / result.draws:.0%}" for reason, count in result.reasons.items())
        lines.append(
            f"yield {name}: {result.share:.1%}  [{result.low:.1%}, {result.high:.1%}]  of {result.draws} draws"
            + (f"  (fails: {why})" if why else "")
        )
    return "\n".join(lines)
