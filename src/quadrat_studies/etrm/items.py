"""From tasks to items: a query, its label and the demonstrations beside it, all coded on the canvas.

Which item a slot of the batch gets follows from seed, slot and how many the slot has had: no history, no global random
state. So a resumed run goes on exactly, and the slots can be dealt out to processes in any way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from quadrat_studies.etrm.config import TrainingConfig
from quadrat_studies.etrm.grids import IGNORED, Augmentation, Pair, Task, draw_augmentation, to_labels, to_tokens


@final
@dataclass(frozen=True, slots=True)
class Item:
    """One query as the model sees it.

    Attributes:
        demo_inputs, demo_outputs: ``[K, L]`` tokens, the slots behind ``demo_count`` all PAD.
        inputs: ``[L]`` tokens of the query. labels: ``[L]``, -100 where nothing is asked.
        group: place of the task among those in use. puzzle: row of the embedding table.
    """

    demo_inputs: NDArray[np.uint8]
    demo_outputs: NDArray[np.uint8]
    demo_count: int
    inputs: NDArray[np.uint8]
    labels: NDArray[np.int64]
    group: int
    puzzle: int = 0


@final
@dataclass(frozen=True, slots=True)
class Canvas:
    """How items are laid out: side of the canvas, and demonstration slots."""

    side: int
    max_demos: int

    def item(self, query: Pair, demos: Sequence[Pair], *, version: Augmentation, at: tuple[int, int] = (0, 0),
             group: int = 0, puzzle: int = 0) -> Item:  # fmt: skip
        """Code a query and its demonstrations under one augmentation and one offset."""
        cells = self.side**2
        inputs, outputs = (np.zeros((self.max_demos, cells), dtype=np.uint8) for _ in range(2))
        shown = list(demos[: self.max_demos])
        for slot, demo in enumerate(shown):
            assert demo.output is not None
            inputs[slot] = to_tokens(version.apply(demo.input), self.side, at=at)
            outputs[slot] = to_tokens(version.apply(demo.output), self.side, at=at)
        labels = np.full(cells, IGNORED, dtype=np.int64)
        if query.output is not None:
            labels = to_labels(to_tokens(version.apply(query.output), self.side, at=at))
        tokens = to_tokens(version.apply(query.input), self.side, at=at)
        return Item(inputs, outputs, len(shown), tokens, labels, group, puzzle)


@final
class Stream:
    """The endless sequence of training items.

    Position ``p`` of the sequence takes the task at place ``p mod G`` of epoch ``p div G``'s order. Slot ``i`` of a
    batch of ``B`` walks the positions ``i, i + B, i + 2 B ..``.
    """

    def __init__(self, tasks: Sequence[Task], canvas: Canvas, *, recipe: TrainingConfig, seed: int,
                 versions: Sequence[Sequence[Augmentation]] = (), demo_only: int = 0) -> None:  # fmt: skip
        """Draw from ``tasks``; the last ``demo_only`` of them never show their queries.

        ``versions`` fixes the augmentations of each task (embedding table); without, they are drawn on the fly.
        """
        self._tasks = tuple(tasks)
        self._targets = [self._targets_of(task, recipe, closed=i >= len(tasks) - demo_only)
                         for i, task in enumerate(tasks)]  # fmt: skip
        self._canvas, self._recipe, self._seed, self._versions = canvas, recipe, seed, versions
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, dtype=np.int64))

    def item(self, slot: int, drawn: int) -> Item:
        """The item that ``slot`` gets when it has had ``drawn`` items before."""
        position = drawn * self._recipe.global_batch_size + slot
        epoch, place = divmod(position, len(self._tasks))
        if self._order[0] != epoch:
            self._order = (epoch, np.random.default_rng([self._seed, 0, epoch]).permutation(len(self._tasks)))
        group = int(self._order[1][place])
        return self._draw(group, np.random.default_rng([self._seed, 1, position]))

    def _draw(self, group: int, rng: np.random.Generator) -> Item:
        recipe = self._recipe
        query, others = self._targets[group][int(rng.integers(len(self._targets[group])))]
        demos = [others[i] for i in rng.permutation(len(others))[: self._canvas.max_demos]]
        puzzle = 0
        if self._versions:
            chosen = int(rng.integers(len(self._versions[group])))
            version = self._versions[group][chosen]
            puzzle = sum(len(before) for before in self._versions[:group]) + chosen
        else:
            version = draw_augmentation(rng, symmetry=recipe.dihedral, colour=recipe.colour)
        at = _offset([query, *demos], version, self._canvas.side, rng) if recipe.translation else (0, 0)
        return self._canvas.item(query, demos, version=version, at=at, group=group, puzzle=puzzle)

    @staticmethod
    def _targets_of(task: Task, recipe: TrainingConfig, *, closed: bool) -> list[tuple[Pair, tuple[Pair, ...]]]:
        """Every target with the pairs that may stand beside it."""
        open_pairs = task.demos if closed else tuple(pair for pair in task.pairs if pair.output is not None)
        if recipe.query == "leave_one_out" and len(open_pairs) > 1:
            return [(pair, open_pairs[:i] + open_pairs[i + 1 :]) for i, pair in enumerate(open_pairs)]
        queries = () if closed else tuple(pair for pair in task.queries if pair.output is not None)
        return [(pair, task.demos) for pair in queries or task.demos]


def _offset(pairs: Sequence[Pair], version: Augmentation, side: int, rng: np.random.Generator) -> tuple[int, int]:
    """One corner at which every grid of an item fits."""
    shapes = [version.apply(g).shape for pair in pairs for g in (pair.input, pair.output) if g is not None]
    room = [side - max(shape[axis] for shape in shapes) for axis in (0, 1)]
    return int(rng.integers(room[0] + 1)), int(rng.integers(room[1] + 1))


@final
@dataclass(frozen=True, slots=True)
class Question:
    """One query of one version of a task, to be answered at evaluation."""

    task: int
    query: int
    version: Augmentation
    item: Item


def questions(tasks: Sequence[Task], canvas: Canvas, *, versions: Sequence[Sequence[Augmentation]],
              puzzles: bool = False) -> list[Question]:  # fmt: skip
    """Every query of every version of every task, in order; none is dropped.

    With ``puzzles``, items name rows of an embedding table in which the tasks' versions follow each other.
    """
    found: list[Question] = []
    first = 0
    for place, task in enumerate(tasks):
        for number, version in enumerate(versions[place]):
            for query, pair in enumerate(task.queries):
                item = canvas.item(pair, task.demos, version=version, group=place, puzzle=first + number * puzzles)
                found.append(Question(place, query, version, item))
        first += len(versions[place]) * puzzles
    return found


def fixed_versions(tasks: Sequence[Task], count: int, *, seed: int) -> list[list[Augmentation]]:
    """The plain task and ``count - 1`` different augmentations of it, for each task; equal arguments, equal draws."""
    drawn: list[list[Augmentation]] = []
    for task in tasks:
        rng = np.random.default_rng([seed, 2, *task.id.encode()])
        versions = [Augmentation()]
        while len(versions) < count:
            version = draw_augmentation(rng, symmetry=True, colour=True)
            if version not in versions:
                versions.append(version)
        drawn.append(versions)
    return drawn
