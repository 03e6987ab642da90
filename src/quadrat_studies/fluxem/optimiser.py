"""AdamW on torch's fused kernel, without ``torch.optim.Optimizer``.

The class would import torch's compiler on its first use: two seconds of CPU in every run, longer than a smoke
run trains. What is left is a list of moments, and so the state for a checkpoint is plain as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, final

import torch
from torch import nn
from torch.optim.adamw import adamw

from quadrat_studies.fluxem.config import TrainingConfig

BETAS = (0.9, 0.999)
EPSILON = 1e-8


@final
class AdamW:
    """Adam with decoupled weight decay on matrices; biases, scales and other vectors are left to themselves."""

    def __init__(self, model: nn.Module, *, weight_decay: float) -> None:
        parameters = dict(model.named_parameters())
        self._groups = [
            ({name: p for name, p in parameters.items() if p.ndim > 1}, weight_decay),
            ({name: p for name, p in parameters.items() if p.ndim <= 1}, 0.0),
        ]
        self._counts = {name: torch.zeros((), device=p.device) for name, p in parameters.items()}
        self._first = {name: torch.zeros_like(p) for name, p in parameters.items()}
        self._second = {name: torch.zeros_like(p) for name, p in parameters.items()}

    @torch.no_grad()
    def update(self, rate: float) -> None:
        """One step along the gradients."""
        for group, decay in self._groups:
            held = {name: p for name, p in group.items() if p.grad is not None}
            adamw(
                list(held.values()),
                [p.grad for p in held.values() if p.grad is not None],
                [self._first[name] for name in held],
                [self._second[name] for name in held],
                [],
                [self._counts[name] for name in held],
                fused=True,
                amsgrad=False,
                beta1=BETAS[0],
                beta2=BETAS[1],
                lr=rate,
                weight_decay=decay,
                eps=EPSILON,
                maximize=False,
            )

    def state(self) -> dict[str, Any]:
        """Everything the next update depends on, but for parameters and gradients."""
        return {"count": self._counts, "first": self._first, "second": self._second}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take back what ``state`` returned."""
        for mine, theirs in zip(self.state().values(), (state[key] for key in self.state()), strict=True):
            for name, tensor in mine.items():
                tensor.copy_(theirs[name])


def learning_rate(step: int, total: int, *, recipe: TrainingConfig) -> float:
    """The rate of the update that follows ``step`` updates."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    if recipe.schedule == "constant":
        return recipe.learning_rate
    progress = (step - recipe.warmup_steps) / max(total - recipe.warmup_steps, 1)
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
