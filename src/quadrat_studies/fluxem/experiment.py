"""The arithmetic experiment: train one arm, then let it answer every split it has not seen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

import torch
from torch import nn

from quadrat import Artifact, Checkpoint, Context, Event, Metrics, Note, UsageError
from quadrat.tensor.probes import gradient_norm, parameter_count
from quadrat_studies.fluxem.answer import answer, answer_with, save_model
from quadrat_studies.fluxem.config import Config
from quadrat_studies.fluxem.data import TEST_SPLITS, build_data, read_split
from quadrat_studies.fluxem.dataset_card import read_card
from quadrat_studies.fluxem.metrics import prediction_rows, score
from quadrat_studies.fluxem.model import Decoder, build, loss
from quadrat_studies.fluxem.optimiser import AdamW, learning_rate
from quadrat_studies.fluxem.oracle import oracle_answers
from quadrat_studies.fluxem.tokens import Prompts, Targets, encode_prompts, encode_targets, operand_values

VALIDATION_CHUNK = 512

__all__ = ["Config", "build_data", "evaluate", "train"]


def train(config: Config, context: Context) -> Iterator[Event]:
    """Train one arm and measure it on the three test splits. Resumes from ``context.state`` at any step."""
    folder = _data_folder(context)
    rows = read_split(folder, "train")
    model = build(config.model, seed=context.seed, operands=operand_values(rows)).to(context.device)
    run = Training(config, context, model=model, samples=Samples.of(rows, config, context.device))
    yield Note("derived", run.derived())
    yield from run.steps(validation=read_split(folder, "validation"))
    yield Artifact("model.safetensors", partial(save_model, model=model))
    for split in TEST_SPLITS:
        yield from _measure(run.step, split, folder=folder, predict=partial(answer_with, model))
    yield from _yardsticks(run.step, folder)


def evaluate(config: Config, context: Context) -> Iterator[Event]:
    """Measure a finished model again, on the splits of ``context.data`` (built under the overrides of ``config``).

    The network is the one in ``context.state``; ``config.model`` and ``config.training`` do not change it.
    """
    if context.state is None:
        raise UsageError("evaluate needs a trained model.", remedy="name a finished run.")
    predict = partial(answer, context.state, device=context.device)
    step = int(context.state["step"])
    for split in TEST_SPLITS:
        yield from _measure(step, split, folder=_data_folder(context), predict=predict)
    yield from _yardsticks(step, _data_folder(context))


@final
@dataclass(frozen=True, slots=True)
class Samples:
    """A split as tensors."""

    prompts: Prompts
    targets: Targets

    @classmethod
    def of(cls, rows: list[dict[str, Any]], config: Config, device: str) -> Samples:
        """The rows of a split, made ready once."""
        prompts = encode_prompts([row["text"] for row in rows], config.model)
        targets = encode_targets([row["target_text"] for row in rows], config.model)
        return cls(prompts.to(device), targets.to(device))

    def __len__(self) -> int:
        return len(self.targets.lengths)

    def take(self, rows: torch.Tensor) -> tuple[Prompts, Targets]:
        """A batch with no more columns than it needs."""
        return self.prompts.take(rows), self.targets.take(rows)


@final
class Training:
    """The optimiser's loop. Its position is ``step`` alone: epoch, batch and learning rate follow from it."""

    def __init__(self, config: Config, context: Context, *, model: Decoder, samples: Samples) -> None:
        self.config, self.recipe, self.context = config, config.training, context
        self.model, self.samples = model, samples
        self.optimiser = AdamW(model, weight_decay=self.recipe.weight_decay)
        self.steps_per_epoch = math.ceil(len(samples) / self.recipe.batch_size)
        self.total_steps = self.steps_per_epoch * self.recipe.epochs
        self.step = 0
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=context.device)
        if context.state is not None:
            self._load(context.state)

    def steps(self, *, validation: list[dict[str, Any]]) -> Iterator[Event]:
        """Every remaining optimiser step, its measurements, and an offer to save after each."""
        held_out = Samples.of(validation, self.config, self.context.device)
        self.model.train()
        while self.step < self.total_steps:
            epoch, place = divmod(self.step, self.steps_per_epoch)
            order = epoch_order(len(self.samples), seed=self.context.seed, epoch=epoch).to(self.context.device)
            for chosen in order.split(self.recipe.batch_size)[place:]:
                self.update(chosen)
                if self.step % self.recipe.log_every == 0 or self.step == self.total_steps:
                    yield Metrics(self.step, self._vital_signs())
                done, rest = divmod(self.step, self.steps_per_epoch)
                last = self.step == self.total_steps
                if not rest and (done % self.recipe.validate_every == 0 or last):
                    yield Metrics(self.step, self._validate(held_out, validation))
                yield Checkpoint(self.step, self.state, epoch=done)

    def derived(self) -> dict[str, Any]:
        """Parameters that follow from config and data."""
        return {
            "parameter_count": parameter_count(self.model),
            "number_path_parameters": sum(parameter.numel() for parameter in self.model.number_path),
            "train_samples": len(self.samples),
            "steps_per_epoch": self.steps_per_epoch,
            "total_steps": self.total_steps,
        }

    def state(self) -> dict[str, Any]:
        """All that the next step depends on, but for the global random state, which the instrument keeps."""
        return {
            "step": self.step,
            "model_config": self.config.model.model_dump(mode="json"),
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state(),
            "loss_sum": self.loss_sum,
        }

    def _load(self, state: Mapping[str, Any]) -> None:
        self.step = int(state["step"])
        self.model.load_state_dict(state["model"])
        self.optimiser.load(state["optimiser"])
        self.loss_sum.copy_(state["loss_sum"])

    def update(self, chosen: torch.Tensor) -> None:
        self.model.zero_grad()
        value = self._loss(*self.samples.take(chosen))
        value.backward()
        if self.recipe.gradient_clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.gradient_clip)
        self.optimiser.update(learning_rate(self.step, self.total_steps, recipe=self.recipe))
        self.loss_sum += value.detach()
        self.step += 1

    def _loss(self, prompts: Prompts, targets: Targets) -> torch.Tensor:
        kind = torch.device(self.context.device).type
        with torch.autocast(kind, torch.bfloat16, enabled=self.recipe.precision == "bfloat16"):
            return loss(self.model, prompts, targets)

    def _vital_signs(self) -> dict[str, float]:
        steps = self.step % self.recipe.log_every or min(self.recipe.log_every, self.step)
        values = {
            "train/loss": self.loss_sum.item() / steps,
            "train/learning_rate": learning_rate(self.step - 1, self.total_steps, recipe=self.recipe),
            "grad/total_norm": gradient_norm(self.model.parameters()).item(),
        }
        if self.model.number_path:
            values["grad/number_path_norm"] = gradient_norm(self.model.number_path).item()
        self.loss_sum.zero_()
        return values

    def _validate(self, held_out: Samples, rows: list[dict[str, Any]]) -> dict[str, float]:
        self.model.eval()
        total = tokens = 0.0
        with torch.inference_mode():
            for chosen in torch.arange(len(held_out)).split(VALIDATION_CHUNK):
                prompts, targets = held_out.take(chosen)
                weight = int(targets.lengths.sum())
                total += weight * self._loss(prompts, targets).item()
                tokens += weight
        self.model.train()
        predictions = answer_with(self.model, [row["text"] for row in rows])
        found = score(prediction_rows(rows, predictions), "validation")
        return {"validation/loss": total / tokens, "validation/exact_match": found["validation/exact_match"]}


