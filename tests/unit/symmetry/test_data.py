"""The splits: every rule of both tasks, held against the rows themselves."""

from __future__ import annotations

import json
from itertools import permutations

import numpy as np
import pytest

from quadrat import UsageError
from quadrat_studies.symmetry.config import Config, DataConfig
from quadrat_studies.symmetry.data import build_data, draw_splits
from quadrat_studies.symmetry.dataset_card import leakage, read_card
from quadrat_studies.symmetry.rows import Rows, read_rows
from quadrat_studies.symmetry.tasks import function_task, held_out_cells

FUNCTION_TASKS = [
    {"train_rows": 3000, "test_rows": 120},
    {"train_rows": 3000, "test_rows": 120, "functions": "plan", "length": 30, "key_slot": 15},
    {"train_rows": 3000, "test_rows": 120, "task": "fully_symmetric"},
    {"train_rows": 3000, "test_rows": 120, "slot_base": 0, "length": 12},
]
IDS = ["composite", "plan", "fully_symmetric", "longer"]


def data(**values):
    return DataConfig.model_validate(values)


@pytest.fixture(scope="module", params=FUNCTION_TASKS, ids=IDS)
def function_splits(request):
    about = data(**request.param)
    return about, draw_splits(about)


@pytest.fixture(scope="module", params=[2, 3])
def inverse_splits(request):
    about = data(task="inverse", layers=request.param, train_rows=4000, test_rows=1000)
    return about, draw_splits(about)


# Function tasks


def test_every_sequence_has_its_key_pair_and_label_and_nothing_like_an_anchor_elsewhere(function_splits):
    about, splits = function_splits
    task = function_task(about)
    for rows in splits.values():
        tokens, slots, keys = rows.tokens, rows.slots, rows.keys
        assert tokens.shape[1] == about.length
        everywhere = np.arange(len(rows))
        pairs = np.array(rows.pairs)
        assert (tokens[everywhere, slots + 1] == pairs[:, 0]).all()
        assert (tokens[everywhere, slots + 2] == pairs[:, 1]).all()
        assert ((keys >= 20) & (keys <= 99)).all()
        others = tokens.copy()
        others[everywhere, slots + 1] = others[everywhere, slots + 2] = 50
        assert others.min() >= 20
        assert others.max() <= 100
        for pair in task.pairs:
            own = rows.of(pair)
            assert (own.labels == task.answers(pair, own.keys)).all()


def test_training_has_exactly_one_side_of_the_residue_rule_and_tests_the_other(function_splits):
    about, splits = function_splits
    for split, rows in splits.items():
        held_out = held_out_cells(about, rows.keys, rows.slots)
        assert held_out.all() if split != "train" else not held_out.any()


def test_43_is_held_out_and_34_is_trained(function_splits):
    _, splits = function_splits
    assert set(splits["held_out"].pairs) == {(4, 3)}
    for split in ("train", "test"):
        assert (4, 3) not in splits[split].pairs
        assert (3, 4) in splits[split].pairs


