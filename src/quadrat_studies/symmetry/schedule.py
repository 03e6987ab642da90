"""The learning rate of an epoch and the rows of a step. Both follow from the step: a resumed run needs no history."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from quadrat.tensor.stack import stream
from quadrat_studies.symmetry.config import Config


def learning_rate(config: Config, epoch: int) -> float:
    """The rate throughout an epoch, counted from 0: up from the floor over the warm-up, then down a half cosine."""
    peak = config.learning_rate
    floor = peak * config.floor_ratio
    if config.schedule == "constant":
        return peak
    if epoch < config.warmup_epochs:
        return floor + (peak - floor) * epoch / config.warmup_epochs
    progress = (epoch - config.warmup_epochs) / max(config.epochs - config.warmup_epochs, 1)
    return floor + (peak - floor) * (1 + math.cos(math.pi * progress)) / 2


@final
class Order:
    """Which rows each replica takes at each step: the training split over and over, each time in another order.

    A last batch that would be short is left out. A replica's order depends on its seed alone.
    """

    def __init__(self, seeds: Sequence[int], *, rows: int, batch: int) -> None:
        self._seeds, self._rows, self._batch = tuple(seeds), rows, batch
        self._pass = -1
        self._orders = torch.empty(0)

    def take(self, step: int) -> Tensor:
        """Row numbers ``[R, B]`` of the step."""
        passed, place = divmod(step, self._rows // self._batch)
        if passed != self._pass:
            streams = [stream(seed, f"order/{passed}") for seed in self._seeds]
            orders = [torch.randperm(self._rows, generator=generator).int() for generator in streams]
            self._orders, self._pass = torch.stack(orders), passed
        return self._orders[:, place * self._batch : (place + 1) * self._batch]
