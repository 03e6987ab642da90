"""ARC tasks as grids: augmentation and its inverse, the token coding of a canvas, and what makes two grids equal.

Nothing here imports torch. Formulas: seed 002's repository and TinyRecursiveModels (arXiv 2510.04871, data section).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

Grid: TypeAlias = NDArray[np.uint8]
"""Colours 0..9, shape ``[height, width]``; ``[0, 0]`` stands for an answer that is no grid."""

PAD, EOS, FIRST_COLOUR, VOCABULARY = 0, 1, 2, 12
IGNORED = -100
"""Label of cells that no loss and no score looks at."""
INVERSE = (0, 3, 2, 1, 4, 5, 6, 7)
"""Which element of the dihedral group undoes which."""


@final
@dataclass(frozen=True, slots=True)
class Pair:
    """An input and its output; ``output`` is None where the source gives no solution."""

    input: Grid
    output: Grid | None

    @property
    def sides(self) -> tuple[int, int]:
        """The larger height and the larger width of the two grids."""
        grids = [grid for grid in (self.input, self.output) if grid is not None]
        return max(grid.shape[0] for grid in grids), max(grid.shape[1] for grid in grids)


@final
@dataclass(frozen=True, slots=True)
class Task:
    """An ARC task: demonstrations, and queries to be answered."""

    id: str
    demos: tuple[Pair, ...]
    queries: tuple[Pair, ...]

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Every pair, demonstrations first."""
        return self.demos + self.queries

    @property
    def side(self) -> int:
        """The longest side of any grid."""
        return max(max(pair.sides) for pair in self.pairs)

    @property
    def labelled(self) -> bool:
        """Whether every query has its solution."""
        return all(pair.output is not None for pair in self.queries)


@final
@dataclass(frozen=True, slots=True)
class Augmentation:
    """One of eight symmetries after a permutation of the colours that leaves 0 alone."""

    symmetry: int = 0
    colours: tuple[int, ...] = tuple(range(10))

    def apply(self, grid: Grid) -> Grid:
        """The grid as the augmented task shows it."""
        return turn(np.asarray(self.colours, dtype=np.uint8)[grid], self.symmetry)

    def undo(self, grid: Grid) -> Grid:
        """The grid of the original task behind an augmented one."""
        return np.argsort(self.colours).astype(np.uint8)[turn(grid, INVERSE[self.symmetry])]

    def name(self, task: str) -> str:
        """The identifier of the augmented task; the plain id for the identity."""
        if self == Augmentation():
            return task
        return f"{task}|||t{self.symmetry}|||{''.join(map(str, self.colours))}"


def draw_augmentation(rng: np.random.Generator, *, symmetry: bool, colour: bool) -> Augmentation:
    """A uniform draw among the augmentations that are asked for."""
    chosen = int(rng.integers(8)) if symmetry else 0
    colours = (0, *(1 + rng.permutation(9)).tolist()) if colour else tuple(range(10))
    return Augmentation(chosen, tuple(int(c) for c in colours))


def turn(grid: Grid, symmetry: int) -> Grid:
    """Apply a dihedral element: 1-3 turns by 90 degrees counter-clockwise, 4 left-right, 5 up-down, 6 transpose, 7
    the other diagonal."""
    match symmetry:
        case 0:
            turned = grid
        case 1 | 2 | 3:
            turned = np.rot90(grid, symmetry)
        case 4:
            turned = np.fliplr(grid)
        case 5:
            turned = np.flipud(grid)
        case 6:
            turned = grid.T
        case 7:
            turned = np.fliplr(np.rot90(grid))
        case _:
            raise ValueError(f"a symmetry is 0..7, but got {symmetry}")
    return np.ascontiguousarray(turned)


def to_tokens(grid: Grid, side: int, *, at: tuple[int, int] = (0, 0)) -> Grid:
    """Code a grid on a canvas: colours are 2..11, a line of EOS closes right and lower border, the rest is PAD.

    A grid that reaches the border of the canvas has no EOS there; the corner between the two lines stays PAD.

    Returns:
        uint8 of shape ``[side * side]``.

    Raises:
        ValueError: the grid does not fit.
    """
    (height, width), (row, column) = grid.shape, at
    if row + height > side or column + width > side or min(at) < 0:
        raise ValueError(f"a grid of {height} x {width} at {at} does not fit on a canvas of {side} x {side}")
    canvas = np.zeros((side, side), dtype=np.uint8)
    canvas[row : row + height, column : column + width] = grid + FIRST_COLOUR
    if row + height < side:
        canvas[row + height, column : column + width] = EOS
    if column + width < side:
        canvas[row : row + height, column + width] = EOS
    return canvas.reshape(-1)


def to_labels(tokens: Grid) -> NDArray[np.int64]:
    """Targets from tokens: the same, with PAD ignored. EOS is supervised."""
    return np.where(tokens == PAD, IGNORED, tokens.astype(np.int64))


def from_tokens(tokens: NDArray[np.integer], side: int) -> Grid:
    """Read an answer: of the rectangles of colours that start in the upper left corner, the largest, the first on ties.

    Where that corner holds no colour the answer is the empty grid.
    """
    canvas = np.asarray(tokens).reshape(side, side)
    coloured = (canvas >= FIRST_COLOUR) & (canvas < VOCABULARY)
    best, found, width = 0, (0, 0), side
    for row in range(side):
        run = side if coloured[row].all() else int(np.argmin(coloured[row]))
        width = min(width, run)
        if (row + 1) * width > best:
            best, found = (row + 1) * width, (row + 1, width)
    return (canvas[: found[0], : found[1]] - FIRST_COLOUR).astype(np.uint8)


def grid_hash(grid: Grid) -> str:
    """SHA-256 over both side lengths and the cells: equal for equal grids alone."""
    sides = b"".join(side.to_bytes(2, "big") for side in grid.shape)
    return hashlib.sha256(sides + np.ascontiguousarray(grid, dtype=np.uint8).tobytes()).hexdigest()


def canonical_key(pair: Pair) -> str:
    """A key that a pair keeps under every augmentation: the least of its eight turned, renumbered forms."""
    output = np.zeros((0, 0), dtype=np.uint8) if pair.output is None else pair.output
    forms: list[bytes] = []
    for symmetry in range(8):
        turned = (turn(pair.input, symmetry), turn(output, symmetry))
        cells = np.concatenate([grid.reshape(-1) for grid in turned])
        values, first, places = np.unique(cells, return_index=True, return_inverse=True)
        # Colours are numbered by first appearance; 0 keeps its number, as it does under augmentation.
        order = np.argsort(np.where(values == 0, -1, first))
        ranks = np.empty(len(values), dtype=np.uint8)
        ranks[order] = np.arange(len(values), dtype=np.uint8) + (0 not in values)
        sides = bytes(side for grid in turned for side in grid.shape)
        forms.append(sides + ranks[places].tobytes())
    return hashlib.sha256(min(forms)).hexdigest()
