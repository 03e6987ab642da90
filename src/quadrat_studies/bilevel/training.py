"""The optimiser's loop. Its position is the number of updates: epoch, batch and every schedule follow from it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from quadrat import Artifact, Checkpoint, Context, Event, Metrics, Note, UsageError
from quadrat.tensor.probes import gradient_norm, parameter_count
from quadrat_studies.bilevel import schedules
from quadrat_studies.bilevel.config import Config
from quadrat_studies.bilevel.data import k_max, vocabulary
from quadrat_studies.bilevel.inputs import EpochBatches, Waves, channel_names, loader
from quadrat_studies.bilevel.macros import MACROS, SKIP
from quadrat_studies.bilevel.model import Network, build, roles
from quadrat_studies.bilevel.objective import Batch, Objective
from quadrat_studies.bilevel.optimiser import AdamW
from quadrat_studies.bilevel.relaxation import columns_of
from quadrat_studies.bilevel.samples import Samples

WEIGHTS = "model.safetensors"


@final
class Training:
    """One model on one split."""

    def __init__(self, config: Config, context: Context, *, samples: Samples) -> None:
        self.config, self.context, self.device = config, context, chosen_device(config, context)
        self.k = k_max(samples, percentile=config.k_percentile, cap=config.k_cap, least=config.k_min)
        self.vocabulary = vocabulary(samples)
        self.waves = Waves(samples, config, seed=context.seed)
        self.samples = samples.to(self.device)
        self.columns = columns_of(fitted(self.samples.ids, self.k, fill=SKIP), self.vocabulary)
        self.x = fitted(self.samples.x, self.k, fill=0.0)
        network = build(config, k_max=self.k, vocabulary=self.vocabulary, seed=context.seed)
        if config.init_from is not None and context.state is None:
            load_weights(network, Path(config.init_from))
        self.network = network.to(self.device)
        self.objective = Objective(config, self.vocabulary)
        self.optimiser = AdamW(self.network, weight_decay=config.weight_decay)
        self.batches = EpochBatches(len(samples), config.batch_size, seed=context.seed)
        self.updates = math.ceil(math.ceil(len(samples) / config.batch_size) / config.grad_accum)
        self.total = self.updates * config.epochs
        found = roles(self.k, input_frac=config.role_input_frac, output_frac=config.role_output_frac)
        core = found == 1 if config.use_role_queries else torch.ones_like(found, dtype=torch.bool)
        self.core = core.to(self.device)
        self.step = self.skipped = 0
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        if context.state is not None:
            self._load(context.state)

    def steps(self) -> Iterator[Event]:
        """Every remaining update, its vital signs, and offers to save."""
        config = self.config
        source = loader(self.waves, self.batches, config=config, device=self.device)
        self.network.train()
        while self.step < self.total:
            epoch, place = divmod(self.step, self.updates)
            self.batches.epoch, self.batches.skip = epoch, place * config.grad_accum
            clock, group = (time.perf_counter(), time.process_time()), []
            left = len(self.batches)
            for rows, waves in source:
                group.append((rows, waves))
                left -= 1
                if len(group) < config.grad_accum and left:
                    continue
                self.update(group)
                group = []
                last = self.step == self.total
                if self.step % config.log_steps == 0 or last:
                    yield Metrics(self.step, self._vital_signs())
                if self.step % config.save_steps == 0 or last:
                    yield Checkpoint(self.step, self.state, epoch=self.step // self.updates)
            wall, cpu = time.perf_counter() - clock[0], time.process_time() - clock[1]
            # A clock differs from run to run, so it is a note and no metric.
            yield Note("runtime", {"epoch": epoch + 1, "wall_seconds": wall, "cpu_seconds": cpu})
            if config.save_total_limit:
                name = f"weights/{epoch % config.save_total_limit}.safetensors"
                yield Artifact(name, partial(save_weights, network=self.network, config=config))

    def update(self, group: list[tuple[Tensor, Tensor]]) -> None:
        """One step along the mean gradient of some batches."""
        self.network.zero_grad()
        finite = True
        for rows, waves in group:
            loss, parts = self._loss(rows.to(self.device), waves.to(self.device))
            (loss / len(group)).backward()
            finite &= bool(loss.isfinite())
            for name, part in {"loss": loss, **parts}.items():
                self.sums[name] = self.sums.get(name, 0.0) + float(part.detach())
                self.counts[name] = self.counts.get(name, 0) + 1
        norm = gradient_norm(self.network.parameters())
        self.sums["norm"] = float(norm)
        if self.config.skip_nonfinite and not (finite and bool(norm.isfinite())):
            self.skipped += 1
        else:
            if self.config.clip_grad:
                nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_grad)
            self.optimiser.update(schedules.learning_rate(self.step, self.total, config=self.config))
        self.step += 1

    def _loss(self, rows: Tensor, waves: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        samples = self.samples
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.config.amp_bf16):
            logits, values = self.network(waves, samples.specs.kind[rows], samples.fc[rows].log10())
        batch = Batch(rows, self.columns[rows], self.x[rows], samples.ideal[0][rows], samples.w[rows])
        return self.objective.loss(
            logits,
            values,
            batch,
            step=self.step,
            total=self.total,
            queries=self.network.cell_queries(),
            core=self.core,
        )

    def _vital_signs(self) -> dict[str, float]:
        step = self.step - 1
        values = {f"train/{name}": total / self.counts[name] for name, total in self.sums.items() if name != "norm"}
        values |= {
            "grad/total_norm": self.sums["norm"],
            "train/learning_rate": schedules.learning_rate(step, self.total, config=self.config),
            "train/tau": schedules.tau(step, self.total, config=self.config),
            "train/alpha": schedules.alpha(step, self.total, config=self.config),
            "train/skipped": float(self.skipped),
        }
        if self.config.ste_phys:
            values["train/topk"] = float(schedules.topk(step, self.total, config=self.config))
        self.sums, self.counts = {}, {}
        return values

    def derived(self) -> dict[str, Any]:
        """Parameters that follow from config and data: the scan's, and what they make of the run."""
        return {
            "k_max": self.k,
            "macro_vocab_size": len(self.vocabulary),
            "slot_count": max(len(MACROS[macro].slots) for macro in self.vocabulary),
            "input_channels": len(channel_names(self.config)),
            "parameter_count": parameter_count(self.network),
            "train_samples": len(self.samples),
            "effective_batch": self.config.batch_size * self.config.grad_accum,
            "updates_per_epoch": self.updates,
            "total_updates": self.total,
            "physics_updates": sum(
                schedules.physics_is_on(step, self.total, config=self.config) for step in range(self.total)
            ),
        }

    def state(self) -> dict[str, Any]:
        """All that the next update depends on, but for the global random state, which the instrument keeps."""
        return {
            "step": self.step,
            "config": self.config.model_dump(mode="json"),
            "k_max": self.k,
            "vocabulary": list(self.vocabulary),
            "model": self.network.state_dict(),
            "optimiser": self.optimiser.state(),
            "cache": self.objective.cache.state(),
            "sums": dict(self.sums),
            "counts": dict(self.counts),
            "skipped": self.skipped,
        }

    def _load(self, state: Mapping[str, Any]) -> None:
        self.step, self.skipped = int(state["step"]), int(state["skipped"])
        self.network.load_state_dict(state["model"])
        self.optimiser.load(state["optimiser"])
        self.objective.cache.load(state["cache"])
        self.sums, self.counts = dict(state["sums"]), dict(state["counts"])


