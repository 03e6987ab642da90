"""The solver: a tiny recursive decoder whose context is made of demonstrations, or looked up for each puzzle.

The decoder is TRM's (arXiv 2510.04871): two states are refined by one small network; of ``H_cycles`` rounds only the
last has a gradient. Its tensors carry TRM's names, so that a published decoder can be read in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quadrat.tensor.rng import preserved
from quadrat_studies.etrm.config import ArchConfig
from quadrat_studies.etrm.encoders import Demos, Encoded, Look, build_encoder
from quadrat_studies.etrm.grids import VOCABULARY
from quadrat_studies.etrm.layers import Block, as_turns, cut_normal, matrix, rotary

HALT_BIAS = -5.0
"""Where the halting logit starts: nothing halts before it has learned to."""


@final
@dataclass(frozen=True, slots=True)
class States:
    """What the decoder carries from step to step: ``high`` and ``low``, ``[B, T + L, D]``."""

    high: Tensor
    low: Tensor

    def detached(self) -> States:
        """The same without a past."""
        return States(self.high.detach(), self.low.detach())

    def renewed(self, rows: Tensor, start: States) -> States:
        """With the rows where ``rows`` ``[B]`` is true put back to ``start``."""
        at = rows[:, None, None]
        return States(torch.where(at, start.high, self.high), torch.where(at, start.low, self.low))


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """What one step says: ``logits`` ``[B, L, 12]``, and ``halt`` ``[B]``, positive when the row calls itself done."""

    logits: Tensor
    halt: Tensor
    states: States


@final
class Decoder(nn.Module):
    """TRM's recursion. ``forward`` is one step of deep supervision."""

    h_init: Tensor
    l_init: Tensor
    turns: Tensor

    def __init__(self, arch: ArchConfig, side: int) -> None:
        super().__init__()
        width = arch.hidden_size
        self.arch, self.side = arch, side
        self.embed_tokens = nn.Parameter(cut_normal(VOCABULARY, width, std=width**-0.5))
        self.lm_head = matrix(VOCABULARY, width)
        self.q_head = nn.Linear(width, 2)
        nn.init.zeros_(self.q_head.weight)
        nn.init.constant_(self.q_head.bias, HALT_BIAS)
        self.layers = nn.ModuleList(Block(arch) for _ in range(arch.L_layers))
        self.register_buffer("h_init", cut_normal(width, std=1.0))
        self.register_buffer("l_init", cut_normal(width, std=1.0))
        self.register_buffer("turns", _sequence_turns(arch, side), persistent=False)

    @property
    def length(self) -> int:
        """Tokens of the decoder's sequence: context, then cells."""
        return self.arch.puzzle_emb_len + self.side**2

    def start(self, batch: int) -> States:
        """The states of new rows."""
        shape = (batch, self.length, self.arch.hidden_size)
        return States(self.h_init.expand(shape), self.l_init.expand(shape))

    def forward(self, states: States, *, context: Tensor, inputs: Tensor, cells: Tensor | None = None) -> Answer:
        """One step.

        Args:
            states: of the step before, without a past.
            context: ``[B, T, D]``, root mean square about 1 (or an embedding), before its gain.
            inputs: ``[B, L]`` tokens of the query.
            cells: ``[B, L, D]`` added to the query's tokens, from an encoder that has something to say of each cell.
        """
        x = self._injection(context, inputs, cells)
        high, low = states.high, states.low
        with torch.no_grad():
            for _ in range(self.arch.H_cycles - 1):
                high, low = self._round(high, low, x)
        high, low = self._round(high, low, x)
        logits = F.linear(high[:, self.arch.puzzle_emb_len :], self.lm_head)
        halt = self.q_head(high[:, 0].float())[:, 0]
        return Answer(logits.float(), halt.float(), States(high, low))

    def _injection(self, context: Tensor, inputs: Tensor, cells: Tensor | None) -> Tensor:
        tokens = F.embedding(inputs.long(), self.embed_tokens) * self.arch.hidden_size**0.5
        if cells is not None:
            tokens = tokens + cells
        return torch.cat((context * self.arch.gain, tokens), 1)

    def _round(self, high: Tensor, low: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        given = high + x
        for _ in range(self.arch.L_cycles):
            low = self._network(low + given)
        return self._network(high + low), low

    def _network(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, self.turns)
        return x


def _sequence_turns(arch: ArchConfig, side: int) -> Tensor:
    channels = arch.hidden_size // arch.num_heads
    if arch.pos_encodings == "rope":
        places = torch.arange(arch.puzzle_emb_len + side**2)[:, None]
    else:
        # Context tokens stand on the diagonal before the grid's corner, clear of every cell.
        context = torch.arange(-arch.puzzle_emb_len, 0)[:, None].expand(-1, 2)
        cells = torch.cartesian_prod(torch.arange(side), torch.arange(side))
        places = torch.cat((context, cells))
    return as_turns(rotary(places, channels, theta=arch.rope_theta), channels)


@final
class EmbeddingTable(nn.Module):
    """A learned vector for each puzzle, as the first of the context tokens; the others stay zero (TRM)."""

    def __init__(self, arch: ArchConfig, puzzles: int) -> None:
        super().__init__()
        self.tokens = arch.puzzle_emb_len
        self.register_buffer("vectors", torch.zeros(puzzles, arch.hidden_size))

    vectors: Tensor

    def spread(self, rows: Tensor) -> Tensor:
        """Vectors ``[B, D]`` as context ``[B, T, D]``."""
        return F.pad(rows.unsqueeze(1), (0, 0, 0, self.tokens - 1))


@final
class Solver(nn.Module):
    """Encoder (or table) and decoder."""

    def __init__(self, arch: ArchConfig, *, side: int, puzzles: int = 0) -> None:
        super().__init__()
        self.arch = arch
        self.table = EmbeddingTable(arch, puzzles) if arch.conditioning == "embedding_table" else None
        self.encoder = None if self.table is not None else build_encoder(arch, side=side)
        self.inner = Decoder(arch, side)

    def encode(self, demos: Demos, look: Look) -> Encoded:
        """Context from demonstrations, with the planted fault that ``arch.fault`` asks for."""
        assert self.encoder is not None
        if self.arch.fault == "demo_blind":
            demos = Demos(
                look.inputs[:, None], look.inputs[:, None], torch.ones_like(look.inputs[:, :1], dtype=torch.bool)
            )
        found: Encoded = self.encoder(demos, look)
        if self.arch.fault == "detached":
            return found.detached()
        if self.arch.fault == "collapsed":
            return found.averaged()
        return found


def build(arch: ArchConfig, *, side: int, seed: int, puzzles: int = 0) -> Solver:
    """A new solver. Its weights depend on ``seed`` alone; the global random state is left as it was."""
    with preserved():
        torch.manual_seed(seed)
        return Solver(arch, side=side, puzzles=puzzles)
