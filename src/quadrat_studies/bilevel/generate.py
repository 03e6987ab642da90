"""Draw circuits: textbook filters and ladders of no textbook, in cells of a split that keeps combinations unseen."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, final

import numpy as np
import torch

from quadrat_studies.bilevel.bands import TYPES, FilterType, grid, omega, transform
from quadrat_studies.bilevel.config import LARGEST_K, DataConfig
from quadrat_studies.bilevel.ladder import Ladder, decibels, power
from quadrat_studies.bilevel.macros import SER_L, SER_TANK, SHUNT_NOTCH, Cell, canonical, dual
from quadrat_studies.bilevel.masks import Specs
from quadrat_studies.bilevel.prototypes import Prototype
from quadrat_studies.bilevel.samples import FAMILIES, Samples, si_scale, tensors
from quadrat_studies.bilevel.standard import snap
from quadrat_studies.bilevel.synthesis import synthesise

BUCKETS = 40
"""Steps of bandwidth (or edge) within its range. Narrow ones: a wide gap would teach a network which order is missing
at which bandwidth, and it would then be tested on exactly what it has learned not to say."""
HELD_OUT_OF = 5
"""One cell of this many is for tests."""
STOP_EDGES = {"lowpass": 5.0, "highpass": 5.0, "bandpass": 3.0, "bandstop": 3.0}
"""The farthest stop edge that is asked for: inside every grid, and a few points wide in a bandstop."""
LEVELS = 12
"""Edge attenuations that elliptic and Bessel filters come with: their synthesis is worth keeping."""
MOST_ROUNDS = 200


@final
@dataclass(frozen=True, slots=True)
class Draw:
    """One filter as drawn: lowpass cells, and what is asked of it."""

    kind: FilterType
    family: str
    order: int
    d: float
    pass_db: float
    stop_edge: float
    stop_db: float
    cells: tuple[Cell, ...]


def stream(seed: int, name: str) -> np.random.Generator:
    """A random stream of its own for every pair of seed and name."""
    return np.random.default_rng(list(hashlib.sha256(f"{seed}/{name}".encode()).digest()))


def draw(data: DataConfig, split: str, *, count: int) -> Samples:
    """``count`` circuits of a split; the same ones whatever other splits hold, and the first of a larger ``count``.

    Raises:
        ValueError: the ranges leave no cell to this split.
    """
    rng = stream(data.seed, split)
    found: list[Draw] = []
    for _ in range(MOST_ROUNDS):
        wanted = [about for about in _abouts(data, rng) if _belongs(data, about, split)]
        found += _passing([_built(data, about) for about in wanted], points=data.points)
        if len(found) >= count:
            return _samples(data, found[:count], split)
    raise ValueError(
        f"only {len(found)} of {count} circuits for the split {split!r} were found: widen data.orders or "
        "data.bandwidths, or take data.split iid"
    )


def cell(kind: str, *, family: str, order: int, place: float) -> tuple[str, str, int, int]:
    """Which cell of the split a circuit falls into; ``place`` is its bandwidth or edge within its range, 0 to 1."""
    return kind, family, order, min(int(place * BUCKETS), BUCKETS - 1)


def is_held_out(which: tuple[str, str, int, int]) -> bool:
    """Whether a cell is for tests: every fifth one, in turn through orders, buckets, types and families."""
    kind, family, order, bucket = which
    turn = order + 2 * bucket + TYPES.index(kind) + 3 * FAMILIES.index(family)
    return turn % HELD_OUT_OF == 0


@final
@dataclass(frozen=True, slots=True)
class _About:
    """What is drawn before anything is synthesised. ``place`` is the edge attenuation within its range, 0 to 1."""

    kind: FilterType
    family: str
    order: int
    d: float
    place: float
    stop_db: float
    noise: np.ndarray


def _abouts(data: DataConfig, rng: np.random.Generator) -> list[_About]:
    weights = {name: weight for name, weight in data.families.items() if weight > 0}
    names, bounds = list(weights), np.cumsum(list(weights.values()))
    uniform = rng.uniform(size=(256, 6))
    noise = rng.standard_normal((256, 9)), rng.uniform(size=(256, 9, 2))
    found: list[_About] = []
    for row, (u_family, u_kind, u_order, u_d, u_place, u_stop) in enumerate(uniform.tolist()):
        family = names[int(np.searchsorted(bounds, u_family * bounds[-1], side="right"))]
        kind: FilterType = data.types[int(u_kind * len(data.types))]
        banded = kind in ("bandpass", "bandstop")
        order = _pick(_orders(data, family, banded), u_order)
        d = data.bandwidths[0] * (data.bandwidths[1] / data.bandwidths[0]) ** u_d if banded else 1.0
        stepped = family in ("elliptic", "bessel")
        place = (math.floor(u_place * LEVELS) + 0.5) / LEVELS if stepped else u_place
        stop_db = _pick((30.0, 40.0, 50.0, 60.0), u_stop)
        mine = np.concatenate((noise[0][row][:, None], noise[1][row]), 1)
        found.append(_About(kind, family, order, d, place, stop_db, mine))
    return found


def _pick(choices: Sequence[Any], u: float) -> Any:
    return choices[int(u * len(choices))]


def _orders(data: DataConfig, family: str, banded: bool) -> list[int]:
    low, high = data.orders
    if family in ("butterworth", "bessel"):
        return list(range(low, high + 1))
    # Every resonator of an elliptic lowpass becomes two in bands; beyond order 5 that is more cells than a model has.
    high = min(high, 5) if family == "elliptic" and banded else high
    return [n for n in range(low, high + 1) if n % 2]


def _belongs(data: DataConfig, about: _About, split: str) -> bool:
    if data.split == "iid":
        return True
    place = about.place
    if about.kind in ("bandpass", "bandstop"):
        low, high = data.bandwidths
        place = math.log(about.d / low) / math.log(high / low) if high > low else 0.0
    return is_held_out(cell(about.kind, family=about.family, order=about.order, place=place)) == (split == "test")


def _built(data: DataConfig, about: _About) -> Draw:
    family, kind, d = about.family, about.kind, about.d
    low, high = data.edges_db if family in ("butterworth", "bessel") else data.ripples_db
    edge_db = low + about.place * (high - low)
    base: Any = "chebyshev" if family == "random" else family
    prototype = Prototype(
        base, about.order, edge_db, about.stop_db if family == "elliptic" else max(data.stop_db, 40.0)
    )
    cells = synthesise(prototype).cells
    if family == "random":
        banded = kind in ("bandpass", "bandstop")
        return Draw(kind, family, about.order, d, edge_db, 0.0, 0.0, tuple(_disturbed(cells, about.noise, banded)))
    stop_db, stop_edge = _stopband(prototype, data.stop_db, STOP_EDGES[kind])
    return Draw(kind, family, about.order, d, edge_db, stop_edge, stop_db, cells)


@lru_cache(maxsize=4096)
def _slow_edge(prototype: Prototype, stop_db: float) -> float:
    return prototype.stop_edge(stop_db)


def _stopband(prototype: Prototype, wanted: float, farthest: float) -> tuple[float, float]:
    if prototype.family == "elliptic":
        stop_db = min(wanted, prototype.stop_db)
        return stop_db, _slow_edge(prototype, stop_db)
    reached = float(prototype.attenuation_db(np.array(farthest)))
    if reached < wanted:
        return reached, farthest
    return wanted, (_slow_edge if prototype.family == "bessel" else Prototype.stop_edge)(prototype, wanted)


def _disturbed(cells: Sequence[Cell], noise: np.ndarray, banded: bool) -> list[Cell]:
    """Values off by a few percent and, where each part stays one cell, transmission zeros added to some of them."""
    found: list[Cell] = []
    for (macro, values), (normal, u_zero, u_plain) in zip(cells, noise.tolist(), strict=False):
        g = values[0] * math.exp(0.08 * normal)
        zero = 1.8 + 2.2 * u_zero
        if banded or u_plain < 0.6:
            found.append((macro, (g,)))
        elif macro == SER_L:
            found.append((SER_TANK, (g, 1 / (g * zero**2))))
        else:
            found.append((SHUNT_NOTCH, (1 / (g * zero**2), g)))
    return found


def _passing(found: list[Draw], *, points: int) -> list[Draw]:
    """Ladders of no textbook get the mask they meet; those that are no useful filter are dropped."""
    kept: dict[int, Draw] = {}
    for kind in TYPES:
        rows = [d for d in found if d.family == "random" and d.kind == kind]
        if not rows:
            continue
        widths = torch.tensor([d.d for d in rows], dtype=torch.float64)
        # Dense, and the very points that masks are tested at: a notch may be narrower than the dense grid's step.
        w = torch.cat((grid(kind, d=widths, points=401), grid(kind, d=widths, points=points)), 1)
        seen = omega(kind, w, d=widths[:, None])
        ids, x = tensors([transform(d.cells, kind, d=d.d) for d in rows])
        loss = -decibels(power(Ladder.of(ids, x), w)[0])
        farthest = STOP_EDGES[kind]
        worst = torch.where(seen <= 1.001, loss, 0.0).amax(1).tolist()
        least = torch.where(seen >= farthest * 0.999, loss, 240.0).amin(1).tolist()
        kept |= {
            id(d): Draw(d.kind, d.family, d.order, d.d, worst[i] + 0.01, farthest, least[i] - 0.05, d.cells)
            for i, d in enumerate(rows)
            if worst[i] < 2.5 and least[i] > 15
        }
    return [kept.get(id(d), d) for d in found if d.family != "random" or id(d) in kept]


def _samples(data: DataConfig, found: Sequence[Draw], split: str) -> Samples:
    # A stream for each purpose, read circuit by circuit: a smaller split is the beginning of a larger one.
    coins, places, errors = (stream(data.seed, f"{split}/{name}") for name in ("form", "centre", "parts"))
    heads = coins.integers(2, size=len(found)).tolist()
    circuits = [_labelled(data, transform(d.cells, d.kind, d=d.d), head) for d, head in zip(found, heads, strict=True)]
    ids, x = tensors(circuits)
    centres = np.exp(places.uniform(*np.log(data.centres_hz), size=len(found)))
    fc = torch.from_numpy(centres)
    scale = si_scale(ids, fc, data.z0)
    spread = errors.uniform(-data.tolerance, data.tolerance, size=(len(found), LARGEST_K, 2))[:, : x.shape[1]]
    bought = (snap(x.exp() * scale, data.series) * (1 + torch.from_numpy(spread)) / scale).log()
    bought = torch.where(Ladder.of(ids, x).used(), bought, 0.0)

    def column(name: str) -> torch.Tensor:
        return torch.tensor([getattr(d, name) for d in found], dtype=torch.float64)

    kinds = torch.tensor([TYPES.index(d.kind) for d in found])
    specs = Specs(
        kinds, column("d"), column("pass_db"), column("stop_edge"), column("stop_db"), torch.zeros(len(found)).double()
    )
    families = torch.tensor([FAMILIES.index(d.family) for d in found])
    orders = torch.tensor([d.order for d in found])
    return Samples(ids, x, bought, specs, fc, orders, families, data)


def _labelled(data: DataConfig, cells: list[Cell], head: int) -> list[Cell]:
    cells = canonical(cells)
    turned = {"t": False, "pi": True, "random": bool(head)}[data.topology]
    return dual(cells) if turned else cells
