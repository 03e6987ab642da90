"""AdamW on torch's fused kernel, without ``torch.optim.Optimizer``, whose first use imports torch's compiler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import nn
from torch.optim.adamw import adamw

BETAS = (0.9, 0.999)
EPSILON = 1e-8


@final
class AdamW:
    """Adam with decoupled weight decay on matrices; biases, scales and other vectors are left to themselves."""

    def __init__(self, model: nn.Module, *, weight_decay: float) -> None:
        self.parameters = dict(model.named_parameters())
        self.weight_decay = weight_decay
        self._counts = {name: torch.zeros((), device=p.device) for name, p in self.parameters.items()}
        self._first = {name: torch.zeros_like(p) for name, p in self.parameters.items()}
        self._second = {name: torch.zeros_like(p) for name, p in self.parameters.items()}

    @torch.no_grad()
    def update(self, rate: float) -> None:
        """One step along the gradients."""
        for matrices, decay in ((True, self.weight_decay), (False, 0.0)):
            names = [n for n, p in self.parameters.items() if p.grad is not None and (p.ndim > 1) == matrices]
            gradients = [p.grad for n in names if (p := self.parameters[n]).grad is not None]
            adamw(
                [self.parameters[name] for name in names],
                gradients,
                [self._first[name] for name in names],
                [self._second[name] for name in names],
                [],
                [self._counts[name] for name in names],
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
