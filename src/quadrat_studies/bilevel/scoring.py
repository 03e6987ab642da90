"""Measure a finished network on a split: decode, refine, snap, and let it be manufactured."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from quadrat_studies.bilevel import metrics
from quadrat_studies.bilevel.baselines import MATCHED, Answer, closed_form_order, enumerate_orders, older_refiner
from quadrat_studies.bilevel.config import Config
from quadrat_studies.bilevel.decoding import not_empty, packed, per_cell, transitions, viterbi
from quadrat_studies.bilevel.inputs import Waves
from quadrat_studies.bilevel.ladder import Ladder, decibels, power
from quadrat_studies.bilevel.macros import MACROS, SKIP
from quadrat_studies.bilevel.model import Network
from quadrat_studies.bilevel.relaxation import chosen_values, macro_ids
from quadrat_studies.bilevel.samples import Samples, si_scale
from quadrat_studies.bilevel.snapping import snap_circuits
from quadrat_studies.bilevel.solver import Target, levenberg_marquardt
from quadrat_studies.bilevel.tolerance import Demands, Tolerance, monte_carlo

CHUNK = 256


@final
@dataclass(frozen=True, slots=True)
class Decoded:
    """Candidates, best first: ids (N, k, K) and values (N, k, K, 2); ``raw`` (N, K) is the first before any repair."""

    raw: Tensor
    ids: Tensor
    x: Tensor


@final
@dataclass(frozen=True, slots=True)
class Design:
    """What came out: the first candidate as decoded, and the best one after refining."""

    raw: Tensor
    pre_ids: Tensor
    pre_x: Tensor
    ids: Tensor
    x: Tensor
    converged: Tensor


@torch.no_grad()
def decode(network: Network, waves: Waves, samples: Samples, *, config: Config) -> Decoded:
    """Let the network propose candidates for every circuit of a split."""
    network.eval()
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for rows in torch.arange(len(samples)).split(CHUNK):
        inputs = waves.channels(rows).to(samples.ids.device)
        logits, values = network(inputs, samples.specs.kind[rows], samples.fc[rows].log10())
        raw, columns = candidates(logits.double(), network.vocabulary, config=config)
        count = columns.shape[1]
        flat = columns.flatten(0, 1)
        x = chosen_values(values.double().repeat_interleave(count, 0), flat)
        x = x.clamp(config.inner_raw_min, config.inner_raw_max)
        ids, x = packed(macro_ids(flat, network.vocabulary), x)
        shape = (len(rows), count, columns.shape[2])
        parts.append((macro_ids(raw, network.vocabulary), ids.reshape(shape), x.reshape(*shape, 2)))
    raw, ids, x = (torch.cat(part) for part in zip(*parts, strict=True))
    return Decoded(raw, ids, x)


def candidates(logits: Tensor, vocabulary: Sequence[int], *, config: Config) -> tuple[Tensor, Tensor]:
    """The answer as decoded (B, K), and candidates (B, k, K) none of which is empty, as columns of the gates."""
    if not config.use_viterbi:
        raw = per_cell(logits)
        return raw, not_empty(raw, logits)[:, None]
    table = transitions(vocabulary, ladder_rule=config.ladder_rule)
    found, scores = viterbi(logits, table, k=config.k_best)
    # Where fewer sequences exist than asked for, the first one stands in.
    found = torch.where(scores.isfinite()[:, :, None], found, found[:, :1])
    return found[:, 0], found


def refine(decoded: Decoded, samples: Samples, *, config: Config) -> Design:
    """Fit candidates to the wanted curve, in order, until one matches; where none does the nearest is kept."""
    size, count, _ = decoded.ids.shape
    ids, x = decoded.ids[:, 0].clone(), decoded.x[:, 0].clone()
    error = torch.full((size,), torch.inf, dtype=torch.float64)
    converged = torch.zeros(size, dtype=torch.bool)
    for rank in range(count):
        rows = (error > MATCHED).nonzero().flatten()
        if not len(rows):
            break
        found = levenberg_marquardt(
            Ladder.of(decoded.ids[rows, rank], decoded.x[rows, rank]),
            Target(samples.ideal[0][rows], samples.w[rows], config.floor_db),
            iterations=config.refine_steps,
            bounds=(config.inner_raw_min, config.inner_raw_max),
            tolerance=1e-6,
        )
        better = found.error < error[rows]
        kept = rows[better]
        ids[kept], x[kept] = decoded.ids[kept, rank], found.x[better]
        error[kept], converged[kept] = found.error[better], found.converged[better]
    return Design(decoded.raw, decoded.ids[:, 0], decoded.x[:, 0], ids, x, converged)


def measure(network: Network, samples: Samples, *, train: Samples, config: Config, seed: int) -> Measured:
    """All metrics of a network on a split, the baselines beside them, and a row for each design."""
    waves = Waves(samples, config, seed=seed)
    label = _label(samples, network.k_max)
    clock = time.process_time()
    decoded = decode(network, waves, samples, config=config)
    decoded_seconds = time.process_time() - clock
    design = refine(decoded, samples, config=config)
    seconds = time.process_time() - clock
    pre, post = (
        decibels(power(Ladder.of(i, x), samples.w)[0])
        for i, x in ((design.pre_ids, design.pre_x), (design.ids, design.x))
    )
    mask = samples.mask(margin=config.mask_margin_db)
    kinds = samples.kind_names()
    passed = {name: mask.passes(curve) for name, curve in (("pre", pre), ("post", post), ("oracle", samples.ideal[0]))}
    values = metrics.structure(_width(design.raw, label.shape[1]), label)
    values["seq_equiv_post"] = metrics.structure(_width(design.ids, label.shape[1]), label)["seq_equiv"]
    for name, flags in passed.items():
        values[f"spec_pass_{name}"] = values[f"yield_{name}"] = metrics.passes(flags, mask.constrained())
    for name, curve in (("pre", pre), ("post", post)):
        values |= _errors(curve, samples.ideal[0], name, floor_db=config.floor_db)
    values["phys_loss"] = values["mse_pre"]
    values["converged"] = float(design.converged.double().mean())
    values |= metrics.by_type(passed["post"], kinds, "spec_pass_post")
    exact = (_width(design.raw, label.shape[1]) == label).all(1)
    equal = exact | (_width(design.raw, label.shape[1]) == metrics.dual_ids(label)).all(1)
    values |= metrics.by_type(equal, kinds, "seq_equiv")
    train_label = _width(train.ids, label.shape[1])
    values |= metrics.trivial(label, samples.specs.kind, train_label=train_label, train_kinds=train.specs.kind)
    costs = {
        "designs": len(samples),
        "cpu_seconds_per_design": seconds / len(samples),
        "cpu_seconds_per_decoding": decoded_seconds / len(samples),
    }
    rows = _rows(design, samples, passed["post"], equal)
    return Measured(values, costs, rows, design)


@final
@dataclass(frozen=True, slots=True)
class Measured:
    """Metrics, costs that only a clock can tell, a table of designs, and the designs themselves."""

    values: dict[str, float]
    costs: dict[str, Any]
    rows: list[dict[str, Any]]
    design: Design


def measure_baselines(design: Design, samples: Samples, *, config: Config) -> tuple[dict[str, float], dict[str, Any]]:
    """The formula, enumeration with LM, and the older refiner on the network's own proposals."""
    label = _label(samples, 1)
    mask = samples.mask(margin=config.mask_margin_db)
    values: dict[str, float] = {}
    costs: dict[str, Any] = {}

    def judge(name: str, answer: Answer, seconds: float) -> None:
        curve = decibels(power(Ladder.of(answer.ids, answer.x), samples.w)[0])
        both = max(answer.ids.shape[1], label.shape[1])
        found = metrics.structure(_width(answer.ids, both), _width(label, both))
        for key in ("seq_exact", "seq_equiv", "len_exact", "macro_acc"):
            values[f"baseline/{name}_{key}"] = found[key]
        values[f"baseline/{name}_spec_pass"] = metrics.passes(mask.passes(curve), mask.constrained())
        values.update(metrics.by_type(mask.passes(curve), samples.kind_names(), f"baseline/{name}_spec_pass"))
        costs[f"{name}_cpu_seconds_per_design"] = seconds / len(samples)

    width = max(label.shape[1], 8)
    for name, make in (("formula", closed_form_order), ("enumerate", enumerate_orders)):
        clock = time.process_time()
        answer = make(samples, k=width)
        judge(name, answer, time.process_time() - clock)
    clock = time.process_time()
    target = Target(samples.ideal[0], samples.w, config.floor_db)
    older = older_refiner(Ladder.of(design.pre_ids, design.pre_x), target, mask=mask)
    judge("older_refiner", Answer(design.pre_ids, older.x, older.error), time.process_time() - clock)
    return values, costs


