"""The network: a curve in, gate logits and element values for each of K cells out.

Three strided convolutions turn the curve into tokens, a specification token (type and centre frequency) stands before
them, K learned queries look at all of it once and at each other once, and two heads speak for each cell: logits over
the macros and SKIP, and values for every (cell, macro, slot), so that slot 0 need not mean an inductor and a capacitor
at the same time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from quadrat_studies.bilevel.bands import TYPES
from quadrat_studies.bilevel.config import Config
from quadrat_studies.bilevel.inputs import channel_names
from quadrat_studies.bilevel.macros import MACROS

HEADS = 8
CONVOLUTIONS = ((48, 7), (96, 7), (128, 5))
"""Channels and width; each halves the number of points."""
CENTRE = 9.0
"""log10 of the frequency that counts as zero."""


@final
class Attention(nn.Module):
    """Multi-head attention of ``x`` over ``context``."""

    def __init__(self, width: int, *, dropout: float) -> None:
        super().__init__()
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out, self.dropout = nn.Linear(width, width), dropout

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(B, K, d) and (B, T, d) give (B, K, d)."""
        size, cells, width = x.shape
        q = self.query(x).view(size, cells, HEADS, -1).transpose(1, 2)
        k, v = self.key_value(context).view(size, context.shape[1], 2, HEADS, -1).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(2, 3) / math.sqrt(width / HEADS)).softmax(3)
        weights = functional.dropout(weights, self.dropout, self.training)
        return self.out((weights @ v).transpose(1, 2).reshape(size, cells, width))


@final
class Encoder(nn.Module):
    """Curves (B, C, F) as tokens (B, F / 8, d) with sinusoidal positions."""

    def __init__(self, channels: int, width: int, *, dropout: float) -> None:
        super().__init__()
        sizes = [channels, *(size for size, _ in CONVOLUTIONS)]
        self.layers = nn.ModuleList(
            nn.Conv1d(before, after, kernel, stride=2, padding=kernel // 2)
            for before, (after, kernel) in zip(sizes, CONVOLUTIONS, strict=False)
        )
        self.out, self.dropout = nn.Linear(sizes[-1], width), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens."""
        for layer in self.layers:
            x = functional.gelu(layer(x))
        tokens = self.out(x.transpose(1, 2))
        return self.dropout(tokens + positions(tokens.shape[1], tokens.shape[2]).to(tokens))


def positions(count: int, width: int) -> Tensor:
    """Sine and cosine of geometrically spaced rates (count, width)."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(1e4) / width))
    angles = torch.arange(count)[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), 2).flatten(1)


def roles(k: int, *, input_frac: float, output_frac: float) -> Tensor:
    """0 for the first ``round(k input_frac)`` cells, 2 for the last ``round(k output_frac)``, 1 between."""
    first, last = round(k * input_frac), min(round(k * output_frac), k)
    found = torch.ones(k, dtype=torch.long)
    found[k - last :] = 2
    found[:first] = 0
    return found


@final
class Network(nn.Module):
    """See the module. ``vocabulary`` are the macros it may name; the gate after the last is SKIP."""

    def __init__(self, config: Config, *, k_max: int, vocabulary: Sequence[int]) -> None:
        super().__init__()
        width, rate = config.d_model, config.dropout
        self.vocabulary, self.k_max, self.spec_mode = tuple(vocabulary), k_max, config.spec_mode
        self.encoder = Encoder(len(channel_names(config)), width, dropout=rate)
        if config.spec_mode == "type_fc":
            self.kind = nn.Embedding(len(TYPES), width)
            self.centre = nn.Sequential(nn.Linear(1, 128), nn.ReLU(), nn.Linear(128, width))
            self.base = nn.Parameter(0.02 * torch.randn(width))
        self.queries = nn.Parameter(0.02 * torch.randn(k_max, width))
        self.role = nn.Embedding(3, width) if config.use_role_queries else None
        found = roles(k_max, input_frac=config.role_input_frac, output_frac=config.role_output_frac)
        self.register_buffer("roles", found, persistent=False)
        if self.role is not None:
            nn.init.zeros_(self.role.weight)
        self.cross, self.among = Attention(width, dropout=rate), Attention(width, dropout=rate)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        hidden = config.hidden_mult * width
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(rate), nn.Linear(hidden, width))
        self.gate = nn.Linear(width, len(vocabulary) + 1)
        self.value = nn.Linear(width, 2 * len(vocabulary))
        with torch.no_grad():
            self.gate.weight.mul_(0.1)
            self.gate.bias.zero_()
            self.gate.bias[-1] = config.gate_skip_bias
            self.value.weight.mul_(0.1)
            self.value.bias.zero_()
        pairs = torch.tensor([len(MACROS[macro].slots) == 2 for macro in vocabulary])
        self.register_buffer("pairs", pairs, persistent=False)

    def cell_queries(self) -> Tensor:
        """The K queries with their roles (K, d)."""
        if self.role is None:
            return self.queries
        return self.queries + self.role(self.get_buffer("roles"))

    def forward(self, waves: Tensor, kind: Tensor, log_fc: Tensor) -> tuple[Tensor, Tensor]:
        """Gate logits (B, K, M + 1) and values (B, K, M, 2), both at least float32.

        Args:
            waves: input channels (B, C, F).
            kind: filter types (B,).
            log_fc: log10 of the centre frequency (B,).
        """
        context = self.encoder(waves)
        if self.spec_mode == "type_fc":
            spec = self.base + self.kind(kind) + self.centre((log_fc - CENTRE).to(waves.dtype)[:, None])
            context = torch.cat((spec[:, None].to(context.dtype), context), 1)
        x = self.cell_queries().expand(len(waves), -1, -1)
        x = self.norms[0](x + self.cross(x, context))
        x = self.norms[1](x + self.among(x, x))
        x = self.norms[2](x + self.mlp(x))
        dtype = torch.promote_types(x.dtype, torch.float32)
        return self.gate(x).to(dtype), self._values(self.value(x).to(dtype))

    def _values(self, raw: Tensor) -> Tensor:
        """Impedance level and resonance as values of L and C.

        A two-part macro says ln(l / c) / 2 and ln(l c) / 2. The second, where it resonates, is zero in every textbook
        band filter, and learning it apart keeps resonators in tune.
        """
        raw = raw.unflatten(2, (-1, 2))
        level, resonance = raw[..., 0], raw[..., 1]
        pairs = self.get_buffer("pairs")
        second = torch.where(pairs, resonance - level, 0.0)
        return torch.stack((torch.where(pairs, level + resonance, level), second), 3)


def build(config: Config, *, k_max: int, vocabulary: Sequence[int], seed: int) -> Network:
    """A network whose weights follow from the seed alone."""
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    network = Network(config, k_max=k_max, vocabulary=vocabulary)
    torch.set_rng_state(state)
    return network.to(torch.float64) if config.dtype == "float64" else network
