"""What goes on from step to step: each slot of the batch works at its item until it halts, then gets a new one.

A slot that goes on keeps its item, its labels and its states; only halted slots are filled anew. Everything a resumed
run needs of this is in ``Carry.state``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from quadrat_studies.etrm import ranks
from quadrat_studies.etrm.config import ArchConfig
from quadrat_studies.etrm.encoders import Demos
from quadrat_studies.etrm.items import Item, Stream
from quadrat_studies.etrm.model import Solver, States


@final
@dataclass(slots=True)
class Batch:
    """Items as tensors: tokens uint8, labels int64, ``[B, ...]``."""

    demos: Demos
    inputs: Tensor
    labels: Tensor
    groups: Tensor
    puzzles: Tensor

    @classmethod
    def of(cls, items: Sequence[Item], device: str) -> Batch:
        """Stack items."""

        def stack(name: str) -> Tensor:
            return torch.from_numpy(np.stack([getattr(item, name) for item in items])).to(device)

        counts = torch.tensor([item.demo_count for item in items], device=device)
        inputs = stack("demo_inputs")
        filled = torch.arange(inputs.shape[1], device=device) < counts[:, None]
        groups, puzzles = (
            torch.tensor([getattr(item, name) for item in items], device=device) for name in ("group", "puzzle")
        )
        return cls(Demos(inputs, stack("demo_outputs"), filled), stack("inputs"), stack("labels"), groups, puzzles)

    def put(self, rows: Tensor, other: Batch) -> None:
        """Overwrite some rows."""
        for name in ("inputs", "outputs", "filled"):
            getattr(self.demos, name)[rows] = getattr(other.demos, name)
        for name in ("inputs", "labels", "groups", "puzzles"):
            getattr(self, name)[rows] = getattr(other, name)

    def tensors(self) -> dict[str, Tensor]:
        """By name, for a checkpoint."""
        demos = {f"demo_{name}": getattr(self.demos, name) for name in ("inputs", "outputs", "filled")}
        return demos | {name: getattr(self, name) for name in ("inputs", "labels", "groups", "puzzles")}


@final
class Carry:
    """The slots of this process. All start halted, so the first step fills them all.

    Attributes:
        steps: how many steps each slot has worked at its item.
        halted: which slots are to be filled before the next step.
        drawn: how many items each slot has had.
        context, encoder_state: what an encoder's earlier call left, detached; zero for new rows.
    """

    def __init__(self, solver: Solver, stream: Stream, *, slots: range, device: str) -> None:
        self.slots, self._stream, self._device = slots, stream, device
        count, arch = len(slots), solver.arch
        self.steps = torch.zeros(count, dtype=torch.int64, device=device)
        self.halted = torch.ones(count, dtype=torch.bool, device=device)
        self.drawn = torch.zeros(count, dtype=torch.int64)
        self.states = States(*(s.clone() for s in (solver.inner.start(count).high, solver.inner.start(count).low)))
        self.context = torch.zeros(count, arch.puzzle_emb_len, arch.hidden_size, device=device)
        self.encoder_state = torch.zeros_like(self.context)
        cells = solver.inner.side**2 if arch.encoder_type == "cross_attention" else 0
        self.cells = torch.zeros(count, cells, arch.hidden_size, device=device)
        self.batch = Batch.of([stream.item(slot, 0) for slot in slots], device)

    def refill(self, solver: Solver) -> Tensor:
        """Give halted slots their next item and fresh states; which slots those were, ``[B]``."""
        new = self.halted.clone()
        chosen = new.nonzero()[:, 0].tolist()
        if chosen:
            items = [self._stream.item(self.slots[row], int(self.drawn[row])) for row in chosen]
            rows = torch.tensor(chosen, device=self._device)
            self.batch.put(rows, Batch.of(items, self._device))
            self.drawn[torch.tensor(chosen)] += 1
            self.steps[rows] = 0
            self.encoder_state[rows] = 0
            self.states = self.states.renewed(new, solver.inner.start(len(self.steps)))
        return new

    def state(self) -> dict[str, Any]:
        """For a checkpoint: the slots of all processes, so every one of them has to ask for it."""
        gathered = {name: ranks.gather_rows(tensor) for name, tensor in self._tensors().items()}
        return gathered | {"batch": {name: ranks.gather_rows(t) for name, t in self.batch.tensors().items()}}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back this process's slots of what ``state`` returned; the number of processes may have changed."""
        mine = slice(self.slots.start, self.slots.stop)
        for name, tensor in self.batch.tensors().items():
            tensor.copy_(state["batch"][name][mine])
        for name, tensor in self._tensors().items():
            tensor.copy_(state[name][mine])

    def _tensors(self) -> dict[str, Tensor]:
        names = ("steps", "halted", "drawn", "context", "encoder_state", "cells")
        return {name: getattr(self, name) for name in names} | {"high": self.states.high, "low": self.states.low}


def halts(steps: Tensor, halt: Tensor, *, arch: ArchConfig, chances: Tensor, least: Tensor) -> Tensor:
    """Which rows halt after this step of training: at the limit, or when they say so.

    Args:
        steps: ``[B]``, this step counted.
        halt: ``[B]`` halting logits.
        arch: ``halt_max_steps`` and ``halt_exploration_prob``.
        chances, least: ``[B]`` uniform numbers of 0 .. 1, and of 2 .. ``halt_max_steps``: where ``chances`` lies below
            the exploration probability a row goes on until it has done ``least`` steps.
    """
    willing = halt > 0
    explores = chances < arch.halt_exploration_prob
    return (steps >= arch.halt_max_steps) | (willing & ~(explores & (steps < least)))


def exploration(step: int, batch: int, *, arch: ArchConfig, seed: int) -> tuple[Tensor, Tensor]:
    """The ``chances`` and ``least`` of all slots of the global batch, from seed and step alone."""
    rng = np.random.default_rng([seed, 3, step])
    chances = rng.random(batch)
    least = rng.integers(min(2, arch.halt_max_steps), arch.halt_max_steps + 1, size=batch)
    return torch.from_numpy(chances), torch.from_numpy(least)


def sampling_noise(step: int, batch: int, *, width: int, seed: int) -> Tensor:
    """Standard normal numbers ``[batch, width]`` for encoders that sample, from seed and step alone."""
    return torch.from_numpy(np.random.default_rng([seed, 4, step]).standard_normal((batch, width), dtype=np.float32))
