"""Mamba-2 and a transformer at small size, R of them at once; read it from top to bottom.

Shapes: R replicas, B sequences, L positions, q positions read (the last ones), V symbols, d width, D = expand d inner
width, N state, K taps. Every parameter has the leading axis R; a single model is R = 1.

    tokens [R, B, L] -> embedding (+ position) h [R, B, L, d] -> n blocks, h <- h + block(h) -> head [R, B, q, V]

A Mamba block (one head, Dao and Gu 2024), u = h or its norm:

    z = u Wz [R, B, q, D]      dt = softplus(u Wdt + dt_bias) [R, B, L]      x | b | c = convolution(u) widths D | N | N
    y_i = sum_{j <= i} decay(j -> i) (c_i . b_j) dt_j x_j + skip x_i          out = norm(y o SiLU(z)) Wout

What the variants change lies in what goes into x | b | c (``mamba_residual``, ``mamba_gate``, ``mamba_ones_conv``) or
in the positions (all but standard and ones_conv). Only the last position is asked for an answer, so the last block
makes z, c and everything after them for that position alone; the result is the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quadrat.tensor.stack import constant, layer_norm, lookup, normal, project, put_member, rms_norm, softplus, uniform
from quadrat_studies.symmetry import state_space
from quadrat_studies.symmetry.config import Config
from quadrat_studies.symmetry.convolution import Branch, Form, Kernel, Parts, convolve

WITH_POSITIONS = ("mamba_pos_encoding", "mamba_residual", "mamba_gate", "transformer", "transformer_with_conv")
BRANCHES: Mapping[str, Branch] = {"mamba_residual": "add", "mamba_gate": "multiply"}
DECAY_RANGE = (1.0, 16.0)
STEP_RANGE = (1e-3, 1e-1)


def _untouched(layer: int, value: Any) -> Any:
    return value


@final
@dataclass(frozen=True, slots=True)
class Probe:
    """Looks at what passes through a model and may put something else in its place. Layers count from 0."""

    convolved: Callable[[int, Parts], Parts] = _untouched
    """x, b and c after convolution and SiLU, ``[R, B, L, .]``. Mamba only."""
    scored: Callable[[int, Tensor], Tensor] = _untouched
    """How much of position j reaches position i, ``[R B, L, L]``."""
    passed: Callable[[int, Tensor], None] = _untouched
    """The stream after a block, ``[R, B, L, d]``."""


@final
@dataclass(frozen=True, slots=True)
class Start:
    """Where initial weights come from: a seed and a gamma for each replica, and a stream for each tensor.

    A tensor's numbers depend on seed and name alone, so models that differ in gamma, or in a part, start from the
    same draws in all they share.
    """

    seeds: Sequence[int]
    gammas: Sequence[float]

    def matrix(self, name: str, rows: int, columns: int, *, fan: int | None = None) -> nn.Parameter:
        """``[R, rows, columns]`` with standard deviation ``fan ** -gamma``; the fan is the inputs, ``rows``."""
        std = [(fan or rows) ** -gamma for gamma in self.gammas]
        return normal(self.seeds, name, shape=(rows, columns), std=std)

    def same(self, *shape: int, value: float) -> nn.Parameter:
        """The same number everywhere."""
        return constant(len(self.seeds), shape=shape, value=value)


@final
class Convolution(nn.Module):
    """A projection with taps behind it."""

    def __init__(self, config: Config, start: Start, *, name: str, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.widths, channels = widths, sum(widths)
        self.branch: Branch = BRANCHES.get(config.model_type, "none")
        self.weight = start.matrix(f"{name}.weight", config.d_model, channels)
        self.taps = _taps(config, start, name=f"{name}.taps", channels=channels)
        self.bias = start.same(channels, value=0.0)
        if config.model_type == "mamba_ones_conv":
            self.taps.requires_grad_(False)
            self.bias.requires_grad_(config.ones_conv_bias == "trained")

    def forward(self, u: Tensor, *, reads: int) -> Parts:
        """The parts at the last ``reads`` positions."""
        kernel = Kernel(self.weight, self.taps, self.bias)
        return convolve(u, kernel, form=Form(self.widths, reads, self.branch))

    def split(self, u: Tensor, *, parts: int) -> Parts:
        """The first ``parts`` parts at every position, the others at the last one."""
        edge = sum(self.widths[:parts])
        halves = zip(
            *(t.split([edge, t.shape[-1] - edge], -1) for t in (self.weight, self.taps, self.bias)), strict=True
        )
        everywhere, last = (Kernel(*half) for half in halves)
        first = convolve(u, everywhere, form=Form(self.widths[:parts], u.shape[2], self.branch))
        return *first, *convolve(u, last, form=Form(self.widths[parts:], 1, self.branch))


def _taps(config: Config, start: Start, *, name: str, channels: int) -> nn.Parameter:
    count = config.d_conv
    if config.model_type == "mamba_ones_conv":
        return start.same(count, channels, value=1.0)
    if config.conv_init == "default_uniform":
        bound = 1 / math.sqrt(count)
        return uniform(start.seeds, name, shape=(count, channels), low=-bound, high=bound)
    return start.matrix(name, count, channels, fan=channels if config.conv_init == "gamma_channels" else count)


@final
class MambaBlock(nn.Module):
    """Convolution, state space, gate."""

    def __init__(self, config: Config, start: Start, *, layer: int) -> None:
        super().__init__()
        d, inner, state, name = config.d_model, config.expand * config.d_model, config.d_state, f"blocks.{layer}"
        self.layer, self.is_normed = layer, config.prenorm
        if self.is_normed:
            self.norm = start.same(d, value=1.0)
        self.convolution = Convolution(config, start, name=f"{name}.convolution", widths=(inner, state, state))
        self.gate = start.matrix(f"{name}.gate", d, inner)
        self.step = start.matrix(f"{name}.step", d, 1)
        self.step_bias = _step_bias(start, name=f"{name}.step_bias")
        rate = uniform(start.seeds, f"{name}.log_rate", shape=(1,), low=DECAY_RANGE[0], high=DECAY_RANGE[1])
        self.log_rate = nn.Parameter(rate.detach().log())
        self.skip = start.same(1, value=1.0)
        self.gated_norm = start.same(inner, value=1.0)
        self.out = start.matrix(f"{name}.out", inner, d)

    def forward(self, h: Tensor, *, reads: int, probe: Probe | None = None) -> Tensor:
        """``[R, B, L, d]`` -> ``[R, B, reads, d]``."""
        u = rms_norm(h, self.norm) if self.is_normed else h
        parts = self.convolution(u, reads=h.shape[2]) if reads > 1 else self.convolution.split(u, parts=2)
        if probe is not None:
            parts = probe.convolved(self.layer, parts)
        y = self._mix(u, parts, probe=probe) + self.skip[:, None, None] * parts[0][:, :, -reads:]
        z = project(u[:, :, -reads:], self.gate)
        return h[:, :, -reads:] + project(rms_norm(y * F.silu(z), self.gated_norm), self.out)

    def _mix(self, u: Tensor, parts: Parts, *, probe: Probe | None) -> Tensor:
        dt = softplus(project(u, self.step).squeeze(-1) + self.step_bias[:, None])  # [R, B, L]
        a = -torch.exp(self.log_rate)[:, None] * dt
        x, b, c = (part.flatten(0, 1) for part in parts)
        dt, a = dt.flatten(0, 1), a.flatten(0, 1)
        if probe is None:
            y = state_space.scan(x, dt=dt, a=a, b=b, c=c)
        else:
            y = torch.bmm(probe.scored(self.layer, state_space.scores(a, b=b, c=c)) * dt[:, None, :], x)
        return y.unflatten(0, u.shape[:2])


def _step_bias(start: Start, *, name: str) -> nn.Parameter:
    """So that softplus of it is spread evenly in the logarithm over ``STEP_RANGE``."""
    low, high = (math.log(end) for end in STEP_RANGE)
    step = torch.exp(uniform(start.seeds, name, shape=(1,), low=low, high=high).detach())
    return nn.Parameter(step + torch.log(-torch.expm1(-step)))


@final
class AttentionBlock(nn.Module):
    """Causal attention and a feed-forward layer, each added to the stream and then normalised (post-norm)."""

    def __init__(self, config: Config, start: Start, *, layer: int) -> None:
        super().__init__()
        d, values, name = config.d_model, config.expand * config.d_model, f"blocks.{layer}"
        self.layer = layer
        if config.model_type == "transformer_with_conv":
            self.query, self.key, self.value = (
                Convolution(config, start, name=f"{name}.{part}", widths=(width,))
                for part, width in (("query", d), ("key", d), ("value", values))
            )
        else:
            self.query = start.matrix(f"{name}.query", d, d)
            self.key = start.matrix(f"{name}.key", d, d)
            self.value = start.matrix(f"{name}.value", d, values)
        self.out = start.matrix(f"{name}.out", values, d)
        self.up, self.down = start.matrix(f"{name}.up", d, d), start.matrix(f"{name}.down", d, d)
        self.norms = nn.ParameterList(start.same(d, value=value) for value in (1.0, 0.0, 1.0, 0.0))

    def forward(self, h: Tensor, *, reads: int, probe: Probe | None = None) -> Tensor:
        """``[R, B, L, d]`` -> ``[R, B, reads, d]``."""
        query = self._made(h, self.query, reads=reads)
        key, value = self._made(h, self.key, reads=h.shape[2]), self._made(h, self.value, reads=h.shape[2])
        weights = torch.bmm(query, key.transpose(1, 2)) / math.sqrt(h.shape[3])
        later = torch.ones(reads, h.shape[2], dtype=torch.bool, device=h.device).triu(h.shape[2] - reads + 1)
        weights = weights.masked_fill(later, -torch.inf).softmax(-1)
        if probe is not None:
            weights = probe.scored(self.layer, weights)
        mixed = torch.bmm(weights, value).unflatten(0, h.shape[:2])
        h = layer_norm(h[:, :, -reads:] + project(mixed, self.out), self.norms[0], bias=self.norms[1])
        return layer_norm(h + project(F.silu(project(h, self.up)), self.down), self.norms[2], bias=self.norms[3])

    def _made(self, h: Tensor, how: Convolution | nn.Parameter, *, reads: int) -> Tensor:
        made = how(h, reads=reads)[0] if isinstance(how, Convolution) else project(h[:, :, -reads:], how)
        return made.flatten(0, 1)


@final
class Network(nn.Module):
    """Tokens in, logits out. Every model type of the study is this module, R of them at once."""

    def __init__(self, config: Config, start: Start) -> None:
        super().__init__()
        d, symbols, length = config.d_model, config.data.vocabulary, config.data.tokens
        by_rows = config.embedding_fan == "vocabulary"
        self.embedding = start.matrix("embedding", symbols, d, fan=None if by_rows else d)
        self.has_positions = config.model_type in WITH_POSITIONS
        if self.has_positions and config.positions == "learned":
            self.positions = start.matrix("positions", length, d, fan=None if by_rows else d)
        elif self.has_positions:
            self.register_buffer("positions", _sinusoids(length, d).expand(len(start.seeds), -1, -1), persistent=False)
        block = MambaBlock if config.model_type.startswith("mamba") else AttentionBlock
        self.blocks = nn.ModuleList(block(config, start, layer=layer) for layer in range(config.n_layers))
        self.is_normed = config.prenorm and block is MambaBlock
        if self.is_normed:
            self.norm = start.same(d, value=1.0)
        self.head = start.matrix("head", d, symbols)

    def forward(self, tokens: Tensor, *, probe: Probe | None = None) -> Tensor:
        """Logits at the last position, ``[R, B, V]``. Under a probe every block sees every position."""
        h = self.embed(tokens)
        for layer, block in enumerate(self.blocks):
            is_last = layer == len(self.blocks) - 1
            h = block(h, reads=1 if is_last and probe is None else tokens.shape[2], probe=probe)
            if probe is not None:
                probe.passed(layer, h)
        return self.decode(h[:, :, -1:]).squeeze(2)

    def embed(self, tokens: Tensor) -> Tensor:
        """``[R, B, L]`` -> ``[R, B, L, d]``."""
        h = lookup(self.embedding, tokens)
        return h + self.positions[:, None, : tokens.shape[2]] if self.has_positions else h

    def decode(self, h: Tensor) -> Tensor:
        """The stream of any layer through the head, ``[R, B, q, V]``."""
        return project(rms_norm(h, self.norm) if self.is_normed else h, self.head)


def _sinusoids(length: int, d: int) -> Tensor:
    places = torch.arange(length)[:, None] * torch.exp(torch.arange(0, d, 2) * (-math.log(10_000.0) / d))
    table = torch.zeros(length, d)
    table[:, 0::2], table[:, 1::2] = places.sin(), places.cos()[:, : d // 2]
    return table


def build(configs: Sequence[Config], seeds: Sequence[int]) -> Network:
    """Fresh models, one for each config; the configs differ in ``gamma`` at most. No global random state is used."""
    return Network(configs[0], Start(tuple(seeds), tuple(config.gamma for config in configs)))


def restore(state: Mapping[str, Any]) -> tuple[Config, Network]:
    """The model of a checkpoint, alone, with the config that it was trained under."""
    config = Config.model_validate(state["config"])
    network = build([config], [int(state["seed"])])
    put_member(network.state_dict(), 0, values=state["model"])
    return config, network.requires_grad_(False)