def fitted(part: Tensor, k: int, *, fill: float) -> Tensor:
    """Cells (N, K, ...) cut or padded to k."""
    size = part.shape[1]
    if size >= k:
        return part[:, :k]
    more = torch.full((len(part), k - size, *part.shape[2:]), fill, dtype=part.dtype, device=part.device)
    return torch.cat((part, more), 1)


def chosen_device(config: Config, context: Context) -> str:
    """The instrument's choice, or the config's own.

    Raises:
        UsageError: a GPU is asked for where there is none.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("device is cuda, but torch sees no GPU.", where="device", remedy="take auto or cpu.")
    return context.device if config.device == "auto" else config.device


def save_weights(path: Path, *, network: Network, config: Config) -> None:
    """Write the weights, with what is needed to build the network again."""
    from safetensors.torch import save_file

    about = {
        "config": config.model_dump(mode="json"),
        "k_max": network.k_max,
        "vocabulary": list(network.vocabulary),
    }
    parts = {name: part.detach().cpu().contiguous().clone() for name, part in network.state_dict().items()}
    # One key: safetensors writes several in another order each time, and equal networks should be equal bytes.
    save_file(parts, path, metadata={"network": json.dumps(about)})


def load_weights(network: Network, place: Path) -> None:
    """Read weights of a network of the same shape from a file or a run's folder.

    Raises:
        UsageError: there are none, or they are of another shape.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = place / WEIGHTS if place.is_dir() else place
    if not path.is_file():
        raise UsageError("there are no weights to start from.", where=str(path), remedy="name a finished run.")
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as problem:
        raise UsageError(
            "these weights do not fit this model: " + str(problem).splitlines()[0],
            where=str(path),
            remedy="take the config of the run they come from (k_max, vocabulary, d_model, channels).",
        ) from problem
