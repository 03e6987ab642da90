"""The splits: drawn by rule, the same for the same ``data`` section whatever else changes.

Everything that is drawn (slots, keys, fillers) has a random stream of its own in every pair of every split, named
after what it is for. So no split depends on another's size, and a larger training set contains every smaller one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from quadrat_studies.symmetry.config import Config, DataConfig
from quadrat_studies.symmetry.dataset_card import write_card
from quadrat_studies.symmetry.rows import Rows, assemble, take_turns
from quadrat_studies.symmetry.tasks import HELD_OUT, FunctionTask, Ints, Pair, function_task, held_out_cells

KEY_SEQUENCES = 5
SET_SIZE = 3
PERMUTATIONS = np.array([(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
TRAINED_TOKENS = (20, 100)
UNTRAINED_TOKENS = (101, 200)


def build_data(config: Config, folder: Path) -> None:
    """Write ``<split>.npy`` for every split and ``dataset.json`` about them. Reads ``config.data`` only."""
    splits = draw_splits(config.data)
    for split, rows in splits.items():
        rows.save(folder, split)
    write_card(folder / "dataset.json", config.data, splits=splits)


def draw_splits(data: DataConfig) -> dict[str, Rows]:
    """Every split: ``train`` and ``test``, with ``held_out`` (43) in function tasks and ``ood`` in the inverse task."""
    if data.task == "inverse":
        return {
            "train": _inverse_rows(data, "train", rows=data.train_rows),
            "test": _inverse_rows(data, "test", rows=data.test_rows),
            "ood": _inverse_rows(data, "ood", rows=data.test_rows),
        }
    task = function_task(data)
    quotas = [len(range(turn, data.train_rows, len(task.trained))) for turn in range(len(task.trained))]
    return {
        "train": take_turns(
            [
                function_rows(data, task, stream=f"train/{a}{b}", pair=(a, b), rows=quota, cells="train")
                for (a, b), quota in zip(task.trained, quotas, strict=True)
            ]
        ),
        "test": take_turns([_test_rows(data, task, pair) for pair in task.trained]),
        "held_out": _test_rows(data, task, HELD_OUT),
    }


def named_stream(seed: int, name: str) -> np.random.Generator:
    """A random stream of its own for every pair of seed and name."""
    return np.random.default_rng(list(hashlib.sha256(f"{seed}/{name}".encode()).digest()))


# Function tasks ----------------------------------------------------------------------------------------------------


def function_rows(
    data: DataConfig,
    task: FunctionTask,
    *,
    stream: str,
    pair: Pair,
    rows: int,
    cells: str,
    last_slot: int | None = None,
) -> Rows:
    """Sequences of one pair. ``cells`` is ``train``, ``test`` (the residue rule's two sides) or ``any``.

    The slot is uniform over ``0 .. last_slot`` (default: the last with room for both anchors), then the key over the
    keys allowed in that slot; the rest are fillers, which are never anchors.
    """
    slot_stream, key_stream, filler_stream = (
        named_stream(data.seed, f"{stream}/{what}") for what in ("slots", "keys", "fillers")
    )
    last = data.length - 3 if last_slot is None else last_slot
    slots = slot_stream.integers(0, last + 1, rows) if data.key_slot is None else np.full(rows, data.key_slot)
    keys = _keys(data, slots, key_stream.random(rows), cells=cells)
    tokens = filler_stream.integers(data.filler_range[0], data.filler_range[1] + 1, (rows, data.length))
    everywhere = np.arange(rows)
    for offset, values in enumerate((keys, pair[0], pair[1])):
        tokens[everywhere, slots + offset] = values
    return assemble(tokens, task.answers(pair, keys), pair=pair, slots=slots)


def _test_rows(data: DataConfig, task: FunctionTask, pair: Pair) -> Rows:
    stream = f"test/{pair[0]}{pair[1]}"
    return function_rows(data, task, stream=stream, pair=pair, rows=data.test_rows, cells="test")


def _keys(data: DataConfig, slots: Ints, chance: np.ndarray, *, cells: str) -> Ints:
    candidates = np.arange(data.key_range[0], data.key_range[1] + 1)
    keys = np.zeros_like(slots)
    for slot in np.unique(slots):
        held_out = held_out_cells(data, candidates, np.full_like(candidates, slot))
        allowed = candidates if cells == "any" else candidates[held_out == (cells == "test")]
        here = slots == slot
        keys[here] = allowed[(chance[here] * len(allowed)).astype(np.int64)]
    return keys


# Inverse sequence matching -----------------------------------------------------------------------------------------


def _inverse_rows(data: DataConfig, split: str, *, rows: int) -> Rows:
    """Five orders of three tokens, each followed by a filler; a gap; one of the five backwards, named by the label."""
    set_stream, order_stream, filler_stream, answer_stream = (
        named_stream(data.seed, f"inverse/{data.layers}/{split}/{what}")
        for what in ("sets", "orders", "fillers", "answers")
    )
    low, high = UNTRAINED_TOKENS if split == "ood" else TRAINED_TOKENS
    sets = _generating_sets(low, high, _SET_RULES[split])
    chosen = sets[set_stream.integers(0, len(sets), rows)]  # [rows, 3], rising
    shuffled = order_stream.permuted(np.tile(np.arange(len(PERMUTATIONS)), (rows, 1)), axis=1)
    orders = PERMUTATIONS[shuffled[:, :KEY_SEQUENCES]]
    sequences = np.take_along_axis(chosen[:, None, :], orders, axis=2)  # [rows, 5, 3]
    drawn = filler_stream.integers(low, high + 1 - SET_SIZE, (rows, KEY_SEQUENCES + 3 * data.layers))
    fillers = _outside(chosen, drawn)
    answers = answer_stream.integers(0, KEY_SEQUENCES, rows)
    query = sequences[np.arange(rows), answers, ::-1]
    keyed = np.concatenate([sequences, fillers[:, :KEY_SEQUENCES, None]], axis=2).reshape(rows, -1)
    return assemble(np.concatenate([keyed, fillers[:, KEY_SEQUENCES:], query], axis=1), answers + 1)


def _one_residue(sets: Ints) -> np.ndarray:
    return (sets % 3 == sets[:, :1] % 3).all(axis=1)


_SET_RULES: dict[str, Callable[[Ints], np.ndarray]] = {
    "train": lambda sets: ~_one_residue(sets),
    "test": _one_residue,
    "ood": lambda sets: np.ones(len(sets), dtype=bool),
}


def _generating_sets(low: int, high: int, rule: Callable[[Ints], np.ndarray]) -> Ints:
    sets = np.array(list(combinations(range(low, high + 1), SET_SIZE)))
    return sets[rule(sets)]


def _outside(sets: Ints, drawn: Ints) -> Ints:
    """Numbers drawn from a range shortened by 3, moved past the tokens of each row's set."""
    tokens = drawn.copy()
    for place in range(SET_SIZE):
        tokens += tokens >= sets[:, place : place + 1]
    return tokens


def splits_of(data: DataConfig) -> Sequence[str]:
    """The names of the splits of a task."""
    return ("train", "test", "ood") if data.task == "inverse" else ("train", "test", "held_out")
