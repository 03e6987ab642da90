"""One transformer block on a CPU, forward and backward by hand.

The same function as ``layers.plain_block`` in post-norm form, in fewer passes over memory: the residual is added by
the matrix product, queries and keys are rotated in place as complex numbers, attention keeps its probabilities, and
the large intermediate arrays are used again from one step to the next. ``benchmarks/etrm_step.py`` has the gain.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

EPSILON = 1e-5
LARGEST_ATTENTION = 4_000_000
"""Numbers in the attention matrices of one block; above this torch's own attention, which keeps none, is taken."""

Weights: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]
"""``qkv`` [3D, D], ``out`` [D, D], ``gate_up`` [2M, D] and ``down`` [D, M] of a block."""


@final
class Pool:
    """Arrays to be used again. What is never given back is simply collected.

    Sizes are rounded up to powers of two, so that batches of ever different shapes share a few arrays.
    """

    def __init__(self) -> None:
        self._free: dict[int, list[Tensor]] = {}

    def take(self, *shape: int) -> Tensor:
        """An array of that shape with anything in it."""
        wanted = math.prod(shape)
        waiting = self._free.get(_room(wanted))
        whole = waiting.pop() if waiting else torch.empty(_room(wanted))
        return whole[:wanted].view(shape)

    def give(self, *arrays: Tensor) -> None:
        """Hand arrays back that ``take`` returned."""
        for array in arrays:
            room = _room(array.numel())
            self._free.setdefault(room, []).append(array.as_strided((room,), (1,), 0))

    @property
    def waiting(self) -> int:
        """How many arrays are there to be taken."""
        return sum(map(len, self._free.values()))


def _room(count: int) -> int:
    return 1 << max(count - 1, 0).bit_length()


def applies(x: Tensor, heads: int) -> bool:
    """Whether this implementation may be used for input ``x`` of shape ``[B, N, D]``."""
    batch, length = x.shape[:2]
    small = batch * heads * length * length <= LARGEST_ATTENTION
    return small and x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


def fused_block(x: Tensor, weights: Weights, *, turns: Tensor, bias: Tensor | None, pool: Pool) -> Tensor:
    """Apply a block.

    Args:
        x: ``[B, N, D]``, float32.
        weights: see ``Weights``.
        turns: ``[2, B or 1, 1, N, d/2]`` complex: what queries (already scaled) and keys are multiplied with.
        bias: ``[B, 1, N]`` added to the attention scores of each key; None for none.
        pool: where large arrays come from.
    """
    if torch.is_grad_enabled() and (x.requires_grad or weights[0].requires_grad):
        return _Block.apply(x, *weights, turns, bias, pool)
    return _forward(x, weights, turns=turns, bias=bias, pool=pool, keep=False)[0]


