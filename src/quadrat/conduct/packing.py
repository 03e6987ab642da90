"""Which runs share a process. Many small runs of one shape are faster together than one after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, final

from quadrat.conduct.costs import config_of, relative_cost
from quadrat.core.spec import RunSpec
from quadrat.study.load import Study

TOKENS_PER_STEP: Final = 4096
"""What ``pack: auto`` aims at. Beyond a few thousand tokens a step the working set leaves the cache and packing
costs more than it saves (measured on two-core machines: benchmarks/symmetry_packed.py)."""

DEFAULT_SIZE: Final = 16
"""Members of a pack when the study does not say how many tokens one of them adds."""

LARGEST: Final = 64


@final
@dataclass(frozen=True, slots=True)
class Packing:
    """How the runs still to do are spread over jobs, the longest first, and why some run alone."""

    batches: Sequence[tuple[RunSpec, ...]]
    remarks: Sequence[str]

    @property
    def packed(self) -> int:
        """How many runs share a job with another."""
        return sum(len(batch) for batch in self.batches if len(batch) > 1)


def pack(study: Study, todo: Sequence[RunSpec], *, slots: int) -> Packing:
    """Spread ``todo`` over jobs: one job a run, or packs of runs with equal ``pack_key``, at least ``slots`` jobs."""
    asked = study.file.pack
    if asked.mode == "off" or len(todo) < 2:
        return Packing([(spec,) for spec in todo], ())
    if study.trainable.train_pack is None or study.trainable.pack_key is None:
        name = study.file.trainable
        return Packing([(spec,) for spec in todo], (f"nothing is packed: {name} has no train_pack and pack_key",))
    groups: dict[tuple[str | None, str], list[RunSpec]] = {}
    for spec in todo:
        key = study.trainable.pack_key(config_of(study, spec))
        groups.setdefault((spec.stage, repr(key)), []).append(spec)
    batches: list[tuple[RunSpec, ...]] = []
    for group in groups.values():
        limit = asked.max or _automatic(study, group[0])
        fewest = math.ceil(slots / len(groups))
        batches += _even(group, parts=max(math.ceil(len(group) / limit), min(fewest, len(group))))
    batches.sort(key=lambda batch: -_cost(study, batch))
    alone = [batch[0].name for batch in batches if len(batch) == 1]
    remarks = [f"{len(alone)} run(s) alone, none of their shape to share with: {', '.join(alone[:5])}"] if alone else []
    return Packing(batches, remarks)


def _automatic(study: Study, spec: RunSpec) -> int:
    if study.trainable.pack_tokens is None:
        return DEFAULT_SIZE
    tokens = study.trainable.pack_tokens(config_of(study, spec))
    return max(1, min(LARGEST, round(TOKENS_PER_STEP / max(1, tokens))))


def _even(group: Sequence[RunSpec], *, parts: int) -> list[tuple[RunSpec, ...]]:
    """``group`` in order, cut into ``parts`` that differ by one at most."""
    size, larger = divmod(len(group), parts)
    cuts = [place * size + min(place, larger) for place in range(parts + 1)]
    return [tuple(group[start:end]) for start, end in pairwise(cuts)]


def _cost(study: Study, batch: Sequence[RunSpec]) -> float:
    """How long a batch takes beside others, so that the longest starts first and no core idles at the end."""
    return len(batch) * relative_cost(study, batch[0])