def epoch_order(samples: int, *, seed: int, epoch: int) -> torch.Tensor:
    """The order of one epoch, from seed and epoch alone, so that a resumed run needs no history."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    return torch.randperm(samples, generator=generator)


def _measure(step: int, split: str, *, folder: Path, predict: Any) -> Iterator[Event]:
    rows = read_split(folder, split)
    predictions = prediction_rows(rows, predict([row["text"] for row in rows]))
    yield Artifact(f"predictions/{split}.jsonl", predictions)
    yield Metrics(step, score(predictions, split))


def _yardsticks(step: int, folder: Path) -> Iterator[Event]:
    """What needs no learning: the oracle (gold parse and algebra) and the trivial answers of the data card."""
    card = read_card(folder)
    values: dict[str, float] = {}
    for split in TEST_SPLITS:
        rows = read_split(folder, split)
        found = score(prediction_rows(rows, oracle_answers(rows)), split)
        values[f"oracle/{split}/exact_match"] = found[f"{split}/exact_match"]
        trivial = card["splits"][split]["trivial"]
        values |= {f"trivial/{split}/{name}": number for name, number in trivial.items()}
    yield Metrics(step, values)


def _data_folder(context: Context) -> Path:
    if context.data is None:
        raise UsageError(
            "this study needs its data folder.", remedy="run it through quadrat, or call build_data first."
        )
    return context.data
