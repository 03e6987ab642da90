"""The splits on disk: ``<split>.jsonl`` and ``dataset.json`` about them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from quadrat_studies.bilevel.config import Config, DataConfig
from quadrat_studies.bilevel.generate import draw
from quadrat_studies.bilevel.macros import MACROS, SKIP
from quadrat_studies.bilevel.records import read_rows, write_rows
from quadrat_studies.bilevel.samples import FAMILIES, Samples

SPLITS = ("train", "validation", "test")
GENERATOR = "bilevel/1"


def build_data(config: Config, folder: Path) -> None:
    """Write the splits that the config asks for. Reads ``config.data`` only.

    Raises:
        UsageError: ``data.path`` names no usable file.
        ValueError: the ranges leave too few circuits to a split.
    """
    data = config.data
    counts = {"train": data.train_samples, "validation": data.validation_samples, "test": data.test_samples}
    card: dict[str, Any] = {"schema": 1, "generator": GENERATOR, "data": data.model_dump(mode="json"), "splits": {}}
    seen: set[bytes] = set()
    for split in SPLITS:
        own = split == "train" and data.path is not None
        samples = read_rows(Path(data.path or ""), data) if own else draw(data, split, count=counts[split])
        write_rows(folder / f"{split}.jsonl", samples, split=split)
        keys = combinations(samples)
        card["splits"][split] = describe(samples) | {"combinations_in_train": len(keys & seen) if seen else 0}
        seen = seen or keys
    (folder / "dataset.json").write_text(json.dumps(card, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_split(folder: Path, split: str, *, data: DataConfig) -> Samples:
    """The circuits of one split.

    Raises:
        UsageError: the folder does not hold it.
    """
    return read_rows(folder / f"{split}.jsonl", data)


def combinations(samples: Samples) -> set[bytes]:
    """The specifications of a split, to the last digit: what must not come twice."""
    columns = torch.stack((samples.specs.kind.double(), samples.family.double(), samples.order.double(),
                           samples.specs.d, samples.specs.pass_db), 1)  # fmt: skip
    return {row.tobytes() for row in columns.numpy()}


def describe(samples: Samples) -> dict[str, Any]:
    """Counts of a split, and the oracle: the share of ideal curves that pass their own mask."""
    oracle = samples.mask(margin=1e-6).passes(samples.ideal[0])
    used = samples.ladder.used()
    lengths = samples.lengths.tolist()
    return {
        "rows": len(samples),
        "types": dict(sorted(Counter(samples.kind_names()).items())),
        "families": dict(sorted(Counter(FAMILIES[i] for i in samples.family.tolist()).items())),
        "lengths": {str(k): v for k, v in sorted(Counter(lengths).items())},
        "distinct_sequences": len({tuple(row) for row in samples.ids.tolist()}),
        "log_value_range": [float(samples.x[used].min()), float(samples.x[used].max())],
        "oracle_pass": float(oracle.double().mean()),
        "real_pass": float(samples.mask(margin=0.05).passes(samples.real[0]).double().mean()),
    }


def k_max(samples: Samples, *, percentile: float, cap: int, least: int) -> int:
    """The seed's rule: a percentile of the lengths, rounded up, between ``least`` and ``cap``."""
    found = float(torch.quantile(samples.lengths.double(), percentile / 100))
    return min(cap, max(least, -int(-found // 1)))


def vocabulary(samples: Samples) -> tuple[int, ...]:
    """Macros that occur, in the fixed order. The model's SKIP comes after them."""
    present = set(samples.ids.unique().tolist()) - {SKIP}
    return tuple(index for index in range(len(MACROS)) if index in present)
