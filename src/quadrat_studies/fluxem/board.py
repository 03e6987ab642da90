"""The board of calculating layers: gold operands in, one number out, exact or not.

It is not comparable with the arms that read text, which have to find the operands and the operation first, so it is
a trainable of its own. The task follows Madsen & Johansen (arXiv 1910.01888): some inputs count and the others are to
be ignored; a layer is trained on small numbers and asked about large ones; a run either extrapolates or does not, and
what is reported is the share of seeds that do. One run knows one operation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal, Self, TypeAlias, final

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from quadrat import Checkpoint, Context, Event, Metrics, Note
from quadrat.tensor import stack
from quadrat_studies.fluxem.calculators import build

Range = tuple[int, int]
Told: TypeAlias = Generator[Sequence[Event | None], frozenset[int] | None, None]

__all__ = ["BoardConfig", "pack_key", "pack_tokens", "train", "train_pack"]


@final
class BoardConfig(BaseModel):
    """One run of the board."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layer: Literal["nac", "nalu", "nau", "nmu", "mlp"] = "nau"
    operation: Literal["+", "-", "*", "/"] = "+"
    """What is asked of the first two inputs. A divisor need not divide: answers are compared as ratios then."""
    distractors: int = Field(default=2, ge=0)
    """Inputs beside the two operands, to be ignored."""
    id_range: Range = (1, 20)
    """Operands and distractors in training, whole numbers."""
    ood_range: Range = (100, 999)
    """The same when asked about large numbers."""
    steps: int = Field(default=4000, ge=1)
    batch_size: int = Field(default=128, ge=1)
    learning_rate: float = Field(default=1e-2, gt=0.0)
    penalty: float = Field(default=1.0, ge=0.0)
    """Weight of the pull towards whole weights, reached at ``penalty_until`` and 0 before ``penalty_from``."""
    penalty_from: float = Field(default=0.25, ge=0.0, le=1.0)
    penalty_until: float = Field(default=0.5, ge=0.0, le=1.0)
    """Both as shares of all steps."""
    test_size: int = Field(default=2000, ge=1)
    tolerance: float = Field(default=1e-3, gt=0.0)
    """For "/": the relative error that still counts as right; whole answers must be right after rounding."""
    log_every: int = Field(default=200, ge=1)

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        for name in ("id_range", "ood_range"):
            low, high = getattr(self, name)
            if not 1 <= low < high:
                raise ValueError(f"{name} must rise and begin at 1 or above, but got [{low}, {high}]")
        if self.penalty_from > self.penalty_until:
            raise ValueError("penalty_from lies after penalty_until")
        return self


def train(config: BoardConfig, context: Context) -> Iterator[Event]:
    """Train one layer and ask it about numbers inside and outside the trained range."""
    for row in train_pack([config], [context]):
        yield from (event for event in row if event is not None)


def train_pack(configs: Sequence[BoardConfig], contexts: Sequence[Context]) -> Told:
    """Train runs with equal ``pack_key`` at once.

    Raises:
        UsageError: the runs do not fit together.
    """
    stack.check_members(configs, contexts, key=pack_key, differ="the seed")
    yield from _Board(configs[0], contexts).run()


def pack_key(config: BoardConfig) -> str:
    """What must be equal for runs to be trained in one pack, as text."""
    return json.dumps(config.model_dump(mode="json"), sort_keys=True)


