"""Layers that were made to calculate, on a board of their own: they are given the operands as plain numbers.

Shapes: R replicas, B samples, n inputs. Every layer maps ``[R, B, n]`` to one number a sample, ``[R, B]``.

    nac    y = W x,  W = tanh(A) sigmoid(M)                                     Trask et al. 2018, arXiv 1808.00508
    nalu   y = g W x + (1 - g) exp(W ln(|x| + eps)),  g = sigmoid(G x)          the same
    nau    y = W x,  W clipped to [-1, 1]                                       Madsen & Johansen 2020, arXiv 2001.05016
    nmu    y = prod_i (w_i x_i + 1 - w_i),  w clipped to [0, 1]                 the same
    mlp    two hidden layers on asinh(x), read back through sinh                what needs no such layer

``nau`` and ``nmu`` are pulled towards whole weights by a penalty that begins part of the way through training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor, nn

from quadrat.tensor import stack
from quadrat_studies.fluxem.layers import Affine, Seeds

EPSILON = 1e-7
HIDDEN = 64
LARGEST_EXPONENT = 60.0


class Calculator(nn.Module, ABC):
    """One layer of each replica."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """``[R, B, n]`` -> ``[R, B]``."""

    def penalty(self) -> Tensor | None:
        """How far the weights are from whole numbers, ``[R]``; None for layers that are not pulled."""
        return None

    @torch.no_grad()
    def constrain(self) -> None:
        """Put the weights back where they are allowed to be; called after every update."""


def _weights(seeds: Seeds, name: str, inputs: int, *, bound: float | None = None) -> nn.Parameter:
    limit = (6 / (inputs + 1)) ** 0.5 if bound is None else bound
    return stack.uniform(seeds, name, shape=(inputs,), low=-limit, high=limit)


def _weigh(x: Tensor, weight: Tensor) -> Tensor:
    return (x * weight[:, None]).sum(-1)


@final
class Nac(Calculator):
    """A sum with weights that tend to -1, 0 and 1."""

    def __init__(self, seeds: Seeds, inputs: int) -> None:
        super().__init__()
        self.a, self.m = _weights(seeds, "nac.a", inputs), _weights(seeds, "nac.m", inputs)

    def forward(self, x: Tensor) -> Tensor:
        """``[R, B, n]`` -> ``[R, B]``."""
        return _weigh(x, self.a.tanh() * self.m.sigmoid())


@final
class Nalu(Calculator):
    """A sum and a product with the same weights, and a gate between them."""

    def __init__(self, seeds: Seeds, inputs: int) -> None:
        super().__init__()
        self.a, self.m = _weights(seeds, "nalu.a", inputs), _weights(seeds, "nalu.m", inputs)
        self.g = _weights(seeds, "nalu.g", inputs)

    def forward(self, x: Tensor) -> Tensor:
        """``[R, B, n]`` -> ``[R, B]``."""
        weight = self.a.tanh() * self.m.sigmoid()
        gate = _weigh(x, self.g).sigmoid()
        product = _weigh((x.abs() + EPSILON).log(), weight).clamp(max=LARGEST_EXPONENT).exp()
        return gate * _weigh(x, weight) + (1 - gate) * product


@final
class Nau(Calculator):
    """A sum with weights held in [-1, 1]."""

    def __init__(self, seeds: Seeds, inputs: int) -> None:
        super().__init__()
        self.w = _weights(seeds, "nau.w", inputs, bound=min(0.5, (6 / (inputs + 1)) ** 0.5))

    def forward(self, x: Tensor) -> Tensor:
        """``[R, B, n]`` -> ``[R, B]``."""
        return _weigh(x, self.w)

    def penalty(self) -> Tensor:
        """Mean distance from the nearest whole weight, ``[R]``."""
        return torch.minimum(self.w.abs(), 1 - self.w.abs()).mean(1)

    @torch.no_grad()
    def constrain(self) -> None:
        """Put weights that left the range back on its border."""
        self.w.clamp_(-1.0, 1.0)


@final
class Nmu(Calculator):
    """A product of the inputs that are chosen, 1 for the others."""

    def __init__(self, seeds: Seeds, inputs: int) -> None:
        super().__init__()
        self.w = stack.uniform(seeds, "nmu.w", shape=(inputs,), low=0.25, high=0.75)

    def forward(self, x: Tensor) -> Tensor:
        """``[R, B, n]`` -> ``[R, B]``."""
        return (self.w[:, None] * x + 1 - self.w[:, None]).prod(-1)

    def penalty(self) -> Tensor:
        """Mean distance from the nearest whole weight, ``[R]``."""
        return torch.minimum(self.w, 1 - self.w).mean(1)

    @torch.no_grad()
    def constrain(self) -> None:
        """Put weights that left the range back on its border."""
        self.w.clamp_(0.0, 1.0)


@final
class Mlp(Calculator):
    """No arithmetic built in."""

    def __init__(self, seeds: Seeds, inputs: int) -> None:
        super().__init__()
        self.first = Affine(seeds, "mlp.first", fan_in=inputs, fan_out=HIDDEN)
        self.second = Affine(seeds, "mlp.second", fan_in=HIDDEN, fan_out=HIDDEN)
        self.last = Affine(seeds, "mlp.last", fan_in=HIDDEN, fan_out=1)

    def forward(self, x: Tensor) -> Tensor:
        """``[R, B, n]`` -> ``[R, B]``."""
        hidden = self.second(self.first(x.asinh()).relu()).relu()
        return self.last(hidden)[..., 0].clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT).sinh()


def build(kind: str, seeds: Seeds, *, inputs: int) -> Calculator:
    """Fresh layers, weights from the seeds alone."""
    kinds: dict[str, type[Nac] | type[Nalu] | type[Nau] | type[Nmu] | type[Mlp]] = {
        "nac": Nac,
        "nalu": Nalu,
        "nau": Nau,
        "nmu": Nmu,
        "mlp": Mlp,
    }
    return kinds[kind](seeds, inputs)