def measure_manufacture(design: Design, samples: Samples, *, config: Config, seed: int) -> dict[str, float]:
    """Standard values and Monte Carlo yield of the first ``snap_samples`` designs, with what limits them.

    ``mc_yield`` varies ideal standard parts by their tolerance; ``mc_yield_q`` adds finite Q. Intervals are bootstraps
    over designs.
    """
    size = min(config.snap_samples, len(samples))
    some, rows = samples.take(slice(0, size)), slice(0, size)
    ladder = Ladder.of(design.ids[rows], design.x[rows])
    mask = some.mask(margin=config.mask_margin_db)
    scale = si_scale(ladder.ids, some.fc, samples.data.z0)
    target = Target(some.ideal[0], some.w, config.floor_db)
    found = snap_circuits(ladder, target, mask=mask, scale=scale, series=samples.data.series)
    kinds = some.kind_names()
    values = {
        "spec_pass_rounded": float(found.naive_passes.double().mean()),
        "spec_pass_snapped": float(found.passes.double().mean()),
        **metrics.by_type(found.passes, kinds, "spec_pass_snapped"),
    }
    if not config.mc_max_draws:
        return values
    plan = Tolerance(samples.data.tolerance, first=min(200, config.mc_max_draws), most=config.mc_max_draws)
    for name, loss in (("mc_yield", None), ("mc_yield_q", samples.loss)):
        generator = torch.Generator().manual_seed(seed)
        snapped = ladder.with_values(found.x)
        results = [
            monte_carlo(
                snapped.take(slice(i, i + 1)),
                some.w[i],
                demands=Demands(mask.take(slice(i, i + 1))),
                plan=plan,
                generator=generator,
                loss=loss,
            )
            for i in range(size)
        ]
        shares = [result.share for result in results]
        low, high = metrics.interval(shares)
        values |= {name: sum(shares) / size, f"{name}_low": low, f"{name}_high": high}
        values |= metrics.by_type(torch.tensor(shares), kinds, name)
        for reason in ("passband", "stopband"):
            failing = sum(result.reasons.get(reason, 0) for result in results) / sum(r.draws for r in results)
            values[f"{name}_fails_{reason}"] = failing
    return values