def pack_tokens(config: BoardConfig) -> int:
    """How much one run adds to a packed step; a layer is far smaller than a decoder's column."""
    return max(1, config.batch_size // 16)


def exact(operation: str, x: Tensor) -> Tensor:
    """The answers to inputs ``[.., n]`` in float64, ``[..]``."""
    left, right = x[..., 0].double(), x[..., 1].double()
    return {"+": left + right, "-": left - right, "*": left * right, "/": left / right}[operation]


@final
class _Board:
    """The loop over all members."""

    def __init__(self, config: BoardConfig, contexts: Sequence[Context]) -> None:
        self.config, self.contexts, self.device = config, contexts, contexts[0].device
        self.seeds = [context.seed for context in contexts]
        self.layer = build(config.layer, self.seeds, inputs=2 + config.distractors).to(self.device)
        self.parameters = dict(self.layer.named_parameters())
        self.optimiser = stack.AdamW(self.parameters, weight_decay=0.0)
        self.scale = exact(config.operation, self._draw(config.id_range, "scale", 4096)).std(1).float()
        self.losses = torch.zeros(len(contexts), device=self.device)
        self.starts, self.stopped = [0] * len(contexts), set[int]()
        for index, context in enumerate(contexts):
            if context.state is not None:
                self._load(index, context.state)
        self.step = min(self.starts)

    def run(self) -> Told:
        """Every remaining step and the final answers."""
        count = sum(p[0].numel() for p in self.parameters.values())
        yield from self._tell(lambda _: Note("derived", {"parameter_count": count}), self._at_work)
        while self.step < self.config.steps and any(self._at_work):
            self._update()
            if self.step % self.config.log_every == 0 or self.step == self.config.steps:
                yield from self._tell(self._vital_signs, self._moved)
            yield from self._tell(lambda index: Checkpoint(self.step, partial(self._state, index)), self._moved)
        if any(self._at_work):
            found = [self._measure(index) for index in range(len(self.seeds))]
            yield from self._tell(lambda index: Metrics(self.step, found[index]), self._at_work)

    @property
    def _at_work(self) -> list[bool]:
        return [index not in self.stopped for index in range(len(self.seeds))]

    @property
    def _moved(self) -> list[bool]:
        return [on and start < self.step for on, start in zip(self._at_work, self.starts, strict=True)]

    def _tell(self, event: Callable[[int], Event], members: Sequence[bool]) -> Told:
        if any(members):
            heard = yield [event(index) if on else None for index, on in enumerate(members)]
            self.stopped |= heard or frozenset()

    def _draw(self, limits: Range, name: str, count: int) -> Tensor:
        shape = (count, 2 + self.config.distractors)
        low, high = limits
        drawn = stack.drawn(self.seeds, name, draw=lambda g: torch.randint(low, high + 1, shape, generator=g))
        return drawn.float().to(self.device)

    def _update(self) -> None:
        active = [on and start <= self.step for on, start in zip(self._at_work, self.starts, strict=True)]
        x = self._draw(self.config.id_range, f"batch/{self.step}", self.config.batch_size)
        wanted = exact(self.config.operation, x).float()
        losses = ((self.layer(x) - wanted) / self.scale[:, None]).square().mean(1)
        self.losses = losses.detach()
        penalty = self.layer.penalty()
        total = losses if penalty is None else losses + self._pull() * penalty
        # A layer may leave a parameter out of an operation; its gradient is then 0.
        gradients = torch.autograd.grad(total.sum(), list(self.parameters.values()), materialize_grads=True)
        limits = torch.ones(len(self.seeds), device=self.device)
        stack.clip(gradients, stack.gradient_norms(gradients), limits=limits)
        self.optimiser.update(gradients, [self.config.learning_rate] * len(self.seeds), active=active)
        self.layer.constrain()
        self.step += 1

    def _pull(self) -> float:
        start, end = (share * self.config.steps for share in (self.config.penalty_from, self.config.penalty_until))
        return self.config.penalty * min(1.0, max(0.0, (self.step - start) / max(end - start, 1.0)))

    def _vital_signs(self, index: int) -> Metrics:
        return Metrics(self.step, {"train/loss": self.losses[index].item()})

    @torch.no_grad()
    def _measure(self, index: int) -> dict[str, float]:
        values: dict[str, float] = {}
        for split, limits in (("test_id", self.config.id_range), ("test_ood_magnitude", self.config.ood_range)):
            x = self._draw(limits, split, self.config.test_size)
            wanted, found = exact(self.config.operation, x)[index], self.layer(x)[index].double()
            error = (found - wanted).abs()
            limit = self.config.tolerance * wanted.abs() if self.config.operation == "/" else torch.tensor(0.5)
            values[f"{split}/exact_match"] = (error < limit).double().mean().item()
            values[f"{split}/relative_error_median"] = (error / wanted.abs().clamp(min=1)).median().item()
            values[f"{split}/success"] = float(values[f"{split}/exact_match"] >= 0.99)
        return values

    def _state(self, index: int) -> dict[str, Any]:
        return {
            "step": self.step,
            "config": self.config.model_dump(mode="json"),
            "model": stack.member(self.layer.state_dict(), index),
            "optimiser": self.optimiser.member(index),
        }

    def _load(self, index: int, state: Mapping[str, Any]) -> None:
        self.starts[index] = int(state["step"])
        stack.put_member(self.layer.state_dict(), index, values=state["model"])
        self.optimiser.put_member(index, state["optimiser"])
