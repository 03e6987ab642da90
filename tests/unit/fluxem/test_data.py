"""The splits: disjoint, balanced, deterministic, and refused when they cannot be."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from quadrat import UsageError
from quadrat_studies.fluxem.config import Config, DataConfig
from quadrat_studies.fluxem.data import SPLITS, Pairs, build_data, draw_splits, read_split
from quadrat_studies.fluxem.dataset_card import read_card
from quadrat_studies.fluxem.problems import from_row

FULL = DataConfig(
    train_size=2000,
    validation_size=300,
    test_size=300,
    id_range=(0, 999),
    ood_magnitude_range=(1_000_000, 999_999_999),
    ood_max_ops=7,
    operations=("+", "-", "*", "/"),
)
SMALL = DataConfig()


def build(data: DataConfig, folder):
    folder.mkdir(exist_ok=True)
    build_data(Config(data=data), folder)
    return {split: read_split(folder, split) for split in SPLITS}


@pytest.mark.parametrize("data", [SMALL, FULL], ids=["small", "full"])
def test_no_problem_is_in_two_splits_or_twice_in_one(data, tmp_path):
    rows = build(data, tmp_path)
    keys = [from_row(row).key() for split in SPLITS for row in rows[split]]
    assert len(keys) == len(set(keys)) == data.train_size + data.validation_size + 3 * data.test_size
    card = read_card(tmp_path)
    assert set(card["overlap"].values()) == {0}
    assert len(card["overlap"]) == 10
    assert set(card["duplicates"].values()) == {0}


def test_the_card_counts_an_overlap_that_is_there(tmp_path):
    from quadrat_studies.fluxem.dataset_card import write_card

    rows = build(SMALL, tmp_path)
    first = rows["train"][0]
    swapped = from_row(first).operands[::-1]
    twin = type(from_row(first))(swapped, ("+",)).row("parentheses")
    assert first["operations"] == ["+"]
    rows["test_id"][3] = twin
    rows["validation"][1] = rows["validation"][0]
    write_card(tmp_path / "dataset.json", SMALL, rows=rows)
    card = read_card(tmp_path)
    assert card["overlap"]["train/test_id"] == 1
    assert card["duplicates"]["validation"] == 1


@pytest.mark.parametrize("data", [SMALL, FULL], ids=["small", "full"])
def test_ranges_lengths_and_balance_are_as_asked(data, tmp_path):
    rows = build(data, tmp_path)
    for split in ("train", "validation", "test_id", "test_ood_magnitude"):
        low, high = data.ood_magnitude_range if split == "test_ood_magnitude" else data.id_range
        assert all(low <= span["value"] <= high for row in rows[split] for span in row["spans"])
        counts = Counter(row["operations"][0] for row in rows[split])
        assert max(counts.values()) - min(counts.values()) <= 1
        assert {len(row["spans"]) for row in rows[split]} == {2}
    lengths = Counter(len(row["operations"]) for row in rows["test_ood_length"])
    assert set(lengths) == set(range(data.ood_min_ops, data.ood_max_ops + 1))


def test_every_answer_is_the_exact_integer(tmp_path):
    for row in [row for rows in build(FULL, tmp_path).values() for row in rows]:
        value = eval(row["text"].replace("/", "//"))
        assert value == row["target_value"]
        assert row["target_text"] == str(value)


def test_same_config_same_bytes_and_another_seed_other_bytes(tmp_path):
    for name, data in {"a": SMALL, "b": SMALL, "c": SMALL.model_copy(update={"seed": 7})}.items():
        build(data, tmp_path / name)
    for split in SPLITS:
        a, b, c = ((tmp_path / name / f"{split}.jsonl").read_bytes() for name in "abc")
        assert a == b != c


def test_a_larger_training_set_contains_the_smaller_and_leaves_the_test_alone():
    small = draw_splits(SMALL)
    large = draw_splits(SMALL.model_copy(update={"train_size": 3000}))
    assert large["train"][:1000] == small["train"]
    for split in SPLITS[1:-1]:
        assert large[split] == small[split]


@pytest.mark.parametrize(("low", "high"), [(0, 12), (1, 30), (5, 40), (7, 13)])
@pytest.mark.parametrize("operation", "+-*/")
def test_pairs_are_counted_right_and_all_reached(operation, low, high):
    import random
    from itertools import product

    pairs = Pairs(operation, low, high)
    everything = {
        (a, b) if operation in "-/" else (min(a, b), max(a, b))
        for a, b in product(range(low, high + 1), repeat=2)
        if operation != "/" or (b and a % b == 0)
    }
    assert pairs.count() == len(everything)
    stream = pairs.draw(random.Random(0))
    drawn = {next(stream).key()[1] for _ in range(60 * len(everything))}
    assert drawn == everything


def test_too_small_a_range_is_refused_by_its_name():
    with pytest.raises(
        UsageError, match=r"id_range \[0, 9\] holds 55 different problems of the kind 'a \+ b'"
    ) as caught:
        draw_splits(SMALL.model_copy(update={"id_range": (0, 9)}))
    assert caught.value.where == "data.id_range"


def test_chains_that_do_not_exist_are_refused_in_the_end():
    data = DataConfig(
        train_size=1, validation_size=1, test_size=2, id_range=(7, 13), operations=("/",), ood_max_ops=2
    ).model_copy(update={"ood_magnitude_range": (14, 30)})
    with pytest.raises(UsageError, match="test_ood_length finds no new problem"):
        draw_splits(data)


def test_exactly_as_many_as_there_are_can_be_had():
    data = DataConfig(
        train_size=25, validation_size=15, test_size=15, id_range=(0, 9), operations=("+",), ood_max_ops=2,
    )  # fmt: skip
    assert len({problem.key() for split in SPLITS[:3] for problem in draw_splits(data)[split]}) == 55


def test_a_division_range_without_end_is_refused():
    with pytest.raises(UsageError, match="quotients"):
        draw_splits(SMALL.model_copy(update={"operations": ("/",), "id_range": (0, 10**8)}))


def test_trivial_scores_on_rows_made_by_hand():
    from quadrat_studies.fluxem.dataset_card import trivial_scores
    from quadrat_studies.fluxem.problems import Problem

    def rows(*pairs):
        return [Problem(pair, ("+",)).row("parentheses") for pair in pairs]

    train = rows((1, 1), (2, 0), (8, 8))  # answers 2, 2, 16: majority 2, mean 6.67 -> 7
    test = rows((2, 0), (3, 4), (0, 14), (50, 50))  # answers 2, 7, 14, 100
    assert trivial_scores(test, train) == pytest.approx(
        {
            "majority_exact_match": 1 / 4,
            "copy_first_operand_exact_match": 1 / 4,
            "mean_exact_match": 1 / 4,
            "mean_relative_error_median": (0.5 + 0.93) / 2,
            "magnitude_only_exact_match": (1 / 10 + 1 / 10 + 1 / 90 + 1 / 900) / 4,
        }
    )


def test_a_missing_split_is_a_users_error(tmp_path):
    with pytest.raises(UsageError, match="'train' is missing"):
        read_split(tmp_path, "train")


def test_files_are_json_lines_with_unique_ids(tmp_path):
    build(SMALL, tmp_path)
    lines = [line for split in SPLITS for line in (tmp_path / f"{split}.jsonl").read_text().splitlines()]
    assert len({json.loads(line)["id"] for line in lines}) == len(lines) == 1800
