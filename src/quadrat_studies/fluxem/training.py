"""A pack of runs in training: R models of one shape on the same data, each with its own seed, rate and place."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias, final

import torch
from torch import Tensor

from quadrat import Artifact, Checkpoint, Context, Event, Metrics, Note
from quadrat.tensor.stack import clip, gradient_norms, member, put_member
from quadrat_studies.fluxem.answer import answers_of, save_model
from quadrat_studies.fluxem.config import Config
from quadrat_studies.fluxem.layers import Dropout
from quadrat_studies.fluxem.metrics import prediction_rows, score
from quadrat_studies.fluxem.model import Decoder
from quadrat_studies.fluxem.optimiser import Optimiser, learning_rate
from quadrat_studies.fluxem.readouts import encode_answers
from quadrat_studies.fluxem.representations import encode
from quadrat_studies.fluxem.tokens import Prompts, Targets
from quadrat_studies.fluxem.tool import program

VALIDATION_CHUNK = 512
Told: TypeAlias = Generator[Sequence[Event | None], frozenset[int] | None, None]
"""Events for every member at once, and back come the places of members that are to stop."""
Rows: TypeAlias = Sequence[Mapping[str, Any]]


@final
@dataclass(frozen=True, slots=True)
class Samples:
    """A split as tensors, ``[N, ..]``. Every batch has as many columns as the longest sample of the split, so that
    what a replica computes does not depend on whom the others' batches hold."""

    prompts: Prompts
    targets: Targets

    @classmethod
    def of(cls, rows: Rows, config: Config, device: str) -> Samples:
        """The rows of a split, made ready once."""
        texts = [row["text"] for row in rows]
        by_tool = config.model.readout == "program"
        asked = [program(text) for text in texts] if by_tool else [row["target_text"] for row in rows]
        prompts, targets = encode(texts, config.model), encode_answers(asked, config.model)
        return cls(prompts.to(device), targets.to(device))

    def __len__(self) -> int:
        return len(self.targets.lengths)

    def take(self, rows: Tensor) -> tuple[Prompts, Targets]:
        """The samples of ``rows`` ``[R, B]``, each replica's own."""
        features = None if self.prompts.features is None else self.prompts.features[rows]
        tokens, lengths, counts = (
            part[rows] for part in (self.prompts.tokens, self.prompts.lengths, self.prompts.counts)
        )
        prompts = replace(self.prompts, tokens=tokens, lengths=lengths, features=features, counts=counts)
        return prompts, Targets(self.targets.tokens[rows], self.targets.lengths[rows])


