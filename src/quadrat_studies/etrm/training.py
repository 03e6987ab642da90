"""The optimiser's loop of one run: refill, encode, one step of the decoder, loss, one average, one update."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, final

import torch
from torch import Tensor

from quadrat import Context
from quadrat_studies.etrm import ranks
from quadrat_studies.etrm.carry import Carry, exploration, halts, sampling_noise
from quadrat_studies.etrm.config import Config
from quadrat_studies.etrm.data import Tasks
from quadrat_studies.etrm.encoders import Encoded, Look
from quadrat_studies.etrm.grids import Augmentation
from quadrat_studies.etrm.items import Canvas, Stream, fixed_versions
from quadrat_studies.etrm.losses import score_rows
from quadrat_studies.etrm.model import Solver, build
from quadrat_studies.etrm.optimiser import AdamATan2, FlatWeights, learning_rate, sign_descent
from quadrat_studies.etrm.vital_signs import VitalSigns, encoder_statistics


@final
class Pool:
    """The tasks a run draws items from, and the versions of them that an embedding table knows."""

    def __init__(self, config: Config, tasks: Tasks) -> None:
        recipe, table = config.training, config.arch.conditioning == "embedding_table"
        extra = tasks.evaluation if table and recipe.embedding_eval_demos else ()
        self.tasks = (*tasks.train, *extra)
        self.demo_only = len(extra)
        versions = recipe.embedding_augmentations + 1
        self.versions: Sequence[Sequence[Augmentation]] = (
            fixed_versions(self.tasks, versions, seed=config.data.seed) if table else ()
        )

    @property
    def puzzles(self) -> int:
        """Rows of the embedding table."""
        return sum(len(versions) for versions in self.versions)


@final
class Training:
    """A solver in training. ``step`` counts updates; there is one for every batch."""

    def __init__(self, config: Config, context: Context, *, tasks: Tasks) -> None:
        self.config, self.recipe, self.arch = config, config.training, config.arch
        self.seed, self.device = context.seed, context.device
        self.pool = Pool(config, tasks)
        side = config.data.canvas
        self.canvas = Canvas(side, self.recipe.max_demos)
        solver = build(self.arch, side=side, seed=context.seed, puzzles=self.pool.puzzles)
        self.solver: Solver = solver.to(context.device)
        self.weights = FlatWeights(self.solver)
        self.optimiser = AdamATan2(self.weights, self.recipe)
        stream = Stream(
            self.pool.tasks,
            self.canvas,
            recipe=self.recipe,
            seed=context.seed,
            versions=self.pool.versions,
            demo_only=self.pool.demo_only,
        )
        slots = ranks.shard(self.recipe.global_batch_size)
        self.carry = Carry(self.solver, stream, slots=slots, device=context.device)
        self.signs = VitalSigns(cycle=self.arch.halt_max_steps, device=context.device)
        self.step = 0
        self.worked = (0, 0.0)  # steps since the last row, and their seconds
        self.recent_exact = 0.0
        self.last_context = self.carry.context

    @property
    def frozen(self) -> bool:
        """Whether the next update leaves the decoder alone."""
        return self.step < self.recipe.freeze_decoder_steps

    def update(self) -> None:
        """One optimiser step."""
        began = time.perf_counter()
        new = self.carry.refill(self.solver)
        self.weights.gradient.zero_()
        kind = torch.device(self.device).type
        with torch.autocast(kind, torch.bfloat16, enabled=self.recipe.precision == "bfloat16"):
            encoded, sent = self._context(new)
            answer = self.solver.inner(
                self.carry.states, context=encoded.context, inputs=self.carry.batch.inputs, cells=encoded.cells
            )
        rows = score_rows(answer, self.carry.batch.labels)
        # Each row weighs 1 / global batch in every term, the KL term included.
        loss = (rows.prediction + self.arch.halt_loss_weight * rows.halting).sum()
        if encoded.divergence is not None:
            loss = loss + self.arch.kl_weight * encoded.divergence.sum()
        (loss / self.recipe.global_batch_size).backward()
        self._apply(sent)
        self.carry.steps += 1
        self.carry.halted = self._halts(answer.halt.detach())
        self.carry.states = answer.states.detached()
        self.signs.rows(
            rows, step=self.step, steps=self.carry.steps, halted=self.carry.halted, divergence=encoded.divergence
        )
        self.last_context = encoded.context.detach()
        self.step += 1
        self.worked = (self.worked[0] + 1, self.worked[1] + time.perf_counter() - began)

    def _context(self, new: Tensor) -> tuple[Encoded, Tensor]:
        """Context of every row, and the tensor whose gradient tells which rows reach what made it."""
        batch = self.carry.batch
        if self.solver.table is not None:
            rows = self.solver.table.vectors[batch.puzzles].detach().requires_grad_()
            return Encoded(self.solver.table.spread(rows)), rows
        noise = sampling_noise(self.step, self.recipe.global_batch_size, width=self.arch.hidden_size, seed=self.seed)
        look = Look(batch.inputs, self.carry.encoder_state, noise[list(self.carry.slots)].to(self.device))
        if self.arch.context_mode == "cached":
            return self._cached(new, look)
        encoded = self.solver.encode(batch.demos, look)
        if encoded.state is not None:
            self.carry.encoder_state = encoded.state.detach()
        return encoded, _watched(encoded.context)

    def _cached(self, new: Tensor, look: Look) -> tuple[Encoded, Tensor]:
        """Encode new rows only; the others go on with what was kept, without a gradient."""
        if not new.any():
            cells = self.carry.cells if self.carry.cells.shape[1] else None
            return Encoded(self.carry.context, cells=cells), self.carry.context
        rows = new.nonzero()[:, 0]
        state, noise = (None if part is None else part[rows] for part in (look.state, look.noise))
        fresh = self.solver.encode(self.carry.batch.demos.rows(rows), Look(look.inputs[rows], state, noise))
        sent = _watched(fresh.context)
        context = self.carry.context.index_put((rows,), fresh.context.float())
        self.carry.context = context.detach()
        cells = None
        if fresh.cells is not None:
            cells = self.carry.cells.index_put((rows,), fresh.cells.float())
            self.carry.cells = cells.detach()
        return replace(fresh, context=context, cells=cells, state=None), sent

    def _apply(self, sent: Tensor) -> None:
        """Average over processes, measure, clip, update."""
        ranks.average_gradients(self.weights.gradient)
        norms = self.weights.norms()
        factor = self.weights.clip(self.recipe.grad_clip_norm, norms[2])
        self.signs.gradients(norms, factor)
        rate = learning_rate(self.step, self.recipe)
        self.optimiser.update(rate, freeze_inner=self.frozen)
        if self.solver.table is not None:
            assert sent.grad is not None
            ids, gradient = ranks.gather_rows(self.carry.batch.puzzles), ranks.gather_rows(sent.grad)
            decay, scale = self.recipe.embedding_weight_decay, rate / self.recipe.lr
            speed = self.recipe.embedding_lr * scale
            sign_descent(self.solver.table.vectors, ids, gradient=gradient, rate=speed, decay=decay)
            return
        reached = torch.zeros((), device=self.device)
        if sent.grad is not None and sent.grad_fn is not None:
            reached = sent.grad.flatten(1).ne(0).any(1).sum()
        self.signs.reached(self.step, rows=reached, of=len(self.carry.steps))

    def _halts(self, halt: Tensor) -> Tensor:
        chances, least = exploration(self.step, self.recipe.global_batch_size, arch=self.arch, seed=self.seed)
        mine = list(self.carry.slots)
        chances, least = chances[mine].to(self.device), least[mine].to(self.device)
        return halts(self.carry.steps, halt, arch=self.arch, chances=chances, least=least)

    def row(self) -> dict[str, float]:
        """The metrics of the window that ends here."""
        weight = self.arch.kl_weight if self.arch.encoder_type == "variational" and self.solver.encoder else None
        values = self.signs.take(kl_weight=weight)
        total = values["train/lm_loss"] + self.arch.halt_loss_weight * values["train/q_halt_loss"]
        values["train/loss"] = total + values.get("train/kl_loss_weighted", 0.0)
        values["train/lr"] = learning_rate(self.step - 1, self.recipe)
        self.recent_exact = values.get("train/exact_accuracy_recent", 0.0)
        if self.recipe.clock:
            steps, seconds = ranks.sum_over_ranks(
                torch.tensor(self.worked, dtype=torch.float64, device=self.device)
            ).tolist()
            values["time/steps_per_second"] = steps / max(seconds, 1e-9)
        self.worked = (0, 0.0)
        values["train/decoder_frozen"] = float(self.step <= self.recipe.freeze_decoder_steps)
        if self.solver.encoder is not None:
            values |= encoder_statistics(self.last_context, self.carry.batch.groups)
        else:
            for name in ("grad/encoder_norm", "origin/grad/encoder_norm"):
                del values[name]
        return values

    def state(self) -> dict[str, Any]:
        """All that the next step depends on."""
        return {
            "step": self.step,
            "arch": self.arch.model_dump(mode="json"),
            "side": self.config.data.canvas,
            "optimiser": self.optimiser.state(),
            "carry": self.carry.state(),
            "signs": self.signs.state(),
            "recent_exact": self.recent_exact,
            "buffers": {name: buffer for name, buffer in self.solver.state_dict().items() if name in self._buffers()},
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state`` returned."""
        self.step = int(state["step"])
        self.optimiser.load(state["optimiser"])
        self.carry.load(state["carry"])
        self.signs.load(state["signs"])
        self.recent_exact = float(state["recent_exact"])
        self.solver.load_state_dict(state["buffers"], strict=False)

    def _buffers(self) -> set[str]:
        return {name for name, _ in self.solver.named_buffers()}


def _watched(context: Tensor) -> Tensor:
    """The context with its gradient kept, where it has one."""
    if context.requires_grad:
        context.retain_grad()
    return context