def test_pairs_take_turns_so_that_the_first_rows_are_balanced(function_splits):
    about, splits = function_splits
    trained = len(function_task(about).trained)
    for split in ("train", "test"):
        for count in (trained, 7 * trained):
            found = splits[split].first(count).pairs
            assert sorted(found) == sorted(list(dict.fromkeys(found)) * (count // trained))
            assert len(set(found)) == trained
    counts = [len(splits["train"].of(pair)) for pair in function_task(about).trained]
    assert sum(counts) == about.train_rows
    assert max(counts) - min(counts) <= 1
    assert len(splits["test"]) == trained * about.test_rows


def test_nothing_leaks(function_splits):
    about, splits = function_splits
    assert set(leakage(about, splits).values()) == {0}


def test_slots_are_all_used_and_all_cells_can_be_reached():
    splits = draw_splits(data(train_rows=60_000, test_rows=3000))
    cells = {name: set(zip(rows.keys.tolist(), rows.slots.tolist(), strict=True)) for name, rows in splits.items()}
    assert len(cells["train"]) == 490
    assert cells["test"] == cells["held_out"]
    assert len(cells["test"]) == 70
    share = np.bincount(splits["train"].slots) / 60_000
    assert np.allclose(share, 1 / 7, atol=0.01)


def test_leakage_that_is_there_is_counted():
    about = data(train_rows=300, test_rows=20)
    splits = draw_splits(about)
    spoilt = Rows(splits["train"].array.copy())
    spoilt.array[0] = splits["test"].array[5]
    spoilt.array[1] = splits["held_out"].array[2]
    found = leakage(about, {**splits, "train": spoilt})
    assert found == {
        "test_rows_in_train": 1,
        "held_out_rows_in_train": 1,
        "held_out_pair_in_train": 1,
        "test_cells_in_train": 2,
        "train_cells_in_test": 0,
    }


# Streams


def test_a_larger_training_split_contains_every_smaller_one_and_tests_stay():
    small, large = (draw_splits(data(train_rows=rows, test_rows=40)) for rows in (300, 3000))
    assert (large["train"].array[:300] == small["train"].array).all()
    assert (large["test"].array == small["test"].array).all()
    inverse = [draw_splits(data(task="inverse", train_rows=rows, test_rows=40)) for rows in (100, 500)]
    assert (inverse[1]["train"].array[:100] == inverse[0]["train"].array).all()


def test_another_seed_draws_other_rows_and_the_same_seed_the_same():
    one, same, other = (draw_splits(data(train_rows=300, test_rows=20, seed=seed)) for seed in (1, 1, 2))
    for split in one:
        assert (one[split].array == same[split].array).all()
        assert (one[split].array != other[split].array).any()


def test_splits_do_not_share_their_draws():
    splits = draw_splits(data(train_rows=15 * 40, test_rows=40))
    fillers = [splits["train"].of((1, 1)).tokens[:, -1], splits["test"].of((1, 1)).tokens[:, -1]]
    fillers += [splits["train"].of((1, 2)).tokens[:, -1]]
    assert len({tuple(column) for column in fillers}) == 3


# Inverse task


def test_inverse_sequences_are_built_as_said(inverse_splits):
    about, splits = inverse_splits
    gap = 3 * about.layers
    for split, rows in splits.items():
        low, high = (101, 200) if split == "ood" else (20, 100)
        tokens = rows.tokens
        assert tokens.shape[1] == 23 + gap
        assert tokens.min() >= low
        assert tokens.max() <= high
        for row, label in zip(tokens[:300].tolist(), rows.labels[:300].tolist(), strict=True):
            keys = [tuple(row[4 * j : 4 * j + 3]) for j in range(5)]
            members = set(keys[0])
            assert len(members) == 3
            assert len(set(keys)) == 5
            assert set(keys) < set(permutations(members))
            fillers = [row[4 * j + 3] for j in range(5)] + row[20 : 20 + gap]
            assert not members & set(fillers)
            assert tuple(row[:-4:-1]) == keys[label - 1]


def test_generating_sets_are_split_by_residue(inverse_splits):
    _, splits = inverse_splits
    alike = {split: (rows.tokens[:, :3] % 3 == rows.tokens[:, :1] % 3).all(axis=1) for split, rows in splits.items()}
    assert not alike["train"].any()
    assert alike["test"].all()
    assert 0 < alike["ood"].mean() < 0.5


def test_inverse_answers_are_even_and_nothing_leaks(inverse_splits):
    about, splits = inverse_splits
    assert set(leakage(about, splits).values()) == {0}
    for rows in splits.values():
        assert np.allclose(np.bincount(rows.labels)[1:] / len(rows), 0.2, atol=0.05)


# Files


def test_files_and_card(tmp_path):
    config = Config.model_validate({"data": {"train_rows": 300, "test_rows": 20}})
    build_data(config, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset.json", "held_out.npy", "test.npy", "train.npy"]
    splits = draw_splits(config.data)
    for split, rows in splits.items():
        assert (read_rows(tmp_path, split).array == rows.array).all()
    card = read_card(tmp_path)
    assert card["splits"]["train"]["rows"] == 300
    assert card["splits"]["held_out"]["pairs"] == {"43": 20}
    assert set(card["leakage"].values()) == {0}
    assert json.dumps(card["data"], sort_keys=True) == json.dumps(config.data.model_dump(mode="json"), sort_keys=True)


def test_equal_data_gives_equal_bytes_whatever_else_changes(tmp_path):
    for name, gamma in (("a", 0.5), ("b", 1.0)):
        (tmp_path / name).mkdir()
        build_data(
            Config.model_validate({"gamma": gamma, "data": {"train_rows": 300, "test_rows": 20}}), tmp_path / name
        )
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_missing_split_is_named(tmp_path):
    with pytest.raises(UsageError, match="'ood' is missing"):
        read_rows(tmp_path, "ood")
