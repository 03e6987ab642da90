"""Projection, causal depthwise convolution and SiLU: the part of a Mamba block that costs most, in three exact ways.

Shapes: R replicas, B sequences, L positions, q positions read (the last ones), d width, C channels, K taps.

    x = u W                                            u [R, B, L, d], W [R, d, C]
    c_t = bias + sum_k tap_k x_{t-K+1+k}               taps [R, K, C], bias [R, C], zeros before the first position
    v = SiLU(c), SiLU(c) + x or SiLU(c) o x            [R, B, q, C], handed out in parts

``plain`` says it in torch's own words. ``merged`` uses that a convolution after a projection is one product, of the
last K inputs side by side with K scaled copies of W; it has no branch, because it never makes x. ``tapped`` goes
through the replicas one by one, so that a replica's channels stay in the processor's cache over all taps, forward and
backward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, cast, final

import torch
from torch import Tensor
from torch.nn import functional as F

from quadrat.tensor.stack import project, spread

Parts: TypeAlias = tuple[Tensor, ...]
Branch: TypeAlias = Literal["none", "add", "multiply"]


class Kernel(NamedTuple):
    """The weights, each with its replica axis."""

    weight: Tensor
    taps: Tensor
    bias: Tensor


@final
@dataclass(frozen=True, slots=True)
class Form:
    """What is wanted of a convolution: ``widths`` cut the channels into parts, ``branch`` is where x comes in again."""

    widths: tuple[int, ...]
    reads: int
    branch: Branch = "none"


def convolve(u: Tensor, kernel: Kernel, *, form: Form) -> Parts:
    """The fastest of the three for where the tensors are."""
    u = u[:, :, -(form.reads + kernel.taps.shape[1] - 1) :]
    if u.device.type == "cpu" and not torch.compiler.is_compiling():
        return tapped(u, kernel, form=form)
    return merged(u, kernel, form=form) if form.branch == "none" else plain(u, kernel, form=form)


def plain(u: Tensor, kernel: Kernel, *, form: Form) -> Parts:
    """As it is defined."""
    length, count = u.shape[2], kernel.taps.shape[1]
    x = project(u, kernel.weight)
    padded = F.pad(x, (0, 0, count - 1, 0))
    shifted = (padded[:, :, k : k + length] * spread(kernel.taps[:, k], x) for k in range(count))
    v = F.silu(sum(shifted, start=spread(kernel.bias, x)))
    if form.branch != "none":
        v = v + x if form.branch == "add" else v * x
    return v[:, :, -form.reads :].split(list(form.widths), dim=-1)


def merged(u: Tensor, kernel: Kernel, *, form: Form) -> Parts:
    """As one product. Without a branch only."""
    if form.branch != "none":
        raise ValueError(f"a merged convolution has no branch, but got {form.branch!r}")
    skip, count = u.shape[2] - form.reads, kernel.taps.shape[1]
    padded = F.pad(u, (0, 0, count - 1, 0))
    windows = torch.cat([padded[:, :, k + skip : k + u.shape[2]] for k in range(count)], dim=-1)  # [R, B, q, K d]
    weight = (kernel.taps[:, :, None, :] * kernel.weight[:, None]).flatten(1, 2)  # [R, K d, C]
    c = project(windows, weight)
    return F.silu(c + spread(kernel.bias, c)).split(list(form.widths), dim=-1)


def tapped(u: Tensor, kernel: Kernel, *, form: Form) -> Parts:
    """Replica by replica, forward and backward."""
    return cast("Parts", _Tapped.apply(u, *kernel, form))


class _Tapped(torch.autograd.Function):
    """What autograd would do, in the order that suits the cache. Each pass writes into memory that is there already."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, weight: Tensor, taps: Tensor, bias: Tensor, form: Form) -> Parts:  # noqa: PLR0917
        replicas, rows, length, _ = u.shape
        channels, skip = weight.shape[2], length - form.reads
        x = u.new_empty(replicas, rows, length, channels)
        c = u.new_empty(replicas, rows, form.reads, channels)
        v = u.new_empty(rows, form.reads, channels)
        parts = tuple(u.new_empty(replicas, rows, form.reads, width) for width in form.widths)
        lags = _lags(taps.shape[1], length, skip=skip)
        for r in range(replicas):
            x_r, c_r, taps_r = x[r], c[r], taps[r].unbind()
            torch.mm(u[r].flatten(0, 1), weight[r], out=x_r.view(-1, channels))
            torch.addcmul(bias[r], x_r[:, skip:], taps_r[-1], out=c_r)
            for tap, (reached, source) in zip(taps_r, lags, strict=False):
                c_r[:, reached].addcmul_(x_r[:, source], tap)
            torch.ops.aten.silu.out(c_r, out=v)
            if form.branch != "none":
                (v.add_ if form.branch == "add" else v.mul_)(x_r[:, skip:])
            for part, piece in zip(parts, v.split(list(form.widths), dim=-1), strict=True):
                part[r].copy_(piece)
        ctx.save_for_backward(u, weight, taps, x, c)
        ctx.form = form
        return parts

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        u, weight, taps, x, c = ctx.saved_tensors
        du, dweight, dtaps = torch.empty_like(u), torch.empty_like(weight), torch.empty_like(taps)
        dbias = taps.new_empty(taps.shape[0], taps.shape[2])
        dv, dc, dx = torch.empty_like(c[0]), torch.empty_like(c[0]), torch.empty_like(x[0])
        product = torch.empty_like(dc).flatten()
        lags = _lags(taps.shape[1], u.shape[2], skip=u.shape[2] - c.shape[2])
        for r in range(len(u)):
            torch.cat([grad[r] for grad in grads], dim=-1, out=dv)
            through = _through_activation(dv, x[r], c=c[r], branch=ctx.form.branch, out=dc)
            torch.sum(dc, (0, 1), out=dbias[r])
            _through_taps(dc, x[r], taps[r], dx=dx, dtaps=dtaps[r], lags=lags, product=product)
            if through is not None:
                dx[:, -c.shape[2] :] += through
            flat = dx.flatten(0, 1)
            torch.mm(flat, weight[r].t(), out=du[r].flatten(0, 1))
            torch.mm(u[r].flatten(0, 1).t(), flat, out=dweight[r])
        return du, dweight, dtaps, dbias, None


