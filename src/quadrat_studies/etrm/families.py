"""More rules for the generator, after habits of ARC's *training* tasks: boolean halves, mirrors, lines, frames, noise.

They are there to be trained on beside real tasks, so that a model meets more rules than ARC's few hundred tasks hold.
They were written with the training tasks in mind by somebody who knows that the public evaluation tasks exist; what a
model gains by them has to be weighed with that. A family draws what its rule leaves open once a task and gives back a
maker of pairs; all fit on a canvas of 7 and larger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from quadrat_studies.etrm.grids import Grid

Maker: TypeAlias = Callable[[np.random.Generator], tuple[Grid, Grid]]
"""Draws the input of one more pair and works out its output."""
Family: TypeAlias = Callable[[np.random.Generator, int], Maker]
"""What a task leaves open, drawn for grids of sides up to the second argument."""
Cells: TypeAlias = NDArray[np.bool_]

LEAST = 7
"""Smallest canvas on which every family here has room."""


def sides(rng: np.random.Generator, most: int, *, least: int = 3) -> tuple[int, int]:
    """Height and width, each ``least`` to ``most``."""
    height, width = rng.integers(least, most + 1, size=2)
    return int(height), int(width)


def colours(rng: np.random.Generator, count: int) -> list[int]:
    """``count`` different ones of 1 .. 9."""
    return [int(colour) for colour in 1 + rng.permutation(9)[:count]]


def speckled(rng: np.random.Generator, shape: tuple[int, int], *, share: float, chosen: list[int]) -> Grid:
    """Cells of ``chosen`` colours on 0, at least one of them."""
    grid = np.where(rng.random(shape) < share, rng.choice(chosen, size=shape), 0).astype(np.uint8)
    grid[rng.integers(shape[0]), rng.integers(shape[1])] = rng.choice(chosen)
    return grid


def boxes(rng: np.random.Generator, shape: tuple[int, int], *, count: int, least: int) -> list[tuple[slice, slice]]:
    """Up to ``count`` rectangles of sides of ``least`` and more that do not touch."""
    taken = np.zeros((shape[0] + 2, shape[1] + 2), dtype=bool)
    found: list[tuple[slice, slice]] = []
    for _ in range(8 * count):
        height, width = (int(rng.integers(least, min(least + 3, side) + 1)) for side in shape)
        top, left = int(rng.integers(shape[0] - height + 1)), int(rng.integers(shape[1] - width + 1))
        around = slice(top, top + height + 2), slice(left, left + width + 2)
        if not taken[around].any():
            inside = slice(top, top + height), slice(left, left + width)
            taken[top + 1 : top + height + 1, left + 1 : left + width + 1] = True
            found.append(inside)
        if len(found) == count:
            break
    return found


def halves(rng: np.random.Generator, side: int) -> Maker:
    """Two pictures beside or above each other, with or without a line between; the answer is a function of both."""
    line, upright = int(rng.integers(2)), bool(rng.integers(2))
    left, right, answer, between = colours(rng, 4)
    if rng.integers(2):
        right = left
    rule: Callable[[Cells, Cells], Cells] = [
        np.logical_and,
        np.logical_or,
        np.logical_xor,
        lambda a, b: ~(a | b),
        lambda a, b: a & ~b,
        lambda a, b: ~(a & b),
    ][rng.integers(6)]
    shape = int(rng.integers(3, side + 1)), int(rng.integers(2, (side - line) // 2 + 1))

    def make(draw: np.random.Generator) -> tuple[Grid, Grid]:
        a, b = draw.random(shape) < 0.5, draw.random(shape) < 0.5
        wall = np.full((shape[0], line), between)
        shown = np.concatenate((a * left, wall, b * right), axis=1).astype(np.uint8)
        said = (rule(a, b) * answer).astype(np.uint8)
        return (shown.T.copy(), said.T.copy()) if upright else (shown, said)

    return make


def quarters(rng: np.random.Generator, side: int) -> Maker:
    """The picture and its mirror images, as two by two or one by two."""
    down, across = [(True, True), (False, True), (True, False)][rng.integers(3)]
    chosen = colours(rng, int(rng.integers(1, 5)))

    def make(draw: np.random.Generator) -> tuple[Grid, Grid]:
        grid = speckled(draw, sides(draw, side // 2, least=2), share=0.5, chosen=chosen)
        said = np.concatenate((grid, np.fliplr(grid)), axis=1) if across else grid
        return grid, np.concatenate((said, np.flipud(said)), axis=0) if down else said.copy()

    return make


def turned(rng: np.random.Generator, side: int) -> Maker:
    """One of the symmetries of the square."""
    turns, flip = [(1, False), (2, False), (3, False), (0, True), (1, True)][rng.integers(5)]
    chosen = colours(rng, int(rng.integers(1, 7)))

    def make(draw: np.random.Generator) -> tuple[Grid, Grid]:
        grid = speckled(draw, sides(draw, side), share=0.5, chosen=chosen)
        said = np.rot90(grid, turns)
        return grid, (np.fliplr(said) if flip else said).copy()

    return make


def enlarged(rng: np.random.Generator, side: int) -> Maker:
    """Every cell becomes a square, or every square a cell."""
    factor, back = int(rng.integers(2, 4)), bool(rng.integers(2))
    chosen = colours(rng, int(rng.integers(1, 6)))

    def make(draw: np.random.Generator) -> tuple[Grid, Grid]:
        grid = speckled(draw, sides(draw, side // factor, least=2), share=0.5, chosen=chosen)
        large = np.kron(grid, np.ones((factor, factor), dtype=np.uint8))
        return (large, grid) if back else (grid, large)

    return make


def rays(rng: np.random.Generator, side: int) -> Maker:
    """Points send lines along their row, their column, both, or one way only."""
    way = int(rng.integers(6))
    chosen = colours(rng, int(rng.integers(1, 4)))

    def make(draw: np.random.Generator) -> tuple[Grid, Grid]:
        height, width = sides(draw, side, least=4)
        grid = np.zeros((height, width), dtype=np.uint8)
        rows = draw.permutation(height)[: draw.integers(1, 4)]
        columns = draw.permutation(width)[: len(rows)]
        said = grid.copy()
        for row, column in zip(rows, columns, strict=False):
            colour = draw.choice(chosen)
            grid[row, column] = colour
            up, along = [
                (slice(0, 0), slice(None)),
                (slice(None), slice(0, 0)),
                (slice(None), slice(None)),
                (slice(row, None), slice(0, 0)),
                (slice(0, 0), slice(column, None)),
                (slice(None, row), slice(0, 0)),
            ][way]
            said[row, along] = colour
            said[up, column] = colour
        said[grid > 0] = grid[grid > 0]
        return grid, said

    return make


def framed(rng: np.random.Generator, side: int) -> Maker:
    """A frame around the whole picture, drawn over its border or laid outside it."""
    colour, outside = colours(rng, 1)[0], bool(rng.integers(2))
    chosen = colours(rng, int(rng.integers(1, 5)))

    def make(draw: np.random.Generator) -> tuple[Grid, Grid]:
        grid = speckled(draw, sides(draw, side - 2 * outside), share=float(draw.choice([0.1, 0.5])), chosen=chosen)
        said = np.pad(grid, 1) if outside else grid.copy()
        said[[0, -1]], said[:, [0, -1]] = colour, colour
        return grid, said

    return make


def filled(rng: np.random.Generator, side: int) -> Maker:
    """Rectangles drawn by their outline are filled, or filled ones hollowed out."""
    line, inside = colours(rng, 2)
    hollow = bool(rng.integers(2))
    inside = 0 if hollow else inside

    def make(draw: np.random.Generator) -> tuple[Grid, Grid]:
        shape = sides(draw, side, least=5)
        grid = np.zeros(shape, dtype=np.uint8)
        said = grid.copy()
        for rows, columns in boxes(draw, shape, count=int(draw.integers(1, 4)), least=3):
            within = slice(rows.start + 1, rows.stop - 1), slice(columns.start + 1, columns.stop - 1)
            grid[rows, columns] = said[rows, columns] = line
            if not hollow:
                grid[within] = 0
            said[within] = inside
        return grid, said

    return make


def by_size(rng: np.random.Generator, side: int) -> Maker:
    """Rectangles of one colour; the largest, or the smallest, is painted, kept, or cut out."""
    line, paint = colours(rng, 2)
    largest, deed = bool(rng.integers(2)), int(rng.integers(3))

    def make(draw: np.random.Generator) -> tuple[Grid, Grid]:
        while True:
            shape = sides(draw, side, least=6)
            found = boxes(draw, shape, count=int(draw.integers(2, 4)), least=1)
            areas = [(r.stop - r.start) * (c.stop - c.start) for r, c in found]
            if len(set(areas)) == len(areas) > 1:
                break
        grid = np.zeros(shape, dtype=np.uint8)
        for box in found:
            grid[box] = line
        box = found[int(np.argmax(areas) if largest else np.argmin(areas))]
        if deed == 2:
            return grid, grid[box].copy()
        said = grid.copy() if deed == 0 else np.zeros_like(grid)
        said[box] = paint if deed == 0 else line
        return grid, said

    return make


def without(rng: np.random.Generator, side: int) -> Maker:
    """One colour is noise: it goes, or only it stays, or it turns into another."""
    noise, other, *rest = colours(rng, 4)
    deed = int(rng.integers(3))

    def make(draw: np.random.Generator) -> tuple[Grid, Grid]:
        grid = speckled(draw, sides(draw, side), share=0.5, chosen=[noise, *rest])
        kept = grid == noise
        said = np.where(kept, [0, noise, other][deed], 0 if deed == 1 else grid).astype(np.uint8)
        return grid, said

    return make


def moved(rng: np.random.Generator, side: int) -> Maker:
    """Everything moves by a fixed offset; what leaves is lost, or comes in again on the other side."""
    down, across = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (2, 0), (0, 2)][rng.integers(7)]
    around = bool(rng.integers(2))
    chosen = colours(rng, int(rng.integers(1, 5)))

    def make(draw: np.random.Generator) -> tuple[Grid, Grid]:
        grid = speckled(draw, sides(draw, side), share=0.4, chosen=chosen)
        said = np.roll(grid, (down, across), (0, 1))
        if not around:
            for axis, by in enumerate((down, across)):
                lost = slice(0, by) if by > 0 else slice(by, None) if by < 0 else slice(0, 0)
                said[lost if axis == 0 else slice(None), lost if axis == 1 else slice(None)] = 0
        return grid, said

    return make


def completed(rng: np.random.Generator, side: int) -> Maker:
    """A symmetric picture with a part blotted out, to be made whole."""
    blot, *chosen = colours(rng, int(rng.integers(3, 6)))
    across = bool(rng.integers(2))

    def make(draw: np.random.Generator) -> tuple[Grid, Grid]:
        half = speckled(draw, (int(draw.integers(3, side + 1)), int(draw.integers(2, side // 2 + 1))), share=0.6,
                        chosen=chosen)  # fmt: skip
        whole = np.concatenate((half, np.fliplr(half)), axis=1)
        shown = whole.copy()
        height, width = (int(draw.integers(1, 3)) for _ in range(2))
        top, left = int(draw.integers(shown.shape[0] - height + 1)), int(draw.integers(half.shape[1] - width + 1))
        shown[top : top + height, left : left + width] = blot
        return (shown.T.copy(), whole.T.copy()) if across else (shown, whole)

    return make


def repeated(rng: np.random.Generator, side: int) -> Maker:
    """Rows that repeat with a period, the last ones missing."""
    period, across = int(rng.integers(1, 4)), bool(rng.integers(2))
    chosen = colours(rng, int(rng.integers(2, 5)))

    def make(draw: np.random.Generator) -> tuple[Grid, Grid]:
        height, width = int(draw.integers(2 * period + 1, side + 1)), int(draw.integers(3, side + 1))
        unit = speckled(draw, (period, width), share=0.6, chosen=chosen)
        whole = np.resize(unit, (height, width))
        shown = whole.copy()
        shown[2 * period :] = 0
        return (shown.T.copy(), whole.T.copy()) if across else (shown, whole)

    return make


def joined(rng: np.random.Generator, side: int) -> Maker:
    """Two points in a row, or in a column, of one colour are joined by a line."""
    paint, *chosen = colours(rng, 3)
    own = bool(rng.integers(2))

    def make(draw: np.random.Generator) -> tuple[Grid, Grid]:
        height, width = sides(draw, side, least=5)
        grid = np.zeros((height, width), dtype=np.uint8)
        said = grid.copy()
        for row in draw.permutation(height)[: draw.integers(1, 4)]:
            first, last = sorted(draw.permutation(width)[:2].tolist())
            colour = int(draw.choice(chosen))
            grid[row, [first, last]] = colour
            said[row, first + 1 : last] = colour if own else paint
            said[row, [first, last]] = colour
        return grid, said

    return make


def ranked(rng: np.random.Generator, side: int) -> Maker:
    """Bars from the floor; the tallest and the shortest get colours of their own, or all are sorted."""
    bar, tall, short = colours(rng, 3)
    sort = bool(rng.integers(2))

    def make(draw: np.random.Generator) -> tuple[Grid, Grid]:
        height, width = sides(draw, side, least=4)
        count = min(width, height)
        lengths = np.zeros(width, dtype=int)
        lengths[draw.permutation(width)[:count]] = 1 + draw.permutation(height)[:count]
        levels = np.arange(height)[::-1, None]
        grid = ((levels < lengths) * bar).astype(np.uint8)
        if sort:
            return grid, ((levels < np.sort(lengths)[::-1]) * bar).astype(np.uint8)
        said = grid.copy()
        for column, colour in ((int(lengths.argmax()), tall), (int(np.where(lengths, lengths, 99).argmin()), short)):
            said[:, column] = (grid[:, column] > 0) * colour
        return grid, said

    return make


def most(rng: np.random.Generator, side: int) -> Maker:
    """The answer is the most frequent colour: one cell of it, or the whole grid."""
    whole = bool(rng.integers(2))

    def make(draw: np.random.Generator) -> tuple[Grid, Grid]:
        while True:
            grid = speckled(draw, sides(draw, side), share=1.0, chosen=colours(draw, int(draw.integers(2, 5))))
            counts = np.bincount(grid.ravel(), minlength=10)
            if (counts == counts.max()).sum() == 1:
                break
        said = np.full(grid.shape if whole else (1, 1), counts.argmax(), dtype=np.uint8)
        return grid, said

    return make


def fractal(rng: np.random.Generator, side: int) -> Maker:
    """The picture once more in each of its own cells that holds something, or in each that holds nothing."""
    chosen, negative = colours(rng, 1), bool(rng.integers(2))
    unit = 3 if side >= 9 else 2

    def make(draw: np.random.Generator) -> tuple[Grid, Grid]:
        grid = speckled(draw, (unit, unit), share=0.5, chosen=chosen)
        where = (grid == 0) if negative else (grid > 0)
        return grid, np.kron(where.astype(np.uint8), grid)

    return make


FAMILIES: dict[str, Family] = {
    family.__name__.replace("_", ""): family
    for family in (
        *(halves, quarters, turned, enlarged, rays, framed, filled, by_size, without, moved),
        *(completed, repeated, joined, ranked, most, fractal),
    )
}
