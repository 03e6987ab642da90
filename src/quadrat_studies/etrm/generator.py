"""ARC-like tasks made on the spot, for tests and for trying things without a download. They are not ARC.

Each family is one rule; a task draws what the rule leaves open (which colours, which side) once, and then its pairs.
Here are six simple families, which fit on any canvas; ``families.py`` has more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from quadrat import UsageError
from quadrat_studies.etrm import families
from quadrat_studies.etrm.grids import Grid, Pair, Task

Rule: TypeAlias = Callable[[Grid], Grid]
SMALLEST = 3


def generate(count: int, *, side: int, seed: int, prefix: str, more: bool = False) -> list[Task]:
    """``count`` tasks whose grids have sides of at most ``side``. Equal arguments give equal tasks.

    The families take turns, so a set of six has each of the simple ones once; with ``more``, those of ``families.py``
    take part.

    Raises:
        UsageError: the canvas is too small for the families.
    """
    if more and side < families.LEAST:
        raise UsageError(
            f"the generator's families need a canvas of {families.LEAST}, and this one has {side}.",
            where="data.generated_beside",
            remedy="set data.generated_beside to 0, or data.canvas to a larger one.",
        )
    names = [*FAMILIES, *(families.FAMILIES if more else ())]
    return [_task(f"{prefix}{i:04d}_{names[i % len(names)]}", names[i % len(names)], seed=seed, side=side)
            for i in range(count)]  # fmt: skip


def _task(name: str, family: str, *, seed: int, side: int) -> Task:
    rng = np.random.default_rng([seed, *name.encode()])
    make = _simple(family, rng, side) if family in FAMILIES else families.FAMILIES[family](rng, side)
    pairs: list[Pair] = []
    while len(pairs) < 4:
        shown, said = make(rng)
        if not any(np.array_equal(shown, pair.input) for pair in pairs):
            pairs.append(Pair(shown, said))
    return Task(name, tuple(pairs[:3]), tuple(pairs[3:]))


def _simple(family: str, rng: np.random.Generator, side: int) -> families.Maker:
    """A picture of any shape, and the rule on it."""
    largest = max(SMALLEST, side // 2) if family == "tile" else side
    rule = FAMILIES[family](rng)

    def make(draw: np.random.Generator) -> tuple[Grid, Grid]:
        height, width = draw.integers(SMALLEST, largest + 1, size=2)
        if family == "tile":
            width = min(width, side // 2)
        grid = _picture(draw, int(height), int(width))
        return grid, rule(grid)

    return make


def _picture(rng: np.random.Generator, height: int, width: int) -> Grid:
    cells = rng.choice(10, size=(height, width), p=[0.6] + [0.4 / 9] * 9)
    cells[rng.integers(height), rng.integers(width)] = rng.integers(1, 10)
    return cells.astype(np.uint8)


def _recolour(rng: np.random.Generator) -> Rule:
    table = np.concatenate([[0], 1 + rng.permutation(9)]).astype(np.uint8)
    return lambda grid: table[grid]


def _mirror(rng: np.random.Generator) -> Rule:
    axis = int(rng.integers(2))
    return lambda grid: np.flip(grid, axis).copy()


def _gravity(rng: np.random.Generator) -> Rule:
    down = bool(rng.integers(2))

    def fall(grid: Grid) -> Grid:
        fallen = np.zeros_like(grid)
        for column in range(grid.shape[1]):
            cells = grid[:, column][grid[:, column] > 0]
            if down:
                fallen[grid.shape[0] - len(cells) :, column] = cells
            else:
                fallen[: len(cells), column] = cells
        return fallen

    return fall


def _crop(rng: np.random.Generator) -> Rule:
    del rng

    def cut(grid: Grid) -> Grid:
        rows, columns = np.nonzero(grid)
        return grid[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].copy()

    return cut


def _tile(rng: np.random.Generator) -> Rule:
    mirrored = bool(rng.integers(2))
    return lambda grid: np.concatenate([grid, np.fliplr(grid) if mirrored else grid], axis=1)


def _count(rng: np.random.Generator) -> Rule:
    colour = int(rng.integers(1, 10))

    def bar(grid: Grid) -> Grid:
        length = min(int((grid > 0).sum()), grid.shape[1])
        answer = np.zeros((1, grid.shape[1]), dtype=np.uint8)
        answer[0, :length] = colour
        return answer

    return bar


FAMILIES: dict[str, Callable[[np.random.Generator], Rule]] = {
    "recolour": _recolour,
    "mirror": _mirror,
    "gravity": _gravity,
    "crop": _crop,
    "tile": _tile,
    "count": _count,
}
"""Each family makes a rule out of what a task draws."""
