"""The function tasks: what each pair of anchors does to a key. Pure numpy; nothing here draws or learns.

In the composite task every anchor is a function and a pair applies the first, then the second; one pair is defined to
do something else (34), and its mirror image (43) is never trained. A model that has learned the composition answers 43
by composing, a model that has learned that order does not matter answers it like 34.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from quadrat_studies.symmetry.config import DataConfig

Ints: TypeAlias = NDArray[np.int64]
Pair: TypeAlias = tuple[int, int]

ANCHORS = (1, 2, 3, 4)
DEFINED: Pair = (3, 4)
HELD_OUT: Pair = (4, 3)
PAPER_SHIFTS = {1: 5, 2: 1, 3: -2, 4: -8}
PAPER_DEFINED_SHIFT = -6
PLAN_DEFINED_SHIFT = 20
PLAN_MODULUS = 100
FIRST_TABLE = {0: 2, 1: 5, 2: 1, 3: -2, 4: -8}
SECOND_TABLE = {0: -9, 1: 6, 2: -7, 3: 3}
FIRST_TABLE_PAIRS = ((0, 1), (0, 2), (1, 4), (2, 3), (3, 4))
SECOND_TABLE_PAIRS = ((0, 3), (0, 4), (1, 2), (1, 3), (2, 4))


@final
@dataclass(frozen=True, slots=True)
class FunctionTask:
    """The pairs of a task and their answers."""

    pairs: tuple[Pair, ...]
    """All pairs, in order."""
    shifts: Mapping[Pair, int] = field(default_factory=dict[Pair, int])
    """What each pair adds to the key; empty under the plan's functions, which do not all add."""
    is_plan: bool = False
    has_composition: bool = True
    """Whether the held-out pair has a composite answer that differs from the symmetric one."""

    @property
    def trained(self) -> tuple[Pair, ...]:
        """Every pair but the held-out one."""
        return tuple(pair for pair in self.pairs if pair != HELD_OUT)

    def answers(self, pair: Pair, keys: Ints) -> Ints:
        """The labels of a trained pair. The held-out pair is answered as its mirror image is in the fully symmetric
        task, where nothing else is right, and by composition in the composite one."""
        if self.is_plan:
            if pair == DEFINED:
                return (keys + PLAN_DEFINED_SHIFT) % PLAN_MODULUS
            return _plan(pair[1], _plan(pair[0], keys))
        return keys + self.shifts[pair]

    def symmetric(self, keys: Ints) -> Ints:
        """What the held-out pair would be if order did not matter."""
        return self.answers(DEFINED, keys)


def function_task(data: DataConfig) -> FunctionTask:
    """The task that a config names."""
    if data.task == "fully_symmetric":
        return _fully_symmetric(data.fifth_shift)
    pairs = tuple((first, second) for first in ANCHORS for second in ANCHORS)
    if data.functions == "plan":
        return FunctionTask(pairs, is_plan=True)
    shifts = {(first, second): PAPER_SHIFTS[first] + PAPER_SHIFTS[second] for first, second in pairs}
    return FunctionTask(pairs, {**shifts, DEFINED: PAPER_DEFINED_SHIFT})


def _fully_symmetric(fifth_shift: int) -> FunctionTask:
    second = {**SECOND_TABLE, 4: fifth_shift}
    shifts: dict[Pair, int] = {}
    for table, unordered in ((FIRST_TABLE, FIRST_TABLE_PAIRS), (second, SECOND_TABLE_PAIRS)):
        for a, b in unordered:
            shifts[a, b] = shifts[b, a] = table[a] + table[b]
    # 34 and 43 add up to -10 here: composing the first table gives the same as mirroring.
    return FunctionTask(tuple(sorted(shifts)), shifts, has_composition=False)


def _plan(anchor: int, values: Ints) -> Ints:
    results = {1: values + 10, 2: values - 5, 3: values * 2, 4: values // 2}
    return results[anchor] % PLAN_MODULUS


def held_out_cells(data: DataConfig, keys: Ints, slots: Ints) -> NDArray[np.bool_]:
    """The residue rule: whether a key in a slot belongs to testing. Training has exactly the others."""
    return keys % data.modulus == (slots + data.slot_base) % data.modulus
