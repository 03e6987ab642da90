"""A pack of runs in training: R models of one shape, each with its own seed, gamma, learning rate and place in time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, final

import torch
from torch import Tensor

from quadrat import Artifact, Checkpoint, Context, Event, Metrics, Note, UsageError
from quadrat.tensor.compiled import compiled
from quadrat.tensor.stack import AdamW, clip, cross_entropy, gradient_norms, member, put_member, trainable
from quadrat_studies.symmetry.config import Config
from quadrat_studies.symmetry.data import splits_of
from quadrat_studies.symmetry.metrics import TRACKED, run_class, short_name
from quadrat_studies.symmetry.model import build
from quadrat_studies.symmetry.rows import read_rows
from quadrat_studies.symmetry.schedule import Order, learning_rate
from quadrat_studies.symmetry.scoring import looked_at, predict, score

Told: TypeAlias = Generator[Sequence[Event | None], frozenset[int] | None, None]
"""Events for every member at once, and back come the places of members that are to stop."""


@final
class Pack:
    """The optimiser's loop over all members. A member that resumes later than the others waits until they are there."""

    def __init__(self, configs: Sequence[Config], contexts: Sequence[Context]) -> None:
        self.configs, self.config, self.contexts = tuple(configs), configs[0], tuple(contexts)
        self.device, self.seeds = contexts[0].device, tuple(context.seed for context in contexts)
        self.splits = {split: read_rows(_folder(contexts), split) for split in splits_of(self.config.data)}
        self.network = build(configs, self.seeds).to(self.device)
        self.parameters = trainable(self.network)
        self.forward = compiled(self.network, wanted=contexts[0].compile)
        self.optimiser = AdamW(self.parameters, weight_decay=self.config.weight_decay)
        train = self.splits["train"]
        self.tokens = torch.from_numpy(train.array[:, : train.tokens.shape[1]]).to(self.device)
        self.labels = torch.from_numpy(train.labels).to(self.device)
        self.order = Order(self.seeds, rows=len(train), batch=self.config.batch_size)
        self.loss_sums = torch.zeros(len(configs), dtype=torch.float64, device=self.device)
        self.norms = torch.zeros(len(configs), device=self.device)
        self.best: list[dict[str, tuple[float, int]]] = [{} for _ in configs]
        self.starts = [0] * len(configs)
        self.stopped: set[int] = set()
        for index, context in enumerate(contexts):
            if context.state is not None:
                self._load(index, context.state)
        self.step = min(self.starts)

    def run(self) -> Told:
        """Every remaining step, its measurements, an offer to save after each, and the final evaluation."""
        yield from self._tell(lambda index: Note("derived", self._derived()), self._at_work)
        while self.step < self.config.total_steps and any(self._at_work):
            self.update()
            epoch, place = divmod(self.step, self.config.steps_in_epoch)
            if not place:
                yield from self._epoch_ended(epoch)
            yield from self._tell(self._offer, self._moved)
        if any(self._at_work):
            yield from self._finish()

    @property
    def _at_work(self) -> list[bool]:
        """Members that nobody has stopped."""
        return [index not in self.stopped for index in range(len(self.configs))]

    @property
    def _moved(self) -> list[bool]:
        """Members at work that have come further than where they started."""
        return [on and start < self.step for on, start in zip(self._at_work, self.starts, strict=True)]

    def _epoch_ended(self, epoch: int) -> Told:
        is_last = epoch == self.config.epochs
        if epoch % self.config.log_every == 0 or is_last:
            losses, norms = self._mean_losses(), self.norms.tolist()
            yield from self._tell(lambda index: self._vital_signs(index, losses[index], norms[index]), self._moved)
            self.loss_sums.masked_fill_(self._mask(self._moved), 0.0)
        if epoch % self.config.eval_every == 0 and not is_last:
            found = self._scores(self.config.eval_rows)
            yield from self._tell(lambda index: self._look(index, found[index][0]), self._moved)

    def _tell(self, event: Callable[[int], Event], members: Sequence[bool]) -> Told:
        """Hand out one event for each of ``members`` and hear who is to stop."""
        heard = yield [event(index) if on else None for index, on in enumerate(members)]
        self.stopped |= heard or frozenset()

    def _mask(self, members: Sequence[bool]) -> Tensor:
        return torch.tensor(members, device=self.device)

    def _offer(self, index: int) -> Checkpoint:
        return Checkpoint(self.step, partial(self.state, index), epoch=self.step // self.config.steps_in_epoch)

    def state(self, index: int) -> dict[str, Any]:
        """All that a member's next step depends on, with names and shapes as in a pack of one."""
        return {
            "step": self.step,
            "seed": self.seeds[index],
            "config": self.configs[index].model_dump(mode="json"),
            "model": member(self.network.state_dict(), index),
            "optimiser": self.optimiser.member(index),
            "loss_sum": self.loss_sums[index].item(),
            "norm": self.norms[index].item(),
            "best": {name: list(value) for name, value in self.best[index].items()},
        }

    def _load(self, index: int, state: Mapping[str, Any]) -> None:
        self.starts[index] = int(state["step"])
        put_member(self.network.state_dict(), index, values=state["model"])
        self.optimiser.put_member(index, state["optimiser"])
        self.loss_sums[index], self.norms[index] = state["loss_sum"], state["norm"]
        self.best[index] = {name: (float(value), int(epoch)) for name, (value, epoch) in state["best"].items()}

    def update(self) -> None:
        """One optimiser step of every member that takes part."""
        active = [on and start <= self.step for on, start in zip(self._at_work, self.starts, strict=True)]
        rows = self.order.take(self.step).to(self.device)
        losses = cross_entropy(self.forward(self.tokens[rows].long()), self.labels[rows])
        gradients = torch.autograd.grad(losses.sum(), list(self.parameters.values()))
        norms = gradient_norms(gradients)
        limits = torch.tensor([config.gradient_clip for config in self.configs], device=self.device)
        clip(gradients, norms, limits=limits)
        epoch = self.step // self.config.steps_in_epoch
        self.optimiser.update(gradients, [learning_rate(config, epoch) for config in self.configs], active=active)
        taken = self._mask(active)
        self.norms = torch.where(taken, norms, self.norms)
        self.loss_sums = torch.where(taken, self.loss_sums + losses.detach(), self.loss_sums)
        self.step += 1

    def _mean_losses(self) -> list[float]:
        steps = self.step % (self.config.log_every * self.config.steps_in_epoch)
        steps = steps or min(self.step, self.config.log_every * self.config.steps_in_epoch)
        return (self.loss_sums / steps).tolist()

    def _vital_signs(self, index: int, loss: float, norm: float) -> Metrics:
        epoch = self.step // self.config.steps_in_epoch
        values = {
            "epoch": float(epoch),
            "train/loss": loss,
            "train/learning_rate": learning_rate(self.configs[index], epoch - 1),
            "grad/total_norm": norm,
        }
        return Metrics(self.step, values)

    # Measuring -----------------------------------------------------------------------------------------------------

    def _scores(self, count: int) -> list[tuple[dict[str, float], list[dict[str, Any]]]]:
        """Every member's scores on the first rows of each split, and its pair table."""
        splits = looked_at(self.config, self.splits, count)
        found = {split: predict(self.network, rows, device=self.device) for split, rows in splits.items()}
        results: list[tuple[dict[str, float], list[dict[str, Any]]]] = []
        for index in range(len(self.configs)):
            predictions = {split: symbols[index] for split, (symbols, _) in found.items()}
            losses = {split: float(loss[index]) for split, (_, loss) in found.items()}
            results.append(score(self.config, splits, predictions=predictions, losses=losses))
        return results

    def _look(self, index: int, values: Mapping[str, float]) -> Metrics:
        epoch = self.step // self.config.steps_in_epoch
        for name in TRACKED[self.config.data.task]:
            if name not in self.best[index] or values[name] > self.best[index][name][0]:
                self.best[index][name] = (values[name], epoch)
        return Metrics(self.step, dict(values))

    def _finish(self) -> Told:
        final = self._scores(self.config.final_eval_rows)
        yield from self._tell(lambda index: self._summary(index, *final[index]), self._at_work)
        if self.config.data.task == "composite":
            yield from self._tell(lambda index: Note("class", {"class": self._class(final[index][0])}), self._at_work)
        if self.config.data.task != "inverse":
            yield from self._tell(lambda index: Artifact("tables/pairs.jsonl", final[index][1]), self._at_work)
        yield from self._tell(lambda index: Artifact("model.safetensors", partial(self._save, index)), self._at_work)

    def _summary(self, index: int, values: dict[str, float], pairs: list[dict[str, Any]]) -> Metrics:
        row = dict(self._look(index, values).values)
        row |= {f"final/{short_name(name)}": value for name, value in values.items() if name.endswith("acc")}
        for name, (value, epoch) in self.best[index].items():
            row |= {f"best/{short_name(name)}": value, f"best/{short_name(name)}_epoch": float(epoch)}
        if self.config.data.task == "composite":
            found = self._class(values)
            row |= {f"class/{kind}": float(found in (kind, "both")) for kind in ("composite", "symmetric")}
        row |= {f"pair/{pair['pair']}": pair["accuracy"] for pair in pairs}
        return Metrics(self.step, row)

    def _class(self, values: Mapping[str, float]) -> str:
        threshold = self.config.class_threshold
        return run_class(values["test/composite_acc"], values["test/symmetric_acc"], threshold=threshold)

    def _save(self, index: int, path: Path) -> None:
        from safetensors.torch import save_file

        save_file(member(self.network.state_dict(), index), path)

    def _derived(self) -> dict[str, Any]:
        trained = {name: p[0].numel() for name, p in self.parameters.items()}
        everything = sum(p[0].numel() for p in self.network.parameters())
        return {
            "parameter_count": sum(trained.values()),
            "frozen_parameters": everything - sum(trained.values()),
            "sequence_length": self.config.data.tokens,
            "train_rows": len(self.splits["train"]),
            "steps_per_epoch": self.config.steps_in_epoch,
            "total_steps": self.config.total_steps,
        }


def _folder(contexts: Sequence[Context]) -> Path:
    folders = {context.data for context in contexts}
    folder = folders.pop()
    if folder is None or folders:
        raise UsageError(
            "this study needs its data folder, one for all members of a pack.",
            remedy="run it through quadrat, or call build_data first.",
        )
    return folder
