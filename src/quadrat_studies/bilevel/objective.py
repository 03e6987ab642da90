"""The outer loss of a batch: labels, values, and the inner problem's error with what structure can learn from it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor
from torch.nn import functional

from quadrat_studies.bilevel import schedules
from quadrat_studies.bilevel.config import Config
from quadrat_studies.bilevel.ladder import Ladder
from quadrat_studies.bilevel.macros import MACROS
from quadrat_studies.bilevel.relaxation import (
    Gates,
    chosen_values,
    gumbel_gates,
    macro_ids,
    mixed_db,
    prune,
    query_asymmetry,
    transition_penalty,
    with_chosen,
)
from quadrat_studies.bilevel.solver import Solution, Target, Unroll, levenberg_marquardt, unrolled

RESONANCE_WEIGHT = 4.0
"""A resonator out of tune spoils a curve far more than a wrong impedance level."""
BETA = 0.3
GOOD_ENOUGH = 1.0
"""Inner solutions with a mean squared error under this, in dB^2, are worth learning from."""


@final
@dataclass(frozen=True, slots=True)
class Batch:
    """What the loss of a batch needs. ``columns`` (B, K) and ``x`` (B, K, 2) are labels, cut or padded to K."""

    rows: Tensor
    columns: Tensor
    x: Tensor
    curve: Tensor
    w: Tensor


@final
class SolutionCache:
    """The latest inner solutions by circuit and topology, the oldest given up first. They are where LM starts next."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._held: OrderedDict[tuple[int, ...], Tensor] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def start(self, rows: Tensor, choice: Tensor, *, x: Tensor) -> Tensor:
        """``x`` with what is known put in its place."""
        if not self._held:
            return x
        x = x.clone()
        for place, key in enumerate(self._keys(rows, choice)):
            known = self._held.get(key)
            if known is not None:
                x[place] = known.to(x.device)
        return x

    def keep(self, rows: Tensor, choice: Tensor, *, x: Tensor) -> None:
        """Remember solutions."""
        if not self.size:
            return
        for key, solution in zip(self._keys(rows, choice), x.cpu(), strict=True):
            self._held[key] = solution.clone()
            self._held.move_to_end(key)
        while len(self._held) > self.size:
            self._held.popitem(last=False)

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        if not self._held:
            return {}
        return {"keys": torch.tensor(list(self._held)), "x": torch.stack(list(self._held.values()))}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state`` returned."""
        self._held.clear()
        for key, x in zip(state["keys"].tolist() if state else [], state["x"] if state else [], strict=True):
            self._held[tuple(key)] = x.clone()

    @staticmethod
    def _keys(rows: Tensor, choice: Tensor) -> list[tuple[int, ...]]:
        return [(row, *cells) for row, cells in zip(rows.tolist(), choice.tolist(), strict=True)]


@final
class Objective:
    """The loss and its parts, as the config weighs them."""

    def __init__(self, config: Config, vocabulary: Sequence[int]) -> None:
        self.config, self.vocabulary = config, tuple(vocabulary)
        self.cache = SolutionCache(config.circuit_cache_size)

    def loss(
        self, logits: Tensor, values: Tensor, batch: Batch, *, step: int, total: int, queries: Tensor, core: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch and its unweighted parts."""
        config = self.config
        parts = {
            "macro_ce": functional.cross_entropy(logits.flatten(0, 1), batch.columns.flatten()),
            "value_loss": self._value_loss(values, batch),
        }
        found = schedules.alpha(step, total, config=config) * parts["macro_ce"]
        found = found + config.value_weight * parts["value_loss"]
        if config.len_weight:
            parts["length"] = (1 - logits.softmax(2)[:, :, -1]).mean()
            found = found + config.len_weight * parts["length"]
        if config.c_reg_weight:
            parts["transitions"] = transition_penalty(
                logits,
                vocabulary=self.vocabulary,
                skip_penalty=config.c_skip_penalty,
                redundant_penalty=config.c_redundant_penalty,
            )
            found = found + config.c_reg_weight * parts["transitions"]
        if config.sym_weight:
            parts["asymmetry"] = query_asymmetry(queries, core=core if config.sym_core_only else None)
            found = found + config.sym_weight * parts["asymmetry"]
        if schedules.physics_is_on(step, total, config=config):
            physics, more = self.physics(logits, values, batch, step=step, total=total)
            parts |= more
            found = found + config.phys_weight * physics
            if "distil" in more:
                found = found + config.distil_weight * more["distil"]
        return found, parts

    def _value_loss(self, values: Tensor, batch: Batch) -> Tensor:
        mine = chosen_values(values, batch.columns)
        return _distance(mine, batch.x.to(mine), macro_ids(batch.columns, self.vocabulary))

    # Physics -------------------------------------------------------------------------------------------------------

    def physics(
        self, logits: Tensor, values: Tensor, batch: Batch, *, step: int, total: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The inner problem's part of the loss, in float64; ``phys_loss`` and ``phys_soft`` are mean squared dB."""
        config = self.config
        gates = gumbel_gates(logits.double(), tau=schedules.tau(step, total, config=config))
        values = values.double().clamp(config.inner_raw_min, config.inner_raw_max)
        parts: dict[str, Tensor] = {}
        at = values
        if config.inner_solver == "lm":
            solution, choice = self.solved(gates, values, batch), gates.choice
            at = with_chosen(values.detach(), choice, replaced=solution.x)
            if config.distil_weight:
                good = solution.error < GOOD_ENOUGH
                mine = chosen_values(values, choice)
                parts["distil"] = _distance(mine[good], solution.x[good], macro_ids(choice[good], self.vocabulary))
        if config.ste_phys:
            hard = self.error(gates.hard, at, batch)
            keep = schedules.topk(step, total, config=config)
            soft = self.error(prune(gates.soft, keep), at, batch)
            parts |= {"phys_loss": hard.mean().detach(), "phys_soft": soft.mean().detach()}
            pull = self._scaled(soft)
            return self._scaled(hard) + config.ste_phys_weight * (pull - pull.detach()), parts
        used = prune(gates.soft, config.mix_topk) if config.matrix_mix else gates.through
        error = self.error(used, at, batch)
        return self._scaled(error), parts | {"phys_loss": error.mean().detach()}

    def solved(self, gates: Gates, values: Tensor, batch: Batch) -> Solution:
        """Inner optimum of the sampled topologies. By the envelope theorem nothing has to flow back through it."""
        config, choice = self.config, gates.choice
        start = self.cache.start(batch.rows, choice, x=chosen_values(values.detach(), choice))
        solution = levenberg_marquardt(
            Ladder.of(macro_ids(choice, self.vocabulary), start),
            Target(batch.curve, batch.w, config.floor_db),
            iterations=config.lm_iterations,
            bounds=(config.inner_raw_min, config.inner_raw_max),
        )
        self.cache.keep(batch.rows, choice, x=solution.x)
        return solution

    def error(self, gates: Tensor, values: Tensor, batch: Batch) -> Tensor:
        """Mean squared dB error (B,) of relaxed circuits, after the unrolled inner loop where it is on."""
        config = self.config
        wanted = batch.curve.clamp_min(config.floor_db)

        def loss(x: Tensor) -> Tensor:
            curve = mixed_db(x, gates, batch.w, vocabulary=self.vocabulary, floor_db=config.floor_db)
            return (curve - wanted).square().mean(1)

        if config.inner_solver == "lm" or not config.use_unroll:
            return loss(values)
        plan = Unroll(
            config.unroll_steps,
            config.inner_lr,
            config.inner_max_step,
            config.inner_raw_min,
            config.inner_raw_max,
            config.unroll_create_graph,
            config.inner_nan_backoff,
            config.inner_nan_tries,
        )
        return unrolled(loss, values, plan=plan)[1]

    def _scaled(self, error: Tensor) -> Tensor:
        return (error.log1p() if self.config.phys_scale == "log" else error).mean()


def _distance(mine: Tensor, wanted: Tensor, ids: Tensor) -> Tensor:
    """Smooth-L1 of values (B, K, 2) by impedance level and, more strictly, resonance; over slots in use."""
    if not len(mine):
        return mine.sum()
    slots = torch.tensor([len(macro.slots) for macro in MACROS] + [0], device=ids.device)[ids]
    gap = mine - wanted
    pair = slots == 2
    level = torch.where(pair, (gap[..., 0] - gap[..., 1]) / 2, gap[..., 0])
    resonance = RESONANCE_WEIGHT * (gap[..., 0] + gap[..., 1]) / 2
    zero = torch.zeros_like(level)
    total = functional.smooth_l1_loss(torch.where(slots > 0, level, zero), zero, beta=BETA, reduction="sum")
    total = total + functional.smooth_l1_loss(torch.where(pair, resonance, zero), zero, beta=BETA, reduction="sum")
    return total / slots.sum().clamp_min(1)
