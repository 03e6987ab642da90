"""Encoders of demonstrations: pairs of grids in, ``T`` context tokens out.

All see only what is there: demonstration slots that are empty are not encoded, and of the canvas only the cells that
hold something, packed together. All but ``recurrent`` are functions of the set of demonstrations: order does not
matter to any of them. Every context is scaled to a root mean square of 1.

``standard``, ``variational``, ``lpn``, ``hybrid`` and ``recurrent`` follow the variants of seed 002 and its
repository; ``lpn`` after arXiv 2411.08706. ``cross_attention`` lets every cell of the query look at every cell of the
demonstrations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quadrat_studies.etrm.config import ArchConfig
from quadrat_studies.etrm.grids import PAD, VOCABULARY
from quadrat_studies.etrm.layers import Block, CrossBlock, as_turns, cut_normal, gated, key_bias, matrix, rms, rotary

ROUND_TO = 8
PARTS = 4
"""Demonstrations of a batch are encoded in so many parts of similar length."""
LARGEST_LOG_VARIANCE = 10.0


@final
@dataclass(frozen=True, slots=True)
class Demos:
    """Demonstrations of a batch: tokens ``[B, K, L]`` of inputs and outputs, and which slots are filled ``[B, K]``."""

    inputs: Tensor
    outputs: Tensor
    filled: Tensor

    def rows(self, chosen: Tensor) -> Demos:
        """The demonstrations of some rows of the batch."""
        return Demos(self.inputs[chosen], self.outputs[chosen], self.filled[chosen])


@final
@dataclass(frozen=True, slots=True)
class Look:
    """What an encoder may look at beside the demonstrations.

    Attributes:
        inputs: ``[B, L]`` tokens of the query.
        state: ``[B, T, D]`` that the encoder gave back one step before, zero for new rows; None at the first step.
        noise: ``[B, D]`` standard normal numbers; None for the mean (at evaluation).
    """

    inputs: Tensor
    state: Tensor | None = None
    noise: Tensor | None = None


@final
@dataclass(frozen=True, slots=True)
class Encoded:
    """What an encoder says.

    Attributes:
        context: ``[B, T, D]``.
        divergence: ``[B]`` KL from the standard normal, for encoders that sample.
        state: what it wants to see again one step later; live, the caller detaches what it keeps.
        cells: ``[B, L, D]`` for each cell of the query.
    """

    context: Tensor
    divergence: Tensor | None = None
    state: Tensor | None = None
    cells: Tensor | None = None

    def detached(self) -> Encoded:
        """Cut off from the encoder's weights."""
        cells = None if self.cells is None else self.cells.detach()
        return replace(self, context=self.context.detach(), cells=cells)

    def averaged(self) -> Encoded:
        """One context for all rows."""
        return replace(self, context=self.context.mean(0, keepdim=True).expand_as(self.context))


@final
@dataclass(frozen=True, slots=True)
class Packed:
    """Filled demonstrations, one row each, without their padding.

    Attributes:
        tokens: ``[n, S]``; ``valid`` says which of them are there.
        place: ``[n, S]`` index in the sequence of input then output, ``2 L`` long.
        rows, slots: ``[n]``, whose they are.
    """

    tokens: Tensor
    place: Tensor
    valid: Tensor
    rows: Tensor
    slots: Tensor


