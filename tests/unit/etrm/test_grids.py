"""Grids: the group of symmetries, the token coding and its inverse, equality."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quadrat_studies.etrm.grids import (
    EOS,
    IGNORED,
    INVERSE,
    Augmentation,
    Pair,
    Task,
    canonical_key,
    draw_augmentation,
    from_tokens,
    grid_hash,
    to_labels,
    to_tokens,
    turn,
)

GRID = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8)


def as_grid(cells):
    return np.array(cells, dtype=np.uint8)


@st.composite
def grids(draw, largest=6):
    height, width = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    cells = draw(st.lists(st.integers(0, 9), min_size=height * width, max_size=height * width))
    return as_grid(cells).reshape(height, width)


def test_the_eight_symmetries_are_those_of_the_definition():
    wanted = [
        [[1, 2, 3], [4, 5, 6]],
        [[3, 6], [2, 5], [1, 4]],
        [[6, 5, 4], [3, 2, 1]],
        [[4, 1], [5, 2], [6, 3]],
        [[3, 2, 1], [6, 5, 4]],
        [[4, 5, 6], [1, 2, 3]],
        [[1, 4], [2, 5], [3, 6]],
        [[6, 3], [5, 2], [4, 1]],
    ]
    assert [turn(GRID, t).tolist() for t in range(8)] == wanted
    assert all(turn(turn(GRID, t), INVERSE[t]).tolist() == GRID.tolist() for t in range(8))
    with pytest.raises(ValueError, match=r"0\.\.7"):
        turn(GRID, 8)


@settings(deadline=None)
@given(grids(), st.integers(0, 2**32 - 1))
def test_undo_takes_any_augmentation_back(grid, seed):
    version = draw_augmentation(np.random.default_rng(seed), symmetry=True, colour=True)
    assert version.colours[0] == 0
    assert sorted(version.colours) == list(range(10))
    assert version.undo(version.apply(grid)).tolist() == grid.tolist()


def test_an_augmentation_has_the_published_name():
    assert Augmentation().name("abc") == "abc"
    assert Augmentation(3, (0, 2, 1, 3, 4, 5, 6, 7, 8, 9)).name("abc") == "abc|||t3|||0213456789"


def test_tokens_close_a_grid_on_the_right_and_below_and_leave_the_corner():
    canvas = to_tokens(as_grid([[0, 1]]), 4, at=(1, 1)).reshape(4, 4)
    assert canvas.tolist() == [[0, 0, 0, 0], [0, 2, 3, 1], [0, 1, 1, 0], [0, 0, 0, 0]]


def test_a_full_grid_has_no_end_of_row():
    canvas = to_tokens(np.zeros((2, 3), dtype=np.uint8), 3).reshape(3, 3)
    assert canvas.tolist() == [[2, 2, 2], [2, 2, 2], [1, 1, 1]]
    with pytest.raises(ValueError, match="does not fit"):
        to_tokens(np.zeros((2, 3), dtype=np.uint8), 3, at=(0, 1))


def test_labels_ask_for_colours_and_ends_but_not_for_padding():
    labels = to_labels(to_tokens(as_grid([[0]]), 3))
    assert labels.tolist() == [2, 1, IGNORED, 1, IGNORED, IGNORED, IGNORED, IGNORED, IGNORED]


@settings(deadline=None)
@given(grids())
def test_reading_tokens_gives_the_grid_back(grid):
    assert from_tokens(to_tokens(grid, 7), 7).tolist() == grid.tolist()
    assert from_tokens(to_tokens(grid, 6), 6).tolist() == grid.tolist()


def test_reading_takes_the_largest_rectangle_and_the_first_of_equals():
    canvas = np.full((4, 4), EOS)
    canvas[0, :4] = 3
    canvas[1, :2] = 4
    assert from_tokens(canvas.reshape(-1), 4).tolist() == [[1, 1, 1, 1]]  # 1 x 4 comes before 2 x 2
    canvas[2, :2] = 5
    assert from_tokens(canvas.reshape(-1), 4).tolist() == [[1, 1], [2, 2], [3, 3]]
    assert from_tokens(np.zeros(16, dtype=np.uint8), 4).shape == (0, 0)


def test_hashes_tell_shapes_apart():
    assert grid_hash(as_grid([[1, 2]])) != grid_hash(as_grid([[1], [2]]))
    assert grid_hash(as_grid([[1, 2]])) == grid_hash(np.array([[1, 2]]))


@settings(deadline=None)
@given(grids(5), grids(5), st.integers(0, 2**32 - 1))
def test_the_canonical_key_does_not_see_augmentation(first, second, seed):
    version = draw_augmentation(np.random.default_rng(seed), symmetry=True, colour=True)
    assert canonical_key(Pair(first, second)) == canonical_key(Pair(version.apply(first), version.apply(second)))


def test_the_canonical_key_tells_zero_and_different_pairs_apart():
    pairs = [([[0, 1]], [[1]]), ([[2, 1]], [[1]]), ([[0, 1]], [[0]]), ([[0], [1]], [[0]])]
    keys = [canonical_key(Pair(as_grid(i), as_grid(o))) for i, o in pairs]
    assert len(set(keys[:3])) == 3
    assert keys[2] == keys[3]


def test_a_task_knows_its_size_and_whether_it_is_labelled():
    task = Task("t", (Pair(GRID, GRID),), (Pair(GRID, None), Pair(np.zeros((1, 7), dtype=np.uint8), GRID)))
    assert task.side == 7
    assert not task.labelled
    assert len(task.pairs) == 3
