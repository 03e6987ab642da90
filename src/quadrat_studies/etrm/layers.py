"""Building blocks of decoder and encoders: rotary positions, gated layers, attention; no biases, no learned gains.

Norms divide by the root mean square (plus 1e-5 under the root). Weights start as a normal cut at two sigma and
corrected to a standard deviation of ``1 / sqrt(fan_in)``. Source: TinyRecursiveModels, arXiv 2510.04871.
"""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quadrat_studies.etrm.config import ArchConfig
from quadrat_studies.etrm.fused import Weights, applies, fused_block

EPSILON = 1e-5
CUT_DEVIATION = 0.8796256610342398
"""Standard deviation of a standard normal cut at two sigma."""


def cut_normal(*shape: int, std: float) -> Tensor:
    """A draw from the normal cut at two sigma, whose standard deviation after the cut is ``std``."""
    wide = std / CUT_DEVIATION
    return nn.init.trunc_normal_(torch.empty(shape), std=wide, a=-2 * wide, b=2 * wide)


def matrix(outputs: int, inputs: int) -> nn.Parameter:
    """A weight matrix at its start."""
    return nn.Parameter(cut_normal(outputs, inputs, std=inputs**-0.5))


def rms(x: Tensor) -> Tensor:
    """Scale the last axis to a root mean square of 1; computed in float32."""
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + EPSILON)).to(x.dtype)


def rotary(places: Tensor, channels: int, *, theta: float) -> Tensor:
    """Angles of ``channels / 2`` pairs at each place.

    Args:
        places: ``[..., A]``: one coordinate, or two that share the pairs among them.

    Returns:
        ``[..., channels / 2]``, float32.
    """
    axes = places.shape[-1]
    each = channels // 2 // axes
    speeds = theta ** -(torch.arange(each, device=places.device, dtype=torch.float32) / each)
    return (places.float().unsqueeze(-1) * speeds).flatten(-2)


def as_turns(angles: Tensor, channels: int) -> Tensor:
    """What queries and keys are multiplied with: ``[2, B or 1, 1, N, d/2]``, complex, from angles ``[(B,) N, d/2]``.

    Channels ``2 i`` and ``2 i + 1`` of a head are a pair. The scale of the scores is taken into the queries.
    """
    turns = torch.polar(torch.ones_like(angles), angles)
    turns = turns.unsqueeze(0) if angles.ndim == 2 else turns
    return torch.stack((turns * channels**-0.5, turns)).unsqueeze(2)


@final
class Block(nn.Module):
    """Attention, then a gated layer, each with a residual; the norm after each (``post``) or before (``pre``)."""

    def __init__(self, arch: ArchConfig, *, style: str = "post") -> None:
        super().__init__()
        width, inner = arch.hidden_size, arch.feed_forward
        self.heads, self.style = arch.num_heads, style
        self.qkv = matrix(3 * width, width)
        self.out = matrix(width, width)
        self.gate_up = matrix(2 * inner, width)
        self.down = matrix(width, inner)

    @property
    def weights(self) -> Weights:
        """The four matrices."""
        return self.qkv, self.out, self.gate_up, self.down

    def forward(self, x: Tensor, turns: Tensor, bias: Tensor | None = None) -> Tensor:
        """``[B, N, D]`` to the same shape. ``turns``: see ``as_turns``; ``bias`` ``[B, 1, N]`` per key."""
        if self.style == "post" and applies(x, self.weights, x.shape[-1] // self.heads):
            return fused_block(x, self.weights, turns=turns, bias=bias)
        return plain_block(x, self.weights, turns=turns, bias=bias, style=self.style)


def plain_block(x: Tensor, weights: Weights, *, turns: Tensor, bias: Tensor | None, style: str = "post") -> Tensor:
    """The block in torch's own operations: for GPUs, lower precision, long sequences and pre-norm."""
    qkv, out, gate_up, down = weights
    if style == "pre":
        x = x + F.linear(attend(rms(x), qkv, turns=turns, bias=bias), out)
        return x + gated(rms(x), gate_up, down)
    x = rms(x + F.linear(attend(x, qkv, turns=turns, bias=bias), out))
    return rms(x + gated(x, gate_up, down))


def attend(x: Tensor, qkv: Tensor, *, turns: Tensor, bias: Tensor | None) -> Tensor:
    """Self-attention of ``[B, N, D]``, before the output matrix."""
    batch, length, width = x.shape
    channels = 2 * turns.shape[-1]
    q, k, v = F.linear(x, qkv).view(batch, length, 3, width // channels, channels).permute(2, 0, 3, 1, 4)
    # The scale is in the turns already.
    q, k = _turn(q, turns[0]), _turn(k, turns[1])
    mask = None if bias is None else bias[:, None].to(q.dtype)
    seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0)
    return seen.transpose(1, 2).reshape(batch, length, width)


def _turn(x: Tensor, turns: Tensor) -> Tensor:
    pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2).contiguous())
    return torch.view_as_real(pairs * turns).flatten(-2).to(x.dtype)


def gated(x: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
    """SwiGLU."""
    gate, up = F.linear(x, gate_up).chunk(2, -1)
    return F.linear(F.silu(gate) * up, down)


def key_bias(valid: Tensor) -> Tensor:
    """``[B, 1, N]`` for ``Block``: 0 for keys to be seen, a very large negative number for others."""
    return torch.zeros_like(valid, dtype=torch.float32).masked_fill_(~valid, -1e9).unsqueeze(1)


@final
class CrossBlock(nn.Module):
    """Queries look at a memory, then a gated layer; post-norm."""

    def __init__(self, arch: ArchConfig) -> None:
        super().__init__()
        width, inner = arch.hidden_size, arch.feed_forward
        self.heads = arch.num_heads
        self.query, self.out = matrix(width, width), matrix(width, width)
        self.key_value = matrix(2 * width, width)
        self.gate_up, self.down = matrix(2 * inner, width), matrix(width, inner)

    def forward(self, x: Tensor, memory: Tensor, valid: Tensor) -> Tensor:
        """``x`` ``[B, Q, D]``, ``memory`` ``[B, M, D]``, of which ``valid`` ``[B, M]`` may be seen."""
        batch, length, width = x.shape
        channels = width // self.heads
        q = F.linear(x, self.query).view(batch, length, self.heads, channels).transpose(1, 2)
        packed = F.linear(memory, self.key_value).view(batch, -1, 2, self.heads, channels)
        k, v = packed.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=valid[:, None, None])
        x = rms(x + F.linear(seen.transpose(1, 2).reshape(batch, length, width), self.out))
        return rms(x + gated(x, self.gate_up, self.down))
