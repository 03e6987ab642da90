"""What the network sees: sampled curves as channels, and the frequency axis in the seed's ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, final

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from quadrat_studies.bilevel.config import Config
from quadrat_studies.bilevel.samples import Samples

REAL_SHARE = 0.3
"""``mix``: how often a curve is the bought circuit's."""
SOURCES = {
    "ideal": ("ideal_s21", "ideal_s11"),
    "real": ("real_s21", "real_s11"),
    "ideal_s21": ("ideal_s21",),
    "real_s21": ("real_s21",),
    "both": ("ideal_s21", "ideal_s11", "real_s21", "real_s11"),
    "mix": ("mix_s21", "mix_s11"),
}


def channel_names(config: Config) -> list[str]:
    """The input channels in order: frequency first, then curves."""
    scale = "log_fc_scale" if config.freq_scale == "log_fc" else config.freq_scale
    names = [name for name in (config.freq_mode, scale) if name != "none"]
    waves = SOURCES[config.use_wave]
    return names + [name for name in waves if not (config.no_s11 and name.endswith("s11"))]


@final
class Waves(Dataset[Tensor]):
    """Inputs of a split. An index is ``epoch * N + row``, so that a worker needs no word of the epoch."""

    def __init__(self, samples: Samples, config: Config, *, seed: int) -> None:
        self.config, self.seed, self.size = config, seed, len(samples)
        self.names = channel_names(config)
        wanted = {part for name in self.names for part in _parts(name)}
        dtype = torch.float32 if config.dtype == "float32" else torch.float64
        self.curves = {
            f"{kind}_{port}": getattr(samples, kind)[index].clamp_min(config.floor_db).to(dtype)
            for kind in ("ideal", "real")
            for index, port in enumerate(("s21", "s11"))
            if f"{kind}_{port}" in wanted
        }
        self.axes = {name: part.to(dtype) for name, part in _axes(samples).items() if name in self.names}

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Tensor:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> Tensor:
        """Inputs (B, C, F) of many indices at once."""
        where = torch.as_tensor(indices)
        return self.channels(where % self.size, epoch=int(where[0]) // self.size)

    def channels(self, rows: Tensor, *, epoch: int = 0) -> Tensor:
        """Inputs of some rows; ``epoch`` matters to ``mix`` alone."""
        picks = self._real(epoch)[rows] if self.config.use_wave == "mix" else None
        return torch.stack([self._channel(name, rows, picks) for name in self.names], 1)

    def _channel(self, name: str, rows: Tensor, picks: Tensor | None) -> Tensor:
        if name in self.axes:
            return self.axes[name][rows]
        if picks is not None:
            ideal, real = (self.curves[part][rows] for part in _parts(name))
            curve = torch.where(picks[:, None], real, ideal)
        else:
            curve = self.curves[name][rows]
        if self.config.wave_norm:
            return (curve - curve.mean(1, keepdim=True)) / curve.std(1, keepdim=True).clamp_min(1e-4)
        # Fixed numbers bring decibels to the size of one: distance from the middle between 0 dB and the floor, by 20.
        return (curve - self.config.floor_db / 2) / 20

    def _real(self, epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + 7919 * epoch + 13) % 2**63)
        return torch.rand(self.size, generator=generator) < REAL_SHARE


def _parts(name: str) -> tuple[str, ...]:
    return (name.replace("mix", "ideal"), name.replace("mix", "real")) if name.startswith("mix") else (name,)


def _axes(samples: Samples) -> dict[str, Tensor]:
    w = samples.w
    log_f = (w * samples.fc[:, None]).log10()
    ones = torch.ones_like(w)
    # ``log_fc`` names two different things in the seed: a channel per frequency, and a constant one.
    return {
        "log_f_centered": log_f - log_f.mean(1, keepdim=True),
        "log_f": log_f,
        "linear_fc": w,
        "log_f_mean": log_f.mean(1, keepdim=True) * ones,
        "log_fc": w.log10(),
        "log_fc_scale": samples.fc.log10()[:, None] * ones,
    }


@final
class EpochBatches(Sampler[list[int]]):
    """Batches of one epoch after another; set ``epoch`` and ``skip`` (batches already done) before iterating."""

    def __init__(self, size: int, batch: int, *, seed: int) -> None:
        self.size, self.batch, self.seed = size, batch, seed
        self.epoch, self.skip = 0, 0

    def __len__(self) -> int:
        return -(-self.size // self.batch) - self.skip

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63)
        order = torch.randperm(self.size, generator=generator) + self.epoch * self.size
        for chosen in order.split(self.batch)[self.skip :]:
            yield chosen.tolist()


@final
class RowsAndWaves(Dataset[tuple[Tensor, Tensor]]):
    """Inputs together with the rows they belong to."""

    def __init__(self, waves: Waves) -> None:
        self.waves = waves

    def __len__(self) -> int:
        return len(self.waves)

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """One batch, already put together."""
        return [(torch.as_tensor(indices) % len(self.waves), self.waves.__getitems__(indices))]

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.__getitems__([index])[0]


def loader_options(config: Config, device: str) -> dict[str, Any]:
    """What the loader is told; keys without effect in these circumstances are left out."""
    options: dict[str, Any] = {"num_workers": config.num_workers, "pin_memory": config.pin_memory and device == "cuda"}
    if config.num_workers:
        options |= {"prefetch_factor": config.prefetch_factor, "persistent_workers": config.persistent_workers}
    return options


def loader(waves: Waves, batches: EpochBatches, *, config: Config, device: str) -> DataLoader[Any]:
    """Batches of ``waves``, made by as many worker processes as the config asks for."""
    # A generator of its own: otherwise the loader takes a number from the global stream at every epoch.
    generator = torch.Generator().manual_seed(0)
    return DataLoader(
        RowsAndWaves(waves),
        batch_sampler=batches,
        collate_fn=_first,
        generator=generator,
        **loader_options(config, device),
    )


def _first(items: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return items[0]
