"""How a split lies on disk and in memory: one array of bytes, a row for each sequence.

The columns are the tokens, the label, and three that say how the row was made: for a function task the two anchors and
the key's slot, for the inverse task zeros. A token fits a byte, so the published training split is 3.3 MB.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from quadrat import UsageError
from quadrat_studies.symmetry.tasks import Ints, Pair

MARKS = 4
"""Columns after the tokens: label, first anchor, second anchor, slot."""


@final
@dataclass(frozen=True, slots=True)
class Rows:
    """A split, ``[rows, tokens + 4]`` of unsigned bytes."""

    array: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.array)

    @property
    def tokens(self) -> Ints:
        """``[rows, tokens]``."""
        return self.array[:, :-MARKS].astype(np.int64)

    @property
    def labels(self) -> Ints:
        """``[rows]``."""
        return self.array[:, -4].astype(np.int64)

    @property
    def slots(self) -> Ints:
        """Where the key stands, ``[rows]``."""
        return self.array[:, -1].astype(np.int64)

    @property
    def keys(self) -> Ints:
        """The key of each row, ``[rows]``."""
        return self.array[np.arange(len(self)), self.slots].astype(np.int64)

    @property
    def pairs(self) -> list[Pair]:
        """The two anchors of each row."""
        return [(int(first), int(second)) for first, second in self.array[:, -3:-1]]

    def of(self, pair: Pair) -> Rows:
        """The rows with that pair."""
        return Rows(self.array[(self.array[:, -3] == pair[0]) & (self.array[:, -2] == pair[1])])

    def first(self, count: int) -> Rows:
        """The first rows. Pairs take turns in every split, so these are balanced."""
        return Rows(self.array[:count])

    def save(self, folder: Path, split: str) -> None:
        """Write ``<split>.npy``."""
        np.save(folder / f"{split}.npy", self.array, allow_pickle=False)


def assemble(tokens: Ints, labels: Ints, *, pair: Pair = (0, 0), slots: Ints | None = None) -> Rows:
    """Rows of one pair from their parts."""
    count = len(tokens)
    marks = [np.full(count, pair[0]), np.full(count, pair[1]), np.zeros(count) if slots is None else slots]
    return Rows(np.column_stack([tokens, labels, *marks]).astype(np.uint8))


def take_turns(parts: list[Rows]) -> Rows:
    """Parts dealt out like cards: first row of each, second row of each, and so on."""
    order = np.concatenate([np.arange(len(part)) for part in parts])
    everything = np.concatenate([part.array for part in parts])
    return Rows(everything[np.argsort(order, kind="stable")])


def read_rows(folder: Path, split: str) -> Rows:
    """One split of a data folder.

    Raises:
        UsageError: the folder does not hold that split.
    """
    path = folder / f"{split}.npy"
    if not path.is_file():
        raise UsageError(f"the split {split!r} is missing.", where=str(path), remedy="build the data again.")
    return Rows(np.load(path, allow_pickle=False))
