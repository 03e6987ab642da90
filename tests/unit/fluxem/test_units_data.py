"""The units splits: disjoint, true, balanced, log-uniform, and what is held out is held out."""

from __future__ import annotations

import json
import math
from collections import Counter
from fractions import Fraction

import pytest

from quadrat import UsageError
from quadrat_studies.fluxem.config import Config
from quadrat_studies.fluxem.data import build_data, read_split, splits_to_test
from quadrat_studies.fluxem.units import Quantity, can_add, can_convert
from quadrat_studies.fluxem.units_config import UnitsDataConfig
from quadrat_studies.fluxem.units_data import (
    SPLITS,
    TEST_SPLITS,
    draw_splits,
    held_out_pairs,
    novel_tables,
    trained_tables,
)
from quadrat_studies.fluxem.units_parser import parse_unit
from quadrat_studies.fluxem.units_questions import from_row
from quadrat_studies.fluxem.units_table import UNIT_TYPES

DATA = UnitsDataConfig(domain="units", train_size=1500, validation_size=100, test_size=600)


@pytest.fixture(scope="module")
def splits():
    return draw_splits(DATA)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("units")
    build_data(Config.model_validate({"data": DATA.model_dump(), "model": {"alphabet": "units"}}), place)
    return place


def magnitudes(questions) -> list[float]:
    return [abs(float(number)) for question in questions for number in question.numbers]


def test_no_question_is_in_two_splits_or_twice_in_one(splits):
    keys = [question.key() for split in SPLITS for question in splits[split]]
    assert len(keys) == len(set(keys)) == 1500 + 100 + 3 * 600


def test_every_answer_is_true_by_an_independent_way(folder):
    """Through floating point SI values and spelt-out rules, from the text of the files."""
    for split in SPLITS:
        for row in read_split(folder, split):
            question = from_row(row)
            left, right = map(parse_unit, question.units)
            if row["task"] == "can_add":
                kinds = {left.scale, right.scale}
                fine = "offset" not in kinds or kinds == {"offset", "difference"}
                assert row["target_value"] == (left.dimension == right.dimension and fine)
                assert row["target_text"] == str(row["target_value"]).lower()
                continue
            kelvin = float(question.numbers[0]) * float(left.factor) + float(left.zero)
            value = (kelvin - float(right.zero)) / float(right.factor)
            size = max(abs(row["target_value"]), 1e-13 * float(right.zero))
            assert row["target_value"] == pytest.approx(value, abs=0.00501 * size + 1e-11 * float(right.zero))
            assert row["target_text"].endswith(f" {question.units[1]}")


def test_conversions_are_no_copies(splits):
    questions = [question for question in splits["train"] if question.task == "convert"]
    same = [question for question in questions if question.answer().split(" ")[0] == question.numbers[0]]
    # Only differences of temperature keep their number: K and delta_degC, and what rounds to it.
    assert len(same) < 0.08 * len(questions)
    assert {question.types[0] for question in same} <= {"temperature"}


@pytest.mark.parametrize("split", SPLITS)
def test_tasks_and_answers_are_balanced_in_every_prefix(splits, split):
    streams = 3 if split == "test_ood_types" else 1
    for count in (12, 100, len(splits[split])):
        tasks = Counter(question.task for question in splits[split][:count])
        answers = Counter(question.answer() for question in splits[split][:count] if question.task == "can_add")
        assert abs(tasks["convert"] - tasks["can_add"]) <= streams
        assert abs(answers["true"] - answers["false"]) <= streams


def shares(table, place: int) -> Counter[str]:
    """How probable each unit is in a question's first or second place, from the way pairs are drawn."""
    found: Counter[str] = Counter()
    for row in table.values():
        for members in row.values():
            for pair in members:
                found[pair[place]] += 1 / (len(table) * len(row) * len(members))
    return found


@pytest.mark.parametrize("place", [0, 1])
def test_one_unit_alone_hardly_gives_the_answer_away(splits, place):
    tables = trained_tables(DATA)
    true, false = (shares(tables[relation], place) for relation in ("true", "false"))
    assert sum(true.values()) == pytest.approx(1) == pytest.approx(sum(false.values()))
    assert sum(max(true[unit], false[unit]) for unit in true | false) / 2 < 0.56
    # The samples follow that law: a chi-squared statistic over the units, at a thousandth.
    for answer, law in (("true", true), ("false", false)):
        drawn = Counter(q.units[place] for q in splits["train"] if q.task == "can_add" and q.answer() == answer)
        statistic = sum((drawn[unit] - drawn.total() * law[unit]) ** 2 / (drawn.total() * law[unit]) for unit in law)
        assert statistic < 52.6, "25 degrees of freedom"


@pytest.mark.parametrize("split", ["train", "test_id", "test_ood_types"])
def test_magnitudes_are_log_uniform_over_the_trained_range(splits, split):
    logs = sorted(math.log10(value) for value in magnitudes(splits[split]))
    assert logs[0] > -3 and logs[-1] < 3
    # Kolmogorov's distance from the uniform law; 1.95 / sqrt(n) is exceeded once in a thousand.
    distance = max(abs((value + 3) / 6 - (rank + 0.5) / len(logs)) for rank, value in enumerate(logs))
    assert distance < 1.95 / math.sqrt(len(logs)) + 0.5 / len(logs)


def test_ood_magnitudes_lie_outside_on_both_sides_evenly(splits):
    logs = [math.log10(value) for value in magnitudes(splits["test_ood_magnitude"])]
    assert all(-9 < value < -3 or 3 < value < 9 for value in logs)
    per_decade = Counter(math.floor(value) for value in logs)
    assert set(per_decade) == {*range(-9, -3), *range(3, 9)}
    assert max(per_decade.values()) < 2 * min(per_decade.values())


