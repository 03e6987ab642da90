"""Numbers that change over a run: learning rate, temperature, weight of the labels, breadth of the soft mix."""

from __future__ import annotations

import math

from quadrat_studies.bilevel.config import Config

ONECYCLE_RISE = 0.2
ONECYCLE_START, ONECYCLE_END = 0.04, 1e-3


def decayed(step: int, total: int, *, start: float, end: float, share: float) -> float:
    """From ``start`` linearly to ``end`` over the first ``share`` of ``total`` steps, ``end`` from there on."""
    span = max(1, int(total * share))
    return end + (start - end) * max(0.0, 1 - step / span)


def tau(step: int, total: int, *, config: Config) -> float:
    """The Gumbel temperature of update ``step`` (from 0)."""
    end = config.gumbel_tau if config.gumbel_tau_min is None else config.gumbel_tau_min
    return decayed(step, total, start=config.gumbel_tau, end=end, share=config.gumbel_tau_decay_frac)


def alpha(step: int, total: int, *, config: Config) -> float:
    """The weight of the labels' cross-entropy."""
    return decayed(step, total, start=config.alpha_start, end=config.alpha_min, share=config.alpha_decay_frac)


def topk(step: int, total: int, *, config: Config) -> int:
    """How many gates of a cell the soft path keeps: ``ste_topk``, and in the last share linearly down to 1."""
    share = config.ste_topk_anneal_frac
    begin = total * (1 - share)
    if step < begin or share == 0:
        return config.ste_topk
    progress = min(1.0, (step - begin) / max(total * share - 1, 1e-9))
    return max(1, round(config.ste_topk + (1 - config.ste_topk) * progress))


def learning_rate(step: int, total: int, *, config: Config) -> float:
    """The rate of update ``step`` (from 0): constant, or one cycle of a rise and a half cosine down."""
    if config.lr_schedule == "constant":
        return config.lr
    rise = max(1.0, ONECYCLE_RISE * total)
    if step < rise:
        share = 0.5 * (1 - math.cos(math.pi * step / rise))
        return config.lr * (ONECYCLE_START + (1 - ONECYCLE_START) * share)
    share = 0.5 * (1 + math.cos(math.pi * (step - rise) / max(total - rise, 1.0)))
    return config.lr * (ONECYCLE_END + (1 - ONECYCLE_END) * share)


def physics_is_on(step: int, total: int, *, config: Config) -> bool:
    """Whether update ``step`` takes the inner problem into account."""
    return config.phys_weight > 0 and step >= config.phys_start * total