@final
class Pack:
    """The optimiser's loop over all members. Each one's position is the step alone: order, rate and dropout follow
    from it and the seed. A member that resumes later than the others waits until they are there."""

    def __init__(
        self, configs: Sequence[Config], contexts: Sequence[Context], *, network: Decoder, samples: Samples
    ) -> None:
        self.configs, self.config, self.recipe = tuple(configs), configs[0], configs[0].training
        self.device, self.seeds = contexts[0].device, tuple(context.seed for context in contexts)
        self.network, self.samples = network, samples
        self.parameters = dict(network.named_parameters())
        self.optimiser = Optimiser(self.parameters, weight_decay=self.recipe.weight_decay)
        self.steps_per_epoch = math.ceil(len(samples) / self.recipe.batch_size)
        self.total_steps = self.recipe.steps or self.steps_per_epoch * self.recipe.epochs
        self.loss_sums = torch.zeros(len(configs), dtype=torch.float64, device=self.device)
        self.gradients: dict[str, Tensor] = {}
        self.orders: tuple[int, Tensor] = (-1, torch.empty(0))
        self.starts = [0] * len(configs)
        self.stopped: set[int] = set()
        for index, context in enumerate(contexts):
            if context.state is not None:
                self._load(index, context.state)
        self.step = min(self.starts)

    def run(self, *, validation: Rows) -> Told:
        """Every remaining step, its measurements, an offer to save after each, and the trained weights."""
        held_out = Samples.of(validation, self.config, self.device)
        yield from self.tell(lambda index: Note("derived", self.derived()), self.at_work)
        while self.step < self.total_steps and any(self.at_work):
            self.update()
            last = self.step == self.total_steps
            if self.step % self.recipe.log_every == 0 or last:
                signs = self._vital_signs()
                yield from self.tell(lambda index, signs=signs: Metrics(self.step, signs[index]), self._moved)
            done, rest = divmod(self.step, self.steps_per_epoch)
            if last or (not rest and done % self.recipe.validate_every == 0):
                found = self._validate(held_out, validation)
                yield from self.tell(lambda index, found=found: Metrics(self.step, found[index]), self._moved)
            yield from self.tell(self._offer, self._moved)
        yield from self.tell(
            lambda index: Artifact("model.safetensors", partial(save_model, model=self.network, place=index)),
            self.at_work,
        )

    @property
    def at_work(self) -> list[bool]:
        """Members that nobody has stopped."""
        return [index not in self.stopped for index in range(len(self.configs))]

    @property
    def _moved(self) -> list[bool]:
        """Members at work that have come further than where they started."""
        return [on and start < self.step for on, start in zip(self.at_work, self.starts, strict=True)]

    def tell(self, event: Callable[[int], Event], members: Sequence[bool]) -> Told:
        """Hand out one event for each of ``members`` and hear who is to stop."""
        if any(members):
            heard = yield [event(index) if on else None for index, on in enumerate(members)]
            self.stopped |= heard or frozenset()

    def tell_each(self, streams: Sequence[Iterator[Event]]) -> Told:
        """Hand out the events of one stream for each member, side by side; the streams are equally long."""
        for row in zip(*streams, strict=True):
            yield from self.tell(row.__getitem__, self.at_work)

    def _offer(self, index: int) -> Checkpoint:
        return Checkpoint(self.step, partial(self.state, index), epoch=self.step // self.steps_per_epoch)

    def derived(self) -> dict[str, Any]:
        """Parameters that follow from config and data."""
        sizes = {name: p[0].numel() for name, p in self.parameters.items()}
        prompt, answer = self.samples.prompts.tokens.shape[1], self.samples.targets.tokens.shape[1]
        return {
            "parameter_count": sum(sizes.values()),
            "number_path_parameters": sum(sizes[name] for name in self.network.number_path),
            "embedding_and_head_parameters": sum(
                size for name, size in sizes.items() if not name.startswith(("blocks.", "entry."))
            ),
            "columns": prompt + (answer - 1 if self.network.generates else 0),
            "train_samples": len(self.samples),
            "steps_per_epoch": self.steps_per_epoch,
            "total_steps": self.total_steps,
        }

    def state(self, index: int) -> dict[str, Any]:
        """All that a member's next step depends on, with names and shapes as in a pack of one."""
        return {
            "step": self.step,
            "model_config": self.config.model.model_dump(mode="json"),
            "model": member(self.network.state_dict(), index),
            "optimiser": self.optimiser.member(index),
            "loss_sum": self.loss_sums[index].item(),
        }

    def _load(self, index: int, state: Mapping[str, Any]) -> None:
        self.starts[index] = int(state["step"])
        put_member(self.network.state_dict(), index, values=state["model"])
        self.optimiser.put_member(index, state["optimiser"])
        self.loss_sums[index] = state["loss_sum"]

    def update(self) -> None:
        """One optimiser step of every member that takes part."""
        active = [on and start <= self.step for on, start in zip(self.at_work, self.starts, strict=True)]
        losses = self._losses(*self.samples.take(self._batch()))
        found = torch.autograd.grad(losses.sum(), list(self.parameters.values()))
        self.gradients = dict(zip(self.parameters, found, strict=True))
        if self.recipe.gradient_clip:
            limits = torch.full((len(self.configs),), self.recipe.gradient_clip, device=self.device)
            clip(found, gradient_norms(found), limits=limits)
        rates = [learning_rate(self.step, self.total_steps, recipe=config.training) for config in self.configs]
        self.optimiser.update(self.gradients, rates, active=active)
        taken = torch.tensor(active, device=self.device)
        self.loss_sums = torch.where(taken, self.loss_sums + losses.detach(), self.loss_sums)
        self.step += 1

    def _batch(self) -> Tensor:
        """Row numbers ``[R, B]`` of the step; the last batch of an epoch is as short as it has to be."""
        epoch, place = divmod(self.step, self.steps_per_epoch)
        if epoch != self.orders[0]:
            orders = [epoch_order(len(self.samples), seed=seed, epoch=epoch) for seed in self.seeds]
            self.orders = epoch, torch.stack(orders).to(self.device)
        size = self.recipe.batch_size
        return self.orders[1][:, place * size : (place + 1) * size]

    def _losses(self, prompts: Prompts, targets: Targets) -> Tensor:
        drop = Dropout(self.seeds, self.config.model.dropout, step=self.step)
        with self._precision():
            return self.network.loss(prompts, targets, drop=drop, step=self.step)

    def _precision(self) -> Any:
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.recipe.precision == "bfloat16")

    def _vital_signs(self) -> list[dict[str, float]]:
        """Means since the last row, and the norms of the gradients as they were applied."""
        steps = self.step % self.recipe.log_every or min(self.recipe.log_every, self.step)
        means = (self.loss_sums / steps).tolist()
        norms = gradient_norms(self.gradients.values()).tolist()
        path = self.network.number_path
        entries = gradient_norms([self.gradients[name] for name in path]).tolist() if path else []
        rows: list[dict[str, float]] = []
        for index, config in enumerate(self.configs):
            row = {
                "train/loss": means[index],
                "train/learning_rate": learning_rate(self.step - 1, self.total_steps, recipe=config.training),
                "grad/total_norm": norms[index],
            }
            rows.append(row | ({"grad/number_path_norm": entries[index]} if entries else {}))
        moved = torch.tensor(self._moved, device=self.device)
        self.loss_sums = self.loss_sums.masked_fill(moved, 0.0)
        return rows

    def _validate(self, held_out: Samples, rows: Rows) -> list[dict[str, float]]:
        total, tokens = torch.zeros(len(self.seeds), dtype=torch.float64), 0
        with torch.inference_mode(), self._precision():
            for chosen in torch.arange(len(held_out)).split(VALIDATION_CHUNK):
                prompts, targets = held_out.take(chosen[None].expand(len(self.seeds), -1).to(self.device))
                weight = int(targets.lengths[0].sum())
                total += weight * self.network.loss(prompts, targets).cpu()
                tokens += weight
        answers = self.answers([row["text"] for row in rows])
        found = [score(prediction_rows(rows, mine), "validation")["validation/exact_match"] for mine in answers]
        losses = (total / tokens).tolist()
        return [
            {"validation/loss": loss, "validation/exact_match": exact}
            for loss, exact in zip(losses, found, strict=True)
        ]

    def answers(self, texts: Sequence[str]) -> list[list[str]]:
        """What every member answers."""
        return answers_of(self.network, texts)


def epoch_order(samples: int, *, seed: int, epoch: int) -> Tensor:
    """The order of one epoch, from seed and epoch alone, so that a resumed run needs no history."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    return torch.randperm(samples, generator=generator)