def _errors(curve: Tensor, wanted: Tensor, name: str, *, floor_db: float) -> dict[str, float]:
    full, clamped = metrics.curve_errors(curve, wanted), metrics.curve_errors(curve, wanted, floor_db=floor_db)
    return {
        f"mse_{name}": float(full.mean()),
        f"mse_{name}_median": float(full.median()),
        f"mse_{name}_clamped": float(clamped.mean()),
        f"mse_{name}_clamped_median": float(clamped.median()),
    }


def _label(samples: Samples, k: int) -> Tensor:
    """Labels as wide as the longest circuit, and at least k."""
    used = int(samples.lengths.max())
    return _width(samples.ids[:, :used], max(k, used))


def _width(ids: Tensor, k: int) -> Tensor:
    """Cells (N, K) padded to k (a longer answer keeps its excess out of a comparison of k cells)."""
    if ids.shape[1] >= k:
        return ids[:, :k]
    return torch.cat((ids, torch.full((len(ids), k - ids.shape[1]), SKIP, dtype=ids.dtype, device=ids.device)), 1)


def _rows(design: Design, samples: Samples, passed: Tensor, equal: Tensor) -> list[dict[str, Any]]:
    kinds = samples.kind_names()
    return [
        {
            "row": i,
            "filter_type": kinds[i],
            "order": int(samples.order[i]),
            "fc_hz": float(samples.fc[i]),
            "label": [MACROS[m].token for m in samples.ids[i].tolist() if m != SKIP],
            "decoded": [MACROS[m].token for m in design.raw[i].tolist() if m != SKIP],
            "designed": [MACROS[m].token for m in design.ids[i].tolist() if m != SKIP],
            "equivalent": bool(equal[i]),
            "passes": bool(passed[i]),
        }
        for i in range(len(samples))
    ]
