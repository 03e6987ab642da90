"""The generator's further rules: each fits its canvas, is one rule for a task, and does what it is called."""

from __future__ import annotations

import numpy as np
import pytest

from quadrat_studies.etrm.families import FAMILIES, LEAST
from quadrat_studies.etrm.generator import generate

EVERY = 6 + len(FAMILIES)


@pytest.mark.parametrize("side", [LEAST, 10, 15])
def test_every_family_fits_its_canvas_and_asks_for_something(side):
    tasks = generate(10 * EVERY, side=side, seed=3, prefix="b", more=True)
    assert all(task.side <= side and len(task.demos) == 3 and task.labelled for task in tasks)
    for family in FAMILIES:
        pairs = [pair for task in tasks if task.id.endswith(f"_{family}") for pair in task.pairs]
        copied = sum(np.array_equal(pair.input, pair.output) for pair in pairs)
        assert copied <= len(pairs) / 5, family
        assert all(pair.output is not None and pair.output.dtype == np.uint8 for pair in pairs)


def pairs_of(family: str, *, seed: int, count: int = 12):
    rng = np.random.default_rng(seed)
    make = FAMILIES[family](rng, 10)
    return [make(rng) for _ in range(count)]


@pytest.mark.parametrize("seed", range(6))
def test_halves_answer_by_one_truth_table(seed):
    pairs = pairs_of("halves", seed=seed, count=30)
    tall = [(a, b) for a, b in pairs if a.shape[0] > b.shape[0]]
    assert len(tall) in (0, len(pairs))
    table: dict[tuple[bool, bool], bool] = {}
    for pair in pairs:
        shown, said = (grid.T if tall else grid for grid in pair)
        width = said.shape[1]
        left, right = shown[:, :width] > 0, shown[:, -width:] > 0
        for cell in zip(left.flat, right.flat, (said > 0).flat, strict=True):
            assert table.setdefault(cell[:2], cell[2]) == cell[2]
    assert len(set(table.values())) == 2


def test_moved_keeps_its_offset():
    for seed in range(8):
        offsets = None
        for shown, said in pairs_of("moved", seed=seed):
            fitting = {
                (down, across, lost)
                for down in (-1, 0, 1, 2)
                for across in (-1, 0, 1, 2)
                for lost in (False, True)
                if np.array_equal(shift(shown, down, across, lost=lost), said)
            }
            offsets = fitting if offsets is None else offsets & fitting
        assert offsets


def shift(grid, down, across, *, lost):
    if not lost:
        return np.roll(grid, (down, across), (0, 1))
    height, width = grid.shape
    padded = np.pad(grid, 2)
    return padded[2 - down : 2 - down + height, 2 - across : 2 - across + width]


def test_rules_of_size_and_number():
    for shown, said in pairs_of("most", seed=1):
        counts = np.bincount(shown.ravel(), minlength=10)
        assert {*said.flat} == {counts.argmax()} and counts.max() > np.sort(counts)[-2]
    for shown, said in pairs_of("fractal", seed=2):
        assert said.shape == tuple(n * n for n in shown.shape)
    for shown, said in pairs_of("framed", seed=3):
        edge = {*said[0], *said[-1], *said[:, 0], *said[:, -1]}
        assert len(edge) == 1 and edge != {0}
        assert said.shape in (shown.shape, tuple(n + 2 for n in shown.shape))
    for shown, said in pairs_of("repeated", seed=4):
        assert np.array_equal(said[shown > 0], shown[shown > 0]) and (said > 0).sum() > (shown > 0).sum()
    for shown, said in pairs_of("completed", seed=5):
        assert any(np.array_equal(np.flip(said, axis), said) for axis in (0, 1))
        assert shown.shape == said.shape


def test_equal_seeds_give_equal_tasks():
    first, again = (generate(EVERY, side=9, seed=5, prefix="b", more=True) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert all(np.array_equal(a.input, b.input) and np.array_equal(a.output, b.output)
                   for a, b in zip(one.pairs, other.pairs, strict=True))  # fmt: skip