def pack(demos: Demos) -> Packed:
    """Keep filled slots, and of each the cells that hold something, in order."""
    rows, slots = demos.filled.nonzero(as_tuple=True)
    sequence = torch.cat((demos.inputs[rows, slots], demos.outputs[rows, slots]), 1)
    there = sequence != PAD
    longest = int(there.sum(1).max()) if len(rows) else 1
    longest = min(-(-longest // ROUND_TO) * ROUND_TO, sequence.shape[1])
    place = torch.argsort(there.logical_not().byte(), dim=1, stable=True)[:, :longest]
    return Packed(sequence.gather(1, place).long(), place, there.gather(1, place), rows, slots)


def by_length(packed: Packed) -> list[Packed]:
    """The demonstrations in parts of similar length, the shortest first, each no longer than its longest needs."""
    counts = packed.valid.sum(1)
    order = torch.argsort(counts, stable=True)
    parts: list[Packed] = []
    for chosen in order.chunk(PARTS):
        longest = -(-int(counts[chosen[-1]]) // ROUND_TO) * ROUND_TO
        cells = slice(min(longest, packed.tokens.shape[1]))
        at = packed.place[chosen, cells]
        own = packed.tokens[chosen, cells], at, packed.valid[chosen, cells]
        parts.append(Packed(*own, packed.rows[chosen], packed.slots[chosen]))
    return parts


@final
class GridEncoder(nn.Module):
    """Cells of a demonstration through transformer blocks: separate embeddings of input and output, rotary places."""

    def __init__(self, arch: ArchConfig, side: int) -> None:
        super().__init__()
        self.arch, self.side = arch, side
        width = arch.hidden_size
        self.embedding = nn.Parameter(cut_normal(2 * VOCABULARY, width, std=width**-0.5))
        self.layers = nn.ModuleList(Block(arch, style=arch.encoder_norm_style) for _ in range(arch.encoder_num_layers))

    def forward(self, packed: Packed) -> Tensor:
        """``[n, S, D]``, one vector a cell, zero where there is none."""
        cells = self.side**2
        second = packed.place >= cells
        x = F.embedding(packed.tokens + VOCABULARY * second, self.embedding) * self.arch.hidden_size**0.5
        channels = self.arch.hidden_size // self.arch.num_heads
        if self.arch.pos_encodings == "rope":
            places = packed.place.unsqueeze(-1)
        else:
            inside = packed.place % cells
            # Beside each other, as on a page: the output stands to the right of the input.
            places = torch.stack((inside // self.side, inside % self.side + second * self.side), -1)
        turns = as_turns(rotary(places, channels, theta=self.arch.rope_theta), channels)
        bias = key_bias(packed.valid)
        for layer in self.layers:
            x = layer(x, turns, bias)
        x = rms(x) if self.arch.encoder_norm_style == "pre" else x
        return x * packed.valid.unsqueeze(-1)


@final
class PooledGrid(nn.Module):
    """One vector for each demonstration, from its cells."""

    def __init__(self, arch: ArchConfig, side: int) -> None:
        super().__init__()
        self.method = arch.encoder_pooling_method
        self.grid = GridEncoder(arch, side)
        self.score = matrix(1, arch.hidden_size) if self.method == "attention" else None
        self.project = matrix(arch.hidden_size, arch.hidden_size)

    def forward(self, packed: Packed) -> Tensor:
        """``[n, D]``."""
        cells, there = self.grid(packed), packed.valid.unsqueeze(-1)
        if self.score is not None:
            weight = F.linear(cells, self.score).masked_fill(~there, -1e9).softmax(1)
            pooled = (weight * cells).sum(1)
        elif self.method == "max":
            pooled = cells.masked_fill(~there, -1e9).amax(1)
        else:
            pooled = cells.sum(1) / there.sum(1)
        return F.linear(pooled, self.project)


@final
class DeepGrid(nn.Module):
    """LPN's grid encoder: learned rows, columns and sides, a CLS token, pre-norm blocks; one vector a demonstration."""

    turns: Tensor

    def __init__(self, arch: ArchConfig, side: int) -> None:
        super().__init__()
        self.side, width = side, arch.hidden_size
        self.embedding = nn.Parameter(cut_normal(VOCABULARY, width, std=1.0))
        self.place = nn.Parameter(cut_normal(2 * side + 2, width, std=1.0))
        self.cls = nn.Parameter(cut_normal(width, std=1.0))
        self.layers = nn.ModuleList(Block(arch, style="pre") for _ in range(arch.encoder_num_layers))
        channels = width // arch.num_heads
        still = as_turns(torch.zeros(1, channels // 2), channels)
        self.register_buffer("turns", still, persistent=False)

    def forward(self, packed: Packed) -> Tensor:
        """``[n, D]``."""
        cells = self.side**2
        inside = packed.place % cells
        row, column = inside // self.side, self.side + inside % self.side
        second = 2 * self.side + (packed.place >= cells).long()
        x = F.embedding(packed.tokens, self.embedding)
        x = x + F.embedding(row, self.place) + F.embedding(column, self.place) + F.embedding(second, self.place)
        x = torch.cat((self.cls.expand(len(x), 1, -1), x), 1)
        bias = key_bias(F.pad(packed.valid, (1, 0), value=True))
        for layer in self.layers:
            x = layer(x, self.turns, bias)
        return rms(x[:, 0])


def build_encoder(arch: ArchConfig, *, side: int) -> nn.Module:
    """The encoder that ``arch.encoder_type`` names: ``(Demos, Look) -> Encoded``."""
    match arch.encoder_type:
        case "standard":
            return SetEncoder(arch, PooledGrid(arch, side))
        case "hybrid":
            return SetEncoder(arch, DeepGrid(arch, side))
        case "lpn":
            return MeanEncoder(arch, DeepGrid(arch, side))
        case "variational":
            return VariationalEncoder(arch, SetEncoder(arch, PooledGrid(arch, side)))
        case "cross_attention":
            return CellEncoder(arch, side)
        case "recurrent":
            return RecurrentEncoder(arch, side)


def in_slots(network: nn.Module, demos: Demos) -> Tensor:
    """What ``network`` says of each demonstration ``[n, ...]``, in their slots ``[B, K, ...]``, zero where none is."""
    parts = by_length(pack(demos))
    said = [network(part) for part in parts]
    longest = max((part.shape[1] for part in said), default=0)
    if said[0].ndim == 3:
        said = [F.pad(part, (0, 0, 0, longest - part.shape[1])) for part in said]
    vectors = torch.cat(said)
    spread = vectors.new_zeros(*demos.filled.shape, *vectors.shape[1:])
    rows, slots = (torch.cat([getattr(part, name) for part in parts]) for name in ("rows", "slots"))
    return spread.index_put((rows, slots), vectors)


@final
class SetEncoder(nn.Module):
    """``T`` learned queries look at the vectors of the demonstrations."""

    def __init__(self, arch: ArchConfig, grid: nn.Module) -> None:
        super().__init__()
        self.grid = grid
        self.queries = nn.Parameter(cut_normal(arch.puzzle_emb_len, arch.hidden_size, std=0.02))
        self.layers = nn.ModuleList(CrossBlock(arch) for _ in range(arch.encoder_set_layers))

    def forward(self, demos: Demos, look: Look) -> Encoded:
        """See ``Encoded``."""
        memory = in_slots(self.grid, demos)
        x = self.queries.expand(len(look.inputs), -1, -1)
        for layer in self.layers:
            x = layer(x, memory, demos.filled)
        return Encoded(rms(x))


@final
class MeanEncoder(nn.Module):
    """The mean of the demonstrations' vectors, spread over ``T`` tokens by one matrix."""

    def __init__(self, arch: ArchConfig, grid: nn.Module) -> None:
        super().__init__()
        self.grid, self.tokens = grid, arch.puzzle_emb_len
        self.spread = matrix(arch.puzzle_emb_len * arch.hidden_size, arch.hidden_size)

    def forward(self, demos: Demos, look: Look) -> Encoded:
        """See ``Encoded``."""
        vectors = in_slots(self.grid, demos)
        mean = vectors.sum(1) / demos.filled.sum(1, keepdim=True).clamp(min=1)
        return Encoded(rms(F.linear(mean, self.spread).unflatten(-1, (self.tokens, -1))))


@final
class VariationalEncoder(nn.Module):
    """A normal distribution over one vector a row, drawn from in training; its log variance starts at 0."""

    def __init__(self, arch: ArchConfig, inside: SetEncoder) -> None:
        super().__init__()
        self.inside, self.tokens = inside, arch.puzzle_emb_len
        self.mean = matrix(arch.hidden_size, arch.hidden_size)
        self.log_variance = nn.Parameter(torch.zeros(arch.hidden_size, arch.hidden_size))
        self.spread = matrix(arch.puzzle_emb_len * arch.hidden_size, arch.hidden_size)

    def forward(self, demos: Demos, look: Look) -> Encoded:
        """See ``Encoded``."""
        hidden = self.inside(demos, look).context.mean(1)
        mean = F.linear(hidden, self.mean)
        log_variance = F.linear(hidden, self.log_variance).clamp(-LARGEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)
        drawn = mean if look.noise is None else mean + look.noise * (0.5 * log_variance).exp()
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(-1)
        context = rms(F.linear(drawn, self.spread).unflatten(-1, (self.tokens, -1)))
        return Encoded(context, divergence=divergence)


@final
class CellEncoder(nn.Module):
    """Context tokens and the cells of the query look at every cell of every demonstration; nothing is pooled."""

    def __init__(self, arch: ArchConfig, side: int) -> None:
        super().__init__()
        self.grid = GridEncoder(arch, side)
        width, self.tokens = arch.hidden_size, arch.puzzle_emb_len
        self.queries = nn.Parameter(cut_normal(arch.puzzle_emb_len, width, std=0.02))
        self.cells = nn.Parameter(cut_normal(VOCABULARY, width, std=1.0))
        self.place = nn.Parameter(cut_normal(side**2, width, std=1.0))
        self.layers = nn.ModuleList(CrossBlock(arch) for _ in range(arch.encoder_set_layers))
        # At its start the decoder sees the query alone; what the cells have found is let in as it proves useful.
        self.let_in = nn.Parameter(torch.zeros(width, width))

    def forward(self, demos: Demos, look: Look) -> Encoded:
        """See ``Encoded``."""
        memory = in_slots(self.grid, demos)
        there = memory.detach().ne(0).any(-1).flatten(1, 2)
        memory = memory.flatten(1, 2)
        asked = F.embedding(look.inputs.long(), self.cells) + self.place
        x = torch.cat((self.queries.expand(len(asked), -1, -1), asked), 1)
        for layer in self.layers:
            x = layer(x, memory, there)
        x = rms(x)
        return Encoded(x[:, : self.tokens], cells=F.linear(x[:, self.tokens :], self.let_in))


@final
class RecurrentEncoder(nn.Module):
    """ETRM²: the encoder has a state of its own, refined at every step of the decoder by looking at the demonstrations.

    The context is the new state with its gradient. Only what enters the carry is detached, by the caller.
    """

    def __init__(self, arch: ArchConfig, side: int) -> None:
        super().__init__()
        self.arch, self.grid = arch, PooledGrid(arch, side)
        width, inner = arch.hidden_size, arch.feed_forward
        self.start = nn.Parameter(cut_normal(arch.puzzle_emb_len, width, std=1.0))
        self.layers = nn.ModuleList(CrossBlock(arch) for _ in range(arch.encoder_set_layers))
        self.gate_up, self.down = matrix(2 * inner, width), matrix(width, inner)

    def forward(self, demos: Demos, look: Look) -> Encoded:
        """See ``Encoded``. Rows whose state is all zero begin at the learned start."""
        memory = in_slots(self.grid, demos)
        start = rms(self.start).expand(len(look.inputs), -1, -1)
        state = start
        if look.state is not None:
            state = torch.where(look.state.ne(0).flatten(1).any(1)[:, None, None], look.state, start)
        for _ in range(self.arch.encoder_refinement_steps):
            refined = state
            for layer in self.layers:
                refined = layer(refined, memory, demos.filled)
            refined = rms(refined + gated(refined, self.gate_up, self.down))
            state = state + self.arch.encoder_blend * (refined - state)
        return Encoded(rms(state), state=state)