def _through_activation(dv: Tensor, x: Tensor, *, c: Tensor, branch: str, out: Tensor) -> Tensor | None:
    """Gradient of c into ``out``, and what reaches x past the convolution."""
    gradient = dv * x[:, -c.shape[1] :] if branch == "multiply" else dv
    torch.ops.aten.silu_backward.grad_input(gradient, c, grad_input=out)
    if branch == "multiply":
        return dv * F.silu(c)
    return dv if branch == "add" else None


def _through_taps(
    dc: Tensor, x: Tensor, taps: Tensor, *, dx: Tensor, dtaps: Tensor, lags: list[tuple[slice, slice]], product: Tensor
) -> None:
    """Gradients of x and of the taps from the gradient of c. ``product`` is room for as many numbers as dc has."""
    skip = x.shape[1] - dc.shape[1]
    dx[:, :skip] = 0
    torch.mul(dc, taps[-1], out=dx[:, skip:])
    whole = [*lags, (slice(None), slice(skip, None))]
    for k, (reached, source) in enumerate(whole):
        dc_k = dc[:, reached]
        if k < len(lags):
            dx[:, source].addcmul_(dc_k, taps[k])
        # A contiguous product, whatever the lag: adding up one with gaps is three times as slow.
        gathered = product[: dc_k.numel()].view(dc_k.shape)
        torch.sum(torch.mul(dc_k, x[:, source], out=gathered), (0, 1), out=dtaps[k])


def _lags(count: int, length: int, *, skip: int) -> list[tuple[slice, slice]]:
    """For each tap but the last: the read positions that it reaches, and the positions it takes them from."""
    lags = range(count - 1, 0, -1)
    return [(slice(max(lag - skip, 0), None), slice(max(skip - lag, 0), max(length - lag, 0))) for lag in lags]
