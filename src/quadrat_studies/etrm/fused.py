"""One transformer block on a CPU, forward and backward by hand.

The same function as ``layers.plain_block`` in post-norm form, in fewer passes over memory: torch multiplies matrices,
the loops of ``kernels.py`` do everything between. ``benchmarks/etrm_step.py`` has the gain.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHANNELS = 16
"""Channels of a head that the loops are written for."""

Weights: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]
"""``qkv`` [3D, D], ``out`` [D, D], ``gate_up`` [2M, D] and ``down`` [D, M] of a block."""


@cache
def loops() -> Any:
    """``kernels``, imported when first needed (0.3 s); None where numba is not installed."""
    try:
        from quadrat_studies.etrm import kernels
    except ImportError:
        return None
    # glibc gives every freed array of more than 128 kB back to the system and pays for its pages again at the next one,
    # 7 % of a step, until it has seen a larger one freed: from then on it keeps what is smaller than that.
    torch.empty(31 << 20, dtype=torch.uint8)
    return kernels


def applies(x: Tensor, weights: Weights, channels: int) -> bool:
    """Whether this implementation may be used for input ``x`` of shape ``[B, N, D]`` and heads of ``channels``."""
    in_lanes = channels == CHANNELS and weights[3].shape[1] % CHANNELS == 0
    plain = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return in_lanes and plain and loops() is not None


def fused_block(x: Tensor, weights: Weights, *, turns: Tensor, bias: Tensor | None) -> Tensor:
    """Apply a block.

    Args:
        x: ``[B, N, D]``, float32.
        weights: see ``Weights``.
        turns: ``[2, B or 1, 1, N, d/2]`` complex: what queries (already scaled) and keys are multiplied with.
        bias: ``[B, 1, N]`` added to the attention scores of each key; None for none.
    """
    if torch.is_grad_enabled() and (x.requires_grad or weights[0].requires_grad):
        return _Block.apply(x, *weights, turns, bias)
    return _forward(x, weights, turns=turns, bias=bias)[0]


_onednn = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None


def product(rows: Tensor, weight: Tensor) -> Tensor:
    """``rows weight^T``, by oneDNN where torch has it.

    MKL, which torch asks otherwise, keeps to AVX2 on processors that are not Intel's: 6 to 10 % slower there.
    """
    return torch.mm(rows, weight.t()) if _onednn is None else _onednn(rows, weight, None, "none", [], "")


@cache
def _workplace(length: int) -> tuple[np.ndarray, np.ndarray]:
    """What attention over so many tokens works in, and its bias where no key has one."""
    return loops().scratch(length), _padded(np.zeros((1, length), np.float32))


def _padded(bias: np.ndarray) -> np.ndarray:
    beyond = loops().padded(bias.shape[1]) - bias.shape[1]
    return np.pad(bias, ((0, 0), (0, beyond)), constant_values=loops().MASKED).reshape(-1)


def _flat(array: Tensor) -> np.ndarray:
    return array.view(-1).numpy()


def _forward(x: Tensor, weights: Weights, *, turns: Tensor, bias: Tensor | None) -> tuple[Tensor, tuple[Any, ...]]:
    """The output, and what the backward pass needs."""
    (batch, length, width), run = x.shape, loops()
    rows = batch * length
    qkv_weight, out_weight, gate_weight, down_weight = (weight.detach() for weight in weights)
    flat = x.detach().reshape(rows, width)
    work, no_bias = _workplace(length)
    angles = _flat(torch.view_as_real(turns))
    key_bias = no_bias if bias is None else _padded(bias[:, 0].detach().numpy())
    scales, logs = np.empty((2, rows), np.float32), np.empty((batch, width // CHANNELS, length), np.float32)

    qkv, seen = product(flat, qkv_weight), torch.empty(rows, width)
    run.attend(_flat(qkv), angles, key_bias, work, _flat(seen), logs)
    middle = product(seen, out_weight)
    run.normalise(middle.numpy(), flat.numpy(), scales[0])
    gates, acted = product(middle, gate_weight), torch.empty(rows, down_weight.shape[1])
    run.gate(gates.numpy(), acted.numpy())
    output = product(acted, down_weight)
    run.normalise(output.numpy(), middle.numpy(), scales[1])
    return output.view(batch, length, width), (qkv, angles, key_bias, seen, logs, flat, middle, gates, output, scales)


class _Block(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, *rest: Any) -> Tensor:
        qkv_weight, out_weight, gate_weight, down_weight, turns, bias = rest
        ctx.weights = (qkv_weight, out_weight, gate_weight, down_weight)
        output, ctx.kept = _forward(x, ctx.weights, turns=turns, bias=bias)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *given: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        qkv, angles, key_bias, seen, logs, flat, middle, gates, output, scales = ctx.kept
        ctx.kept = None
        qkv_weight, out_weight, gate_weight, down_weight = (weight.detach() for weight in ctx.weights)
        (batch, length, width), rows = given[0].shape, flat.shape[0]
        run, learned = loops(), ctx.needs_input_grad[1]

        slopes = torch.zeros(rows, width)
        run.normalise_back(
            given[0].reshape(rows, width).contiguous().numpy(), slopes.numpy(), output.numpy(), scales[1]
        )
        acted = product(slopes, down_weight.t())
        run.gate_back(gates.numpy(), acted.numpy())  # gates hold their gradient from here on, acted what they gave
        down = torch.mm(slopes.t(), acted) if learned else None
        gate = torch.mm(gates.t(), middle) if learned else None
        run.normalise_back(product(gates, gate_weight.t()).numpy(), slopes.numpy(), middle.numpy(), scales[0])
        out = torch.mm(slopes.t(), seen) if learned else None
        entered = product(slopes, out_weight.t())
        place = (_flat(qkv), angles, key_bias, _workplace(length)[0])
        run.attend_back(*place, _flat(seen), logs, _flat(entered))
        attention = torch.mm(qkv.t(), flat) if learned else None  # qkv hold their gradient by now
        x = product(qkv, qkv_weight.t()).add_(slopes).view(batch, length, width) if ctx.needs_input_grad[0] else None
        return x, attention, out, gate, down, None, None
