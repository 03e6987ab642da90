"""Training metrics over a window of steps, by definitions that say what they seem to say.

Sums and counts only, as one vector: cheap at every step, added up over processes when a row is written, and part of a
checkpoint. The definitions of the repository behind seed 002 are kept under ``origin/``.

* ``train/accuracy``, ``exact_accuracy``, ``q_halt_accuracy``, ``steps``: over rows that halted in the window. Not there
  when none did. The origin took all rows in flight, in which unsolved ones crowd, and the mean index for ``steps``.
* ``train/exact_accuracy_recent``: the same over the last 100 steps, whatever the window of a row.
* ``train/encoder_cross_sample_var``: variance between rows relative to the mean square; the origin's is absolute.
* ``train/encoder_token_std``: between the tokens of a row; the origin's is between rows.
* ``train/encoder_gradient_coverage``: share of rows whose loss reached the encoder, over one full cycle of halting.
* ``grad/..``: before clipping, summed over processes; the origin's are after.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from quadrat_studies.etrm import ranks
from quadrat_studies.etrm.losses import Rows

ROW_SUMS = (
    *("rows", "lm", "q", "kl", "flight_accuracy", "flight_exact", "flight_q", "flight_steps"),
    *("halted", "accuracy", "exact", "q_right", "steps", "halted_at_limit"),
)
"""Added up over processes."""
STEP_SUMS = ("updates", "grad_encoder", "grad_inner", "grad_total", "clipped_encoder", "clipped_inner", "clipped_total")
"""The same in every process."""


RECENT = 100


@final
class VitalSigns:
    """Sums since the last row, and the gradient coverage of the last cycle."""

    def __init__(self, *, cycle: int, device: str) -> None:
        self._rows = torch.zeros(len(ROW_SUMS), dtype=torch.float64, device=device)
        self._steps = torch.zeros(len(STEP_SUMS), dtype=torch.float64, device=device)
        # The last ``cycle`` steps: rows reached, rows there, in a ring.
        self._reached = torch.zeros(cycle, 2, dtype=torch.float64, device=device)
        # The last 100 steps: rows that halted, and those of them that were exact.
        self._recent = torch.zeros(RECENT, 2, dtype=torch.float64, device=device)

    def rows(self, rows: Rows, *, step: int, steps: Tensor, halted: Tensor, divergence: Tensor | None) -> None:
        """Take in one step's rows."""
        counted = rows.counted.double()
        out = halted.double() * counted
        scored = torch.stack((rows.accuracy.double(), rows.exact.double(), rows.halt_right.double(), steps.double()))
        losses = torch.stack((counted, rows.prediction.detach().double(), rows.halting.detach().double()))
        kl = counted.new_zeros(1) if divergence is None else divergence.detach().double().sum()[None]
        self._recent[step % RECENT] = torch.stack((out.sum(), (out * rows.exact).sum()))
        limit = (out * (steps == len(self._reached))).sum()[None]
        self._rows += torch.cat((losses.sum(1), kl, scored @ counted, out.sum()[None], scored @ out, limit))

    def gradients(self, norms: Tensor, factor: Tensor) -> None:
        """Take in one update's norms before clipping, and the factor that clipping applied."""
        self._steps += torch.cat((torch.ones_like(norms[:1]), norms, norms * factor))

    def reached(self, step: int, *, rows: Tensor, of: int) -> None:
        """How many of ``of`` rows sent a gradient to the encoder at update ``step`` (counted from 0)."""
        self._reached[step % len(self._reached), 0] = rows
        self._reached[step % len(self._reached), 1] = of

    def take(self, *, kl_weight: float | None) -> dict[str, float]:
        """The row's values, and begin a new window."""
        together = ranks.sum_over_ranks(torch.cat((self._rows, self._reached.sum(0), self._recent.sum(0))))
        sums = dict(zip((*ROW_SUMS, "reached", "reachable", "recent", "recent_exact"), together.tolist(), strict=True))
        sums |= dict(zip(STEP_SUMS, self._steps.tolist(), strict=True))
        self._rows.zero_()
        self._steps.zero_()
        values = _losses(sums, kl_weight) | _halted(sums) | _gradients(sums)
        if sums["reachable"]:
            values["train/encoder_gradient_coverage"] = sums["reached"] / sums["reachable"]
        if sums["recent"]:
            values["train/exact_accuracy_recent"] = sums["recent_exact"] / sums["recent"]
        return values

    def state(self) -> dict[str, Any]:
        """For a checkpoint: the sums of all processes together."""
        return {
            "rows": ranks.sum_over_ranks(self._rows),
            "steps": self._steps,
            "reached": ranks.sum_over_ranks(self._reached),
            "recent": ranks.sum_over_ranks(self._recent),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state`` returned; the first process keeps the sums of all."""
        share = 1.0 if ranks.rank() == 0 else 0.0
        self._rows.copy_(state["rows"] * share)
        self._reached.copy_(state["reached"] * share)
        self._recent.copy_(state["recent"] * share)
        self._steps.copy_(state["steps"])


def _losses(sums: Mapping[str, float], kl_weight: float | None) -> dict[str, float]:
    rows = max(sums["rows"], 1.0)
    values = {
        "train/count": sums["rows"] / max(sums["updates"], 1.0),
        "train/lm_loss": sums["lm"] / rows,
        "train/q_halt_loss": sums["q"] / rows,
    }
    if kl_weight is not None:
        values["train/kl_loss"] = sums["kl"] / rows
        values["train/kl_loss_weighted"] = kl_weight * sums["kl"] / rows
    return values


def _halted(sums: Mapping[str, float]) -> dict[str, float]:
    rows, halted = max(sums["rows"], 1.0), sums["halted"]
    values = {
        "train/halted": halted,
        "origin/train/accuracy": sums["flight_accuracy"] / rows,
        "origin/train/exact_accuracy": sums["flight_exact"] / rows,
        "origin/train/q_halt_accuracy": sums["flight_q"] / rows,
        "origin/train/steps": sums["flight_steps"] / rows,
    }
    if halted:
        values |= {
            "train/accuracy": sums["accuracy"] / halted,
            "train/exact_accuracy": sums["exact"] / halted,
            "train/q_halt_accuracy": sums["q_right"] / halted,
            "train/steps": sums["steps"] / halted,
            "train/halted_at_limit": sums["halted_at_limit"] / halted,
        }
    return values


def _gradients(sums: Mapping[str, float]) -> dict[str, float]:
    updates = max(sums["updates"], 1.0)
    values: dict[str, float] = {}
    for part in ("encoder", "inner", "total"):
        values[f"grad/{part}_norm"] = sums[f"grad_{part}"] / updates
        values[f"origin/grad/{part}_norm"] = sums[f"clipped_{part}"] / updates
    return values


def encoder_statistics(context: Tensor, groups: Tensor) -> dict[str, float]:
    """What contexts ``[B, T, D]`` look like, over all processes; ``groups`` ``[B]`` says whose they are."""
    c = ranks.gather_rows(context.detach().float())
    owners = ranks.gather_rows(groups)
    square = max(c.square().mean().item(), 1e-30)
    between = (c - c.mean(0)).square().mean().item()
    values = {
        "train/encoder_output_mean": c.mean().item(),
        "train/encoder_output_std": c.std().item() if c.numel() > 1 else 0.0,
        "train/encoder_output_norm": c.norm(dim=-1).mean().item(),
        "train/encoder_cross_sample_var": between / square,
        "train/encoder_token_std": c.std(1, correction=0).mean().item(),
        "origin/train/encoder_cross_sample_var": between,
    }
    if len(c) > 1:
        values["origin/train/encoder_token_std"] = c.std(0).mean().item()
    inside = [c[owners == group] for group in owners.unique() if int((owners == group).sum()) > 1]
    if inside:
        spread = sum((part - part.mean(0)).square().mean().item() for part in inside) / len(inside)
        values["train/encoder_within_group_var"] = spread / square
    return {name: value if math.isfinite(value) else math.nan for name, value in values.items()}
