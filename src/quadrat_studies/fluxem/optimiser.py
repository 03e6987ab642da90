"""AdamW on stacked parameters, weight decay on matrices only, and the learning rate of a step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

from torch import Tensor

from quadrat.tensor import stack
from quadrat_studies.fluxem.config import TrainingConfig


@final
class Optimiser:
    """Two groups: matrices ``[R, i, o]`` decay, biases, scales and other vectors ``[R, o]`` are left to themselves."""

    def __init__(self, parameters: Mapping[str, Tensor], *, weight_decay: float) -> None:
        matrices = {name: p for name, p in parameters.items() if p.ndim > 2}
        vectors = {name: p for name, p in parameters.items() if p.ndim <= 2}
        self._groups = {
            "matrices": (list(matrices), stack.AdamW(matrices, weight_decay=weight_decay)),
            "vectors": (list(vectors), stack.AdamW(vectors, weight_decay=0.0)),
        }

    def update(self, gradients: Mapping[str, Tensor], rates: Sequence[float], *, active: Sequence[bool]) -> None:
        """One step of every active replica, each at its own rate."""
        for names, optimiser in self._groups.values():
            optimiser.update([gradients[name] for name in names], rates, active=active)

    def member(self, index: int) -> dict[str, Any]:
        """Everything one replica's next update depends on, but for parameters and gradients."""
        return {group: optimiser.member(index) for group, (_, optimiser) in self._groups.items()}

    def put_member(self, index: int, state: Mapping[str, Any]) -> None:
        """Take back what ``member`` returned."""
        for group, (_, optimiser) in self._groups.items():
            optimiser.put_member(index, state[group])


def learning_rate(step: int, total: int, *, recipe: TrainingConfig) -> float:
    """The rate of the update that follows ``step`` updates."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    if recipe.schedule == "constant":
        return recipe.learning_rate
    progress = (step - recipe.warmup_steps) / max(total - recipe.warmup_steps, 1)
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
