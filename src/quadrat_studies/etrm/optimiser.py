"""All weights as one vector: AdamATan2 on it, gradient norms, clipping, averaging.

Weights and gradients of a model are views of two long vectors, encoder first, decoder behind it. One update is then a
few operations whatever the number of matrices, processes exchange one array, and a norm is the norm of a slice.

AdamATan2 (arXiv 2407.05872): ``w -= lr * atan2(m, sqrt(v))`` with bias-corrected moments and decoupled decay. There is
no epsilon, and the step is bounded whatever the scale of the gradient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from quadrat_studies.etrm.config import TrainingConfig
from quadrat_studies.etrm.model import Solver


@final
class FlatWeights:
    """The weights of a solver and their gradients as vectors."""

    def __init__(self, model: Solver) -> None:
        named = sorted(model.named_parameters(), key=lambda pair: not pair[0].startswith("encoder."))
        parameters = [parameter for _, parameter in named]
        self.encoder_size = sum(p.numel() for name, p in named if name.startswith("encoder."))
        self.values = torch.cat([p.detach().reshape(-1) for p in parameters])
        self.gradient = torch.zeros_like(self.values)
        begin = 0
        for parameter in parameters:
            end = begin + parameter.numel()
            parameter.data = self.values[begin:end].view_as(parameter)
            parameter.grad = self.gradient[begin:end].view_as(parameter)
            begin = end

    @property
    def encoder(self) -> slice:
        """Where the encoder's weights are."""
        return slice(0, self.encoder_size)

    @property
    def inner(self) -> slice:
        """Where the decoder's weights are."""
        return slice(self.encoder_size, len(self.values))

    def norms(self) -> Tensor:
        """Norms of the gradient: encoder, decoder, all; float64 ``[3]``."""
        encoder = self.gradient[self.encoder].norm().double()
        inner = self.gradient[self.inner].norm().double()
        return torch.stack((encoder, inner, torch.hypot(encoder, inner)))

    def clip(self, largest: float, norm: Tensor) -> Tensor:
        """Shrink the gradient of total ``norm`` to ``largest``; the factor it was multiplied with."""
        if not largest:
            return torch.ones_like(norm)
        factor = (largest / (norm + 1e-6)).clamp(max=1.0)
        self.gradient.mul_(factor.to(self.gradient.dtype))
        return factor


@final
class AdamATan2:
    """See the module's text. State and averaged weights are vectors like the weights."""

    def __init__(self, weights: FlatWeights, recipe: TrainingConfig) -> None:
        self._weights, self._recipe = weights, recipe
        self._first, self._second = torch.zeros_like(weights.values), torch.zeros_like(weights.values)
        self._counts = {"encoder": 0, "inner": 0}
        self.averaged = weights.values.clone()

    @torch.no_grad()
    def update(self, rate: float, *, freeze_inner: bool = False) -> None:
        """One step along the gradient, and one of the average. A frozen decoder keeps its weights and moments."""
        self._move("encoder", self._weights.encoder, rate)
        if not freeze_inner:
            self._move("inner", self._weights.inner, rate)
        if self._recipe.ema:
            self.averaged.lerp_(self._weights.values, 1 - self._recipe.ema_rate)
        else:
            self.averaged.copy_(self._weights.values)

    def _move(self, part: str, at: slice, rate: float) -> None:
        recipe, gradient, values = self._recipe, self._weights.gradient[at], self._weights.values[at]
        first, second = self._first[at], self._second[at]
        self._counts[part] += 1
        first.lerp_(gradient, 1 - recipe.beta1)
        second.mul_(recipe.beta2).addcmul_(gradient, gradient, value=1 - recipe.beta2)
        # Both corrections on one side: atan2 depends on the ratio alone.
        ratio = math.sqrt(1 - recipe.beta2 ** self._counts[part]) / (1 - recipe.beta1 ** self._counts[part])
        step = torch.atan2(first * ratio, second.sqrt())
        values.mul_(1 - rate * recipe.weight_decay).add_(step, alpha=-rate)

    def state(self) -> dict[str, Any]:
        """Everything the next update depends on, weights included."""
        return {
            "values": self._weights.values,
            "first": self._first,
            "second": self._second,
            "averaged": self.averaged,
            "counts": dict(self._counts),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state`` returned."""
        mine = self.state()
        for name in ("values", "first", "second", "averaged"):
            mine[name].copy_(state[name])
        self._counts = {name: int(count) for name, count in state["counts"].items()}


def learning_rate(step: int, recipe: TrainingConfig) -> float:
    """The rate of the update after ``step`` updates: up in a line, then down a half cosine to ``lr_min_ratio``."""
    if step < recipe.lr_warmup_steps:
        return recipe.lr * (step + 1) / recipe.lr_warmup_steps
    progress = (step - recipe.lr_warmup_steps) / max(recipe.max_steps - recipe.lr_warmup_steps, 1)
    falling = 0.5 * (1 + math.cos(math.pi * progress))
    return recipe.lr * (recipe.lr_min_ratio + (1 - recipe.lr_min_ratio) * falling)


@torch.no_grad()
def sign_descent(table: Tensor, rows: Tensor, *, gradient: Tensor, rate: float, decay: float) -> None:
    """TRM's update of embedding vectors: those in the batch move by ``rate`` against the sign of their gradient.

    Args:
        table: ``[P, D]``, changed in place.
        rows: ``[B]``, which vectors were used; a vector used twice has its gradients added first.
        gradient: ``[B, D]``.
        rate: step of each coordinate.
        decay: decoupled weight decay.
    """
    used, places = rows.unique(return_inverse=True)
    total = torch.zeros(len(used), table.shape[1], dtype=gradient.dtype, device=table.device)
    total.index_add_(0, places, gradient)
    table[used] = table[used] * (1 - rate * decay) - rate * total.sign()
