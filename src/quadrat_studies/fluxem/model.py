"""One small decoder for every arm; read it from top to bottom.

Shapes: R replicas (models of one shape, trained together), B samples, P prompt columns ("=" in the last), A answer
tokens, T = P + A - 1 columns in all, h width, H heads, S numbers in a prompt, F coordinates of a number's code.

    representation   how a number becomes one or more columns of the stream (``representations.py``)
    readout          how the answer is read: token after token from the columns "=" .. last answer token, or all at
                     once from the column "=" (``readouts.py``)

Positions count from "=": answers 0, 1, 2, .. from the front of the table, prompts -1, -2, .. from its end. So the
units digit of the last operand and the first digit of the answer stand where they always stand, however long the
numbers are. ``abacus`` has no such positions; its digits know their place in their own number instead. Only the
columns whose output is read go through the last layer, and columns that see only themselves go through the first one
once for each token, however many samples have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quadrat import UsageError
from quadrat.tensor import stack
from quadrat_studies.fluxem.config import ModelConfig
from quadrat_studies.fluxem.layers import Affine, Dropout, Norm, Seeds, Table
from quadrat_studies.fluxem.readouts import GENERATED, Head
from quadrat_studies.fluxem.representations import (
    ONE_COLUMN,
    SHARED,
    Entry,
    abacus_places,
    circle_start,
    lane_of_tokens,
    vocabulary,
)
from quadrat_studies.fluxem.tokens import NUM, PAD, Prompts, Targets

EMBEDDING_SCALE = 0.1
LONGEST_NUMBER = 64

Cache = list[tuple[Tensor, Tensor]]
"""Keys and values ``[R B, H, T, h / H]`` of each layer, for generating one token after the other."""


@final
class Block(nn.Module):
    """Attention and a feed-forward layer, each on a normalised copy of the stream that it adds to."""

    def __init__(self, config: ModelConfig, seeds: Seeds, *, name: str) -> None:
        super().__init__()
        h = config.hidden_dim
        self.heads = config.num_heads
        self.norm_1, self.norm_2 = Norm(len(seeds), h), Norm(len(seeds), h)
        self.query = Affine(seeds, f"{name}.query", fan_in=h, fan_out=h)
        self.key_value = Affine(seeds, f"{name}.key_value", fan_in=h, fan_out=2 * h)
        self.out = Affine(seeds, f"{name}.out", fan_in=h, fan_out=h)
        self.up = Affine(seeds, f"{name}.up", fan_in=h, fan_out=4 * h)
        self.down = Affine(seeds, f"{name}.down", fan_in=4 * h, fan_out=h)

    def forward(self, x: Tensor, mask: Tensor, *, reads: int, drop: Dropout, kept: Kept | None = None) -> Tensor:
        """``[R, B, T, h]`` -> ``[R, B, reads, h]``: every column is seen, the last ``reads`` go on."""
        seen = self.norm_1(x)
        x = x[:, :, -reads:]
        query = self._split(self.query(seen[:, :, -reads:]))
        key, value = (self._split(part) for part in self.key_value(seen).chunk(2, dim=-1))
        if kept is not None:
            key, value = kept.join(key, value)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, :, -reads:])
        x = x + drop(self.out(mixed.transpose(1, 2).reshape(x.shape)))
        return x + drop(self.down(self.up(self.norm_2(x), relu=True)))

    def _split(self, x: Tensor) -> Tensor:
        return x.flatten(0, 1).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [R, B, T, h] -> [R B, H, T, h / H]


@final
class Kept:
    """One layer's place in a cache."""

    def __init__(self, cache: Cache, layer: int) -> None:
        self._cache, self._layer = cache, layer

    def join(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the columns so far and of the new ones."""
        if len(self._cache) > self._layer:
            before = self._cache[self._layer]
            key, value = torch.cat([before[0], key], 2), torch.cat([before[1], value], 2)
        self._cache[self._layer : self._layer + 1] = [(key, value)]
        return key, value


@final
class Decoder(nn.Module):
    """Prompt in, choices of the answer out. All arms are this module, built from their ``ModelConfig``."""

    lanes: Tensor

    def __init__(self, config: ModelConfig, seeds: Seeds = (0,)) -> None:
        super().__init__()
        h = config.hidden_dim
        self.config, self.seeds = config, tuple(seeds)
        self.generates = config.readout in GENERATED
        self.embedding = Table(seeds, "embedding", rows=vocabulary(config), width=h, std=EMBEDDING_SCALE)
        if config.representation == "abacus":
            rows = config.abacus_offset + LONGEST_NUMBER
            self.abacus = Table(seeds, "abacus", rows=rows, width=h, std=EMBEDDING_SCALE)
        else:
            self.position = Table(seeds, "position", rows=config.max_seq_len, width=h, std=EMBEDDING_SCALE)
        if config.representation in ONE_COLUMN:
            self.entry = Entry(config, seeds)
        if config.representation == "residues":
            circle_start(self.embedding.weight, config, seeds)
            self.register_buffer("lanes", lane_of_tokens(config), persistent=False)
        self.blocks = nn.ModuleList(Block(config, seeds, name=f"blocks.{i}") for i in range(config.num_layers))
        self.norm = Norm(len(seeds), h)
        self.head = Head(config, seeds)

    def forward(
        self,
        prompts: Prompts,
        answer: Tensor | None = None,
        *,
        drop: Dropout | None = None,
        offset: Tensor | None = None,
    ) -> Tensor:
        """What the head says after "=" and after each token of ``answer`` ``[R, B, A - 1]``.

        ``prompts`` have a leading replica axis. ``offset`` ``[R, B]`` is where ``abacus`` starts to count.
        """
        tokens = prompts.tokens if answer is None else torch.cat([prompts.tokens, answer], dim=2)
        reads = tokens.shape[2] - prompts.tokens.shape[2] + self.config.answer_columns
        lone = None if drop is not None and drop.rate else self.lone(prompts)
        x, mask = self.vectors(prompts, tokens, offset=offset), self.mask(tokens, prompts)
        return self.run(x, mask, reads=reads, drop=drop, lone=lone)

    def vectors(self, prompts: Prompts, tokens: Tensor, *, offset: Tensor | None = None) -> Tensor:
        """What enters the first layer, ``[R, B, T, h]``, for a prompt and what was written after it so far."""
        x = self.embedding(tokens)
        if prompts.features is not None:
            held = torch.arange(prompts.features.shape[2], device=x.device) < prompts.counts[..., None]  # [R, B, S]
            codes = prompts.features[held].view(x.shape[0], -1, prompts.features.shape[-1])
            asked = F.pad(prompts.tokens == NUM, (0, tokens.shape[2] - prompts.tokens.shape[2]))  # in the prompt only
            places = asked.flatten().nonzero().squeeze(1)  # in the same order: row by row
            vectors = self.entry(codes).flatten(0, 1).to(x.dtype)
            x = x.flatten(0, 2).index_add(0, places, vectors).view_as(x)
        if self.config.representation == "residues":
            return x + self.position(self._lane_rows(tokens))
        if self.config.representation != "abacus":
            columns = prompts.tokens.shape[2]
            return x + self.position(self._rows(-columns + 1, tokens.shape[2] - columns + 1))[:, None]
        places = abacus_places(tokens)
        shifted = places + (0 if offset is None else offset[..., None])
        return x + self.abacus(shifted.clamp(max=self.abacus.weight.shape[1] - 1)) * (places > 0)[..., None]

    def mask(self, tokens: Tensor, prompts: Prompts) -> Tensor:
        """Which column sees which, ``[R B, 1, T, T]``: with ``residues``, only its own lane and what all share."""
        seen = visible(tokens, prompts)
        if self.config.representation != "residues":
            return seen
        lanes = self.lanes[tokens].flatten(0, 1)
        return seen & ((lanes[:, :, None] == lanes[:, None]) | (lanes[:, None] == SHARED))[:, None]

    def lone(self, prompts: Prompts) -> Tensor | None:
        """The first layer's output of the columns that see only themselves, ``[R, B, lone, h]``.

        It follows from token and position, so it is computed once for every pair of them and looked up. None where
        there are no such columns, or not twice as many as pairs.
        """
        tokens, words = prompts.tokens[:, :, : prompts.lone], self.embedding.weight.shape[1]
        if not prompts.lone or len(self.blocks) == 1:
            return None
        rows, which = self._lane_rows(prompts.tokens[0, :1])[0, : prompts.lone].unique(return_inverse=True)
        if 2 * len(rows) * words > tokens[0].numel():
            return None
        pairs = self.position.weight[:, rows, None] + self.embedding.weight[:, None]
        itself = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=tokens.device)
        off = Dropout(self.seeds, 0.0, step=0)
        table = self.blocks[0](pairs.flatten(1, 2)[:, :, None], itself, reads=1, drop=off)
        return stack.lookup(table[:, :, 0], tokens + which * words)

    def _lane_rows(self, tokens: Tensor) -> Tensor:
        """Rows of the position table where numbers are lanes: those of one number stand side by side, at one row."""
        steps = (self.lanes[tokens] <= 1).cumsum(-1)
        return (steps - steps[..., -1:]) % self.config.max_seq_len

    def _rows(self, start: int, stop: int) -> Tensor:
        """Rows of the position table for columns ``start .. stop`` counted from "="."""
        if stop - start > self.config.max_seq_len:
            raise UsageError(
                f"a prompt with its answer takes {stop - start} columns, the position table has "
                f"{self.config.max_seq_len}.",
                where="model.max_seq_len",
                remedy=f"set model.max_seq_len to {stop - start} or more.",
            )
        return torch.arange(start, stop, device=self.position.weight.device) % self.config.max_seq_len

    def run(
        self,
        x: Tensor,
        mask: Tensor,
        *,
        reads: int,
        drop: Dropout | None = None,
        cache: Cache | None = None,
        lone: Tensor | None = None,
    ) -> Tensor:
        """The blocks and the head: ``[R, B, T, h]`` -> outputs of ``reads`` columns. ``lone``: what the first layer
        says in the leading columns, where that is known."""
        drop = drop or Dropout(self.seeds, 0.0, step=0)
        x = drop(x)
        last = len(self.blocks) - 1
        for layer, block in enumerate(self.blocks):
            kept = None if cache is None else Kept(cache, layer)
            known = lone if layer == 0 else None
            columns = x.shape[2] if known is None else x.shape[2] - known.shape[2]
            x = block(x, mask, reads=reads if layer == last else columns, drop=drop, kept=kept)
            if known is not None:
                x = torch.cat([known, x], 2)
        return self.head(self.norm(x))

    @property
    def number_path(self) -> list[str]:
        """Names of the parameters that only numbers pass through; none for characters."""
        return [name for name, _ in self.named_parameters() if name.startswith("entry.")]

    def loss(self, prompts: Prompts, targets: Targets, *, drop: Dropout | None = None, step: int = -1) -> Tensor:
        """Each replica's mean loss over the answer, ``[R]``; the prompt is not predicted.

        ``step`` draws the offsets of ``abacus``; without it digits are counted from 1, as in answering.
        """
        written = targets.tokens[..., :-1] if self.generates else None
        outputs = self(prompts, written, drop=drop, offset=self._offsets(prompts, step))
        return self.head.losses(outputs, targets.tokens)

    def _offsets(self, prompts: Prompts, step: int) -> Tensor | None:
        if self.config.representation != "abacus" or step < 0:
            return None
        high, batch = self.config.abacus_offset, prompts.tokens.shape[1:2]
        drawn = stack.drawn(
            self.seeds, f"abacus/{step}", draw=lambda generator: torch.randint(high, batch, generator=generator)
        )
        return drawn.to(prompts.tokens.device)


def visible(tokens: Tensor, prompts: Prompts) -> Tensor:
    """Which column sees which, ``[R B, 1, T, T]``: itself, and earlier ones that are not padding on the left."""
    columns, width = tokens.shape[2], prompts.tokens.shape[2]
    causal = torch.ones(columns, columns, dtype=torch.bool, device=tokens.device).tril()
    held = F.pad(prompts.tokens.flatten(0, 1) != PAD, (0, columns - width), value=True)
    itself = torch.eye(columns, dtype=torch.bool, device=tokens.device)
    return ((causal & held[:, None, :]) | itself)[:, None]


def build(config: ModelConfig, *, seeds: Seeds, operands: Sequence[Any], answers: Sequence[str]) -> Decoder:
    """Fresh models: weights from the seeds alone, scales from the training ``operands`` and ``answers``."""
    model = Decoder(config, seeds)
    if config.representation in ONE_COLUMN:
        model.entry.fit(operands, config)
    model.head.fit(answers)
    return model


def restore(state: Mapping[str, Any]) -> Decoder:
    """The model of a checkpoint's ``{"model_config", "model"}``, a stack of one.

    Raises:
        UsageError: the tensors are not those of such a model, as when an earlier version wrote them.
    """
    model = Decoder(ModelConfig.model_validate(state["model_config"]))
    try:
        stack.put_member(model.state_dict(), 0, values=state["model"])
    except (KeyError, ValueError, RuntimeError) as other:
        raise UsageError(
            f"these weights do not fit the model they say they are of ({other}).", remedy="run that run again."
        ) from other
    return model