def _forward(
    x: Tensor, weights: Weights, *, turns: Tensor, bias: Tensor | None, pool: Pool, keep: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The output, and with ``keep`` what the backward pass needs."""
    batch, length, width = x.shape
    rows = batch * length
    qkv_weight, out_weight, gate_weight, down_weight = (weight.detach() for weight in weights)
    flat = x.detach().reshape(rows, width)
    qkv = _heads(flat, qkv_weight, turns=turns, batch=batch, pool=pool)
    seen, chances = _attention(qkv, bias, batch=batch, pool=pool, keep=keep)
    middle, scale = _normalise(torch.addmm(flat, seen, out_weight.t()))
    gates = pool.take(rows, gate_weight.shape[0])
    torch.mm(middle, gate_weight.t(), out=gates)
    gate, up = gates.chunk(2, -1)
    if not keep:
        output, _ = _normalise(torch.addmm(middle, F.silu(gate, inplace=True).mul_(up), down_weight.t()))
        pool.give(qkv, gates)
        return output.view(batch, length, width), ()
    opened, swished, acted = (pool.take(rows, gate.shape[1]) for _ in range(3))
    torch.sigmoid(gate, out=opened)
    torch.mul(gate, opened, out=swished)
    torch.mul(swished, up, out=acted)
    output, last_scale = _normalise(torch.addmm(middle, acted, down_weight.t()))
    kept = (qkv, chances, gates, opened, swished, acted, flat, seen, middle, scale, output, last_scale)
    return output.view(batch, length, width), kept


def _heads(flat: Tensor, weight: Tensor, *, turns: Tensor, batch: int, pool: Pool) -> Tensor:
    """Queries, keys and values, turned to their places: ``[3, B H, N, d]``."""
    rows, half = flat.shape[0], turns.shape[-1]
    heads, length = weight.shape[0] // (6 * half), rows // batch
    raw = pool.take(rows, weight.shape[0])
    torch.mm(flat, weight.t(), out=raw)
    qkv = pool.take(3, batch * heads, length, 2 * half)
    apart = raw.view(batch, length, 3, heads, 2 * half).permute(2, 0, 3, 1, 4)
    qkv.view(3, batch, heads, length, 2 * half).copy_(apart)
    pool.give(raw)
    torch.view_as_complex(qkv[:2].view(2, batch, heads, length, half, 2)).mul_(turns)
    return qkv


def _attention(qkv: Tensor, bias: Tensor | None, *, batch: int, pool: Pool, keep: bool) -> tuple[Tensor, Tensor]:
    """What is seen, ``[B N, D]``, and the probabilities where they are to be kept."""
    _, both, length, channels = qkv.shape
    heads = both // batch
    if not keep and bias is None:
        q, k, v = qkv.view(3, batch, heads, length, channels)
        seen = F.scaled_dot_product_attention(q, k, v, scale=1.0)
        return seen.transpose(1, 2).reshape(batch * length, heads * channels), seen
    scores, chances = pool.take(both, length, length), pool.take(both, length, length)
    torch.bmm(qkv[0], qkv[1].transpose(1, 2), out=scores)
    if bias is not None:
        scores.view(batch, heads, length, length).add_(bias[:, None])
    torch.softmax(scores, -1, out=chances)  # into another array: in place it is a third slower
    seen = torch.bmm(chances, qkv[2]).view(batch, heads, length, channels)
    pool.give(scores)
    if not keep:
        pool.give(chances)
    return seen.transpose(1, 2).reshape(batch * length, heads * channels), chances


def _normalise(total: Tensor) -> tuple[Tensor, Tensor]:
    """Divide each row by its root mean square, in place; also what it was multiplied with."""
    scale = torch.linalg.vector_norm(total, dim=-1, keepdim=True)
    scale = scale.square_().mul_(1 / total.shape[1]).add_(EPSILON).rsqrt_()
    return total.mul_(scale), scale


def _normalise_back(gradient: Tensor, output: Tensor, scale: Tensor) -> Tensor:
    along = torch.linalg.vecdot(gradient, output).unsqueeze(-1).mul_(-1 / output.shape[1])
    return torch.addcmul(gradient, output, along).mul_(scale)


def _gates_back(down: Tensor, up: Tensor, opened: Tensor, *, swished: Tensor, pool: Pool) -> Tensor:
    """Gradient of gate and up, ``[rows, 2M]``, from that of their product ``down``, which is used up."""
    result = pool.take(down.shape[0], 2 * down.shape[1])
    gate_part, up_part = result.chunk(2, -1)
    torch.mul(down, swished, out=up_part)
    # d(gate * s)/d(gate) = s + gate s (1 - s), with s the opened gate: from gate s towards 1 by s.
    slope = swished.lerp_(swished.new_ones(()), opened)
    torch.mul(down.mul_(up), slope, out=gate_part)
    return result


def _attention_back(given: Tensor, qkv: Tensor, chances: Tensor, pool: Pool) -> Tensor:
    """Gradient of queries, keys and values, ``[3, B H, N, d]``, from that of what was seen, ``[B H, N, d]``."""
    back = pool.take(*qkv.shape)
    scores = pool.take(*chances.shape)
    torch.bmm(chances.transpose(1, 2), given, out=back[2])
    torch.bmm(given, qkv[2].transpose(1, 2), out=scores)
    torch.ops.aten._softmax_backward_data.out(scores, chances, -1, torch.float32, grad_input=scores)
    torch.bmm(scores, qkv[1], out=back[0])
    torch.bmm(scores.transpose(1, 2), qkv[0], out=back[1])
    pool.give(scores)
    return back


class _Block(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *rest: Any) -> Tensor:
        qkv_weight, out_weight, gate_weight, down_weight, turns, bias, pool = rest
        weights = (qkv_weight, out_weight, gate_weight, down_weight)
        output, saved = _forward(x, weights, turns=turns, bias=bias, pool=pool, keep=True)
        ctx.kept, ctx.weights, ctx.turns, ctx.pool = saved, weights, turns, pool
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *given: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        qkv, chances, gates, opened, swished, acted, flat, seen, middle, scale, output, last_scale = ctx.kept
        qkv_weight, out_weight, gate_weight, down_weight = (weight.detach() for weight in ctx.weights)
        pool, half = ctx.pool, ctx.turns.shape[-1]
        (batch, length, width), rows = given[0].shape, flat.shape[0]
        heads = width // (2 * half)
        learned = ctx.needs_input_grad[1]

        total = _normalise_back(given[0].reshape(rows, width), output, last_scale)
        down = torch.mm(total.t(), acted) if learned else None
        inner = torch.mm(total, down_weight)
        gradient = _gates_back(inner, gates.chunk(2, -1)[1], opened, swished=swished, pool=pool)
        gate = torch.mm(gradient.t(), middle) if learned else None
        total = _normalise_back(torch.addmm(total, gradient, gate_weight), middle, scale)
        pool.give(gradient, gates, opened, swished, acted)

        out = torch.mm(total.t(), seen) if learned else None
        inner = torch.mm(total, out_weight).view(batch, length, heads, 2 * half).transpose(1, 2)
        back = _attention_back(inner.reshape(batch * heads, length, 2 * half), qkv, chances, pool)
        turned = torch.view_as_complex(back[:2].view(2, batch, heads, length, half, 2))
        turned.mul_(ctx.turns.conj())
        raw = pool.take(rows, 3 * width)
        raw.view(batch, length, 3, heads, 2 * half).copy_(
            back.view(3, batch, heads, length, 2 * half).permute(1, 3, 0, 2, 4)
        )
        attention = torch.mm(raw.t(), flat) if learned else None
        entering = torch.addmm(total, raw, qkv_weight) if ctx.needs_input_grad[0] else None
        pool.give(raw, back, qkv, chances)
        ctx.kept = None
        entered = None if entering is None else entering.view(batch, length, width)
        return entered, attention, out, gate, down, None, None, None