def test_temperatures_are_physical_and_on_both_sides_of_zero(splits):
    found = []
    for split in SPLITS:
        for question in splits[split]:
            for number, unit in zip(question.numbers, question.units, strict=False):
                scale = parse_unit(unit)
                assert Quantity.of(number, scale).si >= 0
                assert scale.scale == "offset" or Fraction(number) > 0
                found.append(number.startswith("-") if scale.scale == "offset" else None)
    assert 0.3 < found.count(True) / (found.count(True) + found.count(False)) < 0.5


def test_held_out_pairs_are_never_trained_on_and_always_asked(splits):
    held = held_out_pairs(DATA)
    for split in SPLITS[:-1]:
        assert not {frozenset(question.units) for question in splits[split]} & held
        assert {name for question in splits[split] for name in question.types} <= set(DATA.unit_types)
    asked = {frozenset(question.units) for question in splits["test_ood_types"] if question.novelty == "pair"}
    assert asked and asked <= held
    trained = {frozenset(question.units) for question in splits["train"]}
    assert not trained & {frozenset(question.units) for question in splits["test_ood_types"]}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.01, 0.2, 0.9])
def test_every_trained_unit_is_reached_by_trained_conversions(seed, share):
    data = DATA.model_copy(update={"seed": seed, "heldout_pair_share": share})
    table = trained_tables(data)["convert"]
    held = held_out_pairs(data)
    for name in data.unit_types:
        reached = {UNIT_TYPES[name][0]}
        for _ in UNIT_TYPES[name]:
            reached |= {unit for pair in table[name][name] if reached & set(pair) for unit in pair}
        assert reached == set(UNIT_TYPES[name])
        assert any(pair <= set(UNIT_TYPES[name]) for pair in held)


def test_tables_hold_what_their_names_say():
    for tables in (trained_tables(DATA), *novel_tables(DATA).values()):
        for relation, right in (("true", can_add), ("false", lambda a, b: not can_add(a, b)), ("convert", can_convert)):
            pairs = [pair for row in tables[relation].values() for members in row.values() for pair in members]
            assert pairs and all(right(*map(parse_unit, pair)) for pair in pairs)
            assert relation != "convert" or all(a != b for a, b in pairs)


def test_new_dimensions_are_told_apart_by_whether_their_symbols_are_known(splits):
    asked = {
        novelty: {question.types[0] for question in splits["test_ood_types"] if question.novelty == novelty}
        for novelty in ("pair", "compound", "symbol")
    }
    assert asked == {
        "pair": set(DATA.unit_types), "compound": {"momentum", "mass_flow"}, "symbol": {"area", "pressure", "force"},
    }  # fmt: skip
    letters = {character for question in splits["train"] for character in question.text()}
    for question in splits["test_ood_types"]:
        if question.novelty == "compound":
            assert set(question.text()) <= letters
    dimensions = {parse_unit(unit).dimension for name in DATA.unit_types for unit in UNIT_TYPES[name]}
    for name in DATA.heldout_types:
        assert parse_unit(UNIT_TYPES[name][0]).dimension not in dimensions


def test_a_kind_that_does_not_exist_is_left_out():
    only = DATA.model_copy(update={"heldout_types": ("pressure",)})
    assert list(novel_tables(only)) == ["pair", "symbol"]
    no_quotients = DATA.model_copy(update={"unit_types": ("length", "mass", "time")})
    assert "compound" not in novel_tables(no_quotients), "the sign / was never trained on"


def test_without_can_add_all_are_conversions():
    drawn = draw_splits(DATA.model_copy(update={"include_can_add": False, "train_size": 50, "test_size": 30}))
    assert {question.task for questions in drawn.values() for question in questions} == {"convert"}


def test_same_config_same_bytes_and_another_seed_other_bytes(tmp_path):
    small = DATA.model_copy(update={"train_size": 60, "validation_size": 20, "test_size": 30})
    for name, seed in {"first": 42, "again": 42, "other": 7}.items():
        (tmp_path / name).mkdir()
        data = small.model_copy(update={"seed": seed})
        build_data(Config.model_validate({"data": data.model_dump(), "model": {"alphabet": "units"}}), tmp_path / name)
    for file in [*(f"{split}.jsonl" for split in SPLITS), "dataset.json"]:
        first, again, other = ((tmp_path / name / file).read_bytes() for name in ("first", "again", "other"))
        assert first == again != other


def test_a_larger_training_set_contains_the_smaller_and_leaves_the_test_alone(splits):
    small = draw_splits(DATA.model_copy(update={"train_size": 100}))
    assert splits["train"][:100] == small["train"]
    for split in ("validation", "test_id", "test_ood_magnitude"):
        assert small[split] == splits[split]


def test_too_small_a_range_is_refused_in_the_end():
    data = DATA.model_copy(update={"significant_digits": 1, "id_magnitude_range": (1.0, 3.0), "test_size": 900})
    with pytest.raises(UsageError, match="test_id finds no new question"):
        draw_splits(data)


def test_files_are_json_lines_with_unique_ids_and_the_test_splits_are_known(folder):
    lines = [line for split in SPLITS for line in (folder / f"{split}.jsonl").read_text().splitlines()]
    assert len({json.loads(line)["id"] for line in lines}) == len(lines) == 3400
    assert splits_to_test(folder) == list(TEST_SPLITS)
