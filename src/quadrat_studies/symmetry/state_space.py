"""The selective state space with one decay for each position, in three forms that agree.

    h_t = exp(a_t) h_{t-1} + dt_t b_t x_t^T        y_t = c_t^T h_t

Shapes: N sequences, L positions, S state, D channels, q positions read (the last ones; q = L unless said otherwise).

    x [N, L, D]   dt [N, L] > 0   a = log decay [N, L] <= 0   b [N, L, S]   c [N, q, S]   ->   y [N, q, D]

``sequential`` is the definition, one position after the other. ``quadratic`` writes the same sum as a matrix of scores
between positions, two products and no loop: the best form while L is at most about 64. ``chunked`` is quadratic inside
chunks and carries one state from each chunk to all later ones, again by a product.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

CHUNK = 32
LONGEST_QUADRATIC = 64


def scan(x: Tensor, *, dt: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The form that suits the length."""
    if x.shape[1] <= LONGEST_QUADRATIC or c.shape[1] == 1:
        return quadratic(x, dt=dt, a=a, b=b, c=c)
    return chunked(x, dt=dt, a=a, b=b, c=c)


def sequential(x: Tensor, *, dt: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The recurrence as it is written. For checking; every position is a step of Python."""
    decays = torch.exp(a).unbind(1)
    # Unbound once: indexing inside the loop would make autograd fill a whole tensor for every position.
    fed = zip(decays, dt.unbind(1), b.unbind(1), x.unbind(1), strict=True)
    h = x.new_zeros(x.shape[0], b.shape[2], x.shape[2])
    states: list[Tensor] = []
    for decay, step, b_t, x_t in fed:
        h = decay[:, None, None] * h + step[:, None, None] * b_t[:, :, None] * x_t[:, None, :]
        states.append(h)
    read = torch.stack(states[-c.shape[1] :], dim=1)  # [N, q, S, D]
    return (c[:, :, None, :] @ read).squeeze(2)


def scores(a: Tensor, *, b: Tensor, c: Tensor) -> Tensor:
    """How much of position j reaches position i, ``[N, q, L]``: decay from j to i times ``c_i . b_j``; 0 for j > i."""
    return decays(a, reads=c.shape[1]) * cast("Tensor", _Similarity.apply(c, b))


class _Similarity(torch.autograd.Function):
    """``c b^T``, ``[N, q, S]`` and ``[N, L, S]`` to ``[N, q, L]``. Autograd would make the gradient of b transposed, a
    product of an awkward shape that has to be turned around later: three times the work."""

    @staticmethod
    def forward(ctx: Any, c: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(c, b)
        return torch.bmm(c, b.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        c, b = ctx.saved_tensors
        return torch.bmm(grads[0], b), torch.bmm(grads[0].transpose(1, 2), c)


def decays(a: Tensor, *, reads: int) -> Tensor:
    """``exp(a_{j+1} + .. + a_i)``, ``[N, q, L]``: 1 on the diagonal, 0 above it."""
    reached = a.cumsum(1)
    spans = reached[:, -reads:, None] - reached[:, None, :]
    if reads > 1:
        later = torch.ones(reads, a.shape[1], dtype=torch.bool, device=a.device).triu(a.shape[1] - reads + 1)
        # Before exp, not after: the exponent of a later position is positive and may overflow.
        spans = spans.masked_fill(later, -torch.inf)
    return torch.exp(spans)


def quadratic(x: Tensor, *, dt: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """All pairs of positions at once."""
    return torch.bmm(scores(a, b=b, c=c) * dt[:, None, :], x)


def chunked(x: Tensor, *, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, chunk: int = CHUNK) -> Tensor:
    """Quadratic in each chunk of Q positions; K chunks hand their states on. Reads every position."""
    length = x.shape[1]
    # A padded position decays nothing and feeds nothing.
    x, b, c = (F.pad(t, (0, 0, 0, -length % chunk)).unflatten(1, (-1, chunk)) for t in (x, b, c))  # [N, K, Q, .]
    dt, a = (F.pad(t, (0, -length % chunk)).unflatten(1, (-1, chunk)) for t in (dt, a))  # [N, K, Q]
    each = {name: t.flatten(0, 1) for name, t in {"dt": dt, "a": a, "b": b, "c": c}.items()}
    inside = quadratic(x.flatten(0, 1), **each).view_as(x)
    since_start = a.cumsum(2)
    whole = since_start[:, :, -1]  # [N, K]
    fed = b * (torch.exp(whole[:, :, None] - since_start) * dt)[..., None]
    left = fed.transpose(2, 3) @ x  # [N, K, S, D]: what each chunk leaves at its end
    arriving = _between_chunks(whole) @ left.flatten(2)  # [N, K, S D]: what each chunk finds at its start
    carried = (c * torch.exp(since_start)[..., None]) @ arriving.view_as(left)
    return (inside + carried).flatten(1, 2)[:, :length]


def _between_chunks(whole: Tensor) -> Tensor:
    """Decay from the end of chunk j to the start of chunk i, ``[N, K, K]``; 0 unless j < i."""
    reached = whole.cumsum(1)
    spans = (reached - whole)[:, :, None] - reached[:, None, :]
    not_before = torch.ones(whole.shape[1], whole.shape[1], dtype=torch.bool, device=whole.device).triu()
    return torch.exp(spans.masked_fill(not_before, -torch.inf))
