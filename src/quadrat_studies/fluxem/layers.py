"""Layers of many replicas at once: every parameter has a leading axis R, every input is ``[R, B, ..]``.

Each replica's first weights come from its own seed and the layer's name, so they do not depend on who else is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from quadrat.tensor import stack

Seeds = Sequence[int]


@final
class Affine(nn.Module):
    """``x W + b``: ``[R, .., i]`` -> ``[R, .., o]``; uniform within one over the root of the fan-in.

    Rows that do not fill vector registers are filled up with zeros for the product: a matrix library rounds by how its
    operands lie in memory, and a member of a stack has to lie as it does alone.
    """

    def __init__(self, seeds: Seeds, name: str, *, fan_in: int, fan_out: int) -> None:
        super().__init__()
        bound = fan_in**-0.5
        self.weight = stack.uniform(seeds, f"{name}.weight", shape=(fan_in, fan_out), low=-bound, high=bound)
        self.bias = stack.uniform(seeds, f"{name}.bias", shape=(fan_out,), low=-bound, high=bound)

    def forward(self, x: Tensor, *, relu: bool = False) -> Tensor:
        """``[R, .., i]`` -> ``[R, .., o]``; with ``relu``, what is negative becomes 0."""
        replicas, fan_in, fan_out = self.weight.shape
        rows, weight, bias = x.reshape(replicas, -1, fan_in), self.weight, self.bias
        before, after = -fan_in % stack.REGISTER, -fan_out % stack.REGISTER
        if before:
            rows = F.pad(rows, (0, before))
        if before or after:
            weight, bias = F.pad(weight, (0, after, 0, before)), F.pad(bias, (0, after))
        product = torch.baddbmm(bias[:, None], rows, weight)
        if relu:
            product = product.relu_()  # here, since in place on a view autograd would copy the whole gradient
        return product[..., :fan_out].reshape(*x.shape[:-1], fan_out)


@final
class Norm(nn.Module):
    """Mean 0 and variance 1 over the last axis, then a scale and a shift of each replica's own."""

    def __init__(self, replicas: int, width: int) -> None:
        super().__init__()
        self.weight = stack.constant(replicas, shape=(width,), value=1.0)
        self.bias = stack.constant(replicas, shape=(width,), value=0.0)

    def forward(self, x: Tensor) -> Tensor:
        """``[R, .., h]`` -> ``[R, .., h]``."""
        unit = F.layer_norm(x, x.shape[-1:])
        return torch.addcmul(stack.spread(self.bias, x), unit, stack.spread(self.weight, x))


@final
class Table(nn.Module):
    """A learned vector for each id: ``[R, ..]`` -> ``[R, .., h]``."""

    def __init__(self, seeds: Seeds, name: str, *, rows: int, width: int, std: float) -> None:
        super().__init__()
        self.weight = stack.normal(seeds, name, shape=(rows, width), std=[std] * len(seeds))

    def forward(self, ids: Tensor) -> Tensor:
        """Ids ``[R, ..]``, the replicas' own, or ``[..]``, the same for all."""
        if ids.ndim == 1:
            return self.weight[:, ids]
        return stack.lookup(self.weight, ids)


@final
class Dropout:
    """Zeros of each replica's own: drawn for a step from its seed and the step, so that nothing has a history.

    One draw serves all layers of a step; ``forward`` takes its masks one after the other.
    """

    def __init__(self, seeds: Seeds, rate: float, *, step: int) -> None:
        self.rate = rate
        self._streams = [stack.stream(seed, f"dropout/{step}") for seed in seeds] if rate else []

    def __call__(self, x: Tensor) -> Tensor:
        """``x`` with a share ``rate`` of its elements at 0 and the others larger by as much."""
        if not self.rate:
            return x
        kept = torch.empty(x.shape)  # on the CPU, so that a device sees the same masks
        for row, generator in zip(kept, self._streams, strict=True):
            row.bernoulli_(1 - self.rate, generator=generator)
        return x * kept.to(x.device, x.dtype).div_(1 - self.rate)
