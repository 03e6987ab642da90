"""The units splits: disjoint, true, balanced, the same for the same ``data`` section whatever else changes.

Every split draws from a random stream of its own, test splits first, so ``test_id`` does not depend on ``train_size``
and a larger training set contains every smaller one. Conversions and additions take turns, and so do ``true`` and
``false``: every prefix of a split is balanced. The first unit of a question says next to nothing about the answer,
because both answers draw its type uniformly.

``test_ood_types`` asks about what training never combines, three kinds in turns where they exist:

    pair       two trained units that were never seen together, in either direction
    compound   a new dimension, spelt from units that were trained on: kg m/s after kg, m and s
    symbol     a new dimension whose units have letters or signs of their own: psi, m^2
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import combinations, islice, product
from pathlib import Path
from typing import Literal

from quadrat import UsageError
from quadrat_studies.fluxem.units import Quantity, can_add, can_convert
from quadrat_studies.fluxem.units_card import write_card
from quadrat_studies.fluxem.units_config import UnitsDataConfig
from quadrat_studies.fluxem.units_parser import parse_unit
from quadrat_studies.fluxem.units_questions import Key, Question, Task, number_text
from quadrat_studies.fluxem.units_table import UNIT_TYPES

SPLITS = ("train", "validation", "test_id", "test_ood_magnitude", "test_ood_types")
TEST_SPLITS = SPLITS[2:]
MOST_ATTEMPTS = 5_000

Pair = frozenset[str]
"""Two unit texts, whichever comes first."""
Relation = Literal["convert", "true", "false"]
Table = Mapping[str, Mapping[str, Sequence[tuple[str, str]]]]
"""Ordered unit pairs ``table[type of the first][type of the second]``, nothing empty."""
Ranges = tuple[tuple[float, float], ...]


def build_units_data(data: UnitsDataConfig, folder: Path) -> None:
    """Write ``<split>.jsonl`` for every split and ``dataset.json`` about them.

    Raises:
        UsageError: there are fewer different questions than were asked for.
    """
    rows = {
        split: [{"id": f"{split}-{index:06d}", **question.row()} for index, question in enumerate(questions)]
        for split, questions in draw_splits(data).items()
    }
    for split in SPLITS:
        lines = (json.dumps(row) + "\n" for row in rows[split])
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    write_card(folder / "dataset.json", data, rows=rows)


def draw_splits(data: UnitsDataConfig) -> dict[str, list[Question]]:
    """Every split's questions. No two questions of different splits, or of one, have the same key."""
    (least, most), (low, high) = data.ood_magnitude_range, data.id_magnitude_range
    inside = ((low, high),)
    outside = tuple(edges for edges in ((least, low), (high, most)) if edges[0] < edges[1])
    known = trained_tables(data)
    relations = turns_of(data)
    taken: set[Key] = set()

    def fresh(split: str, count: int, ranges: Ranges) -> list[Question]:
        rng = random.Random(f"{data.seed}/units/{split}")
        streams = (
            _stream(known, relations[index % len(relations)], ranges=ranges, data=data, rng=rng)
            for index in range(count)
        )
        return [_first_new(stream, taken, split=split) for stream in streams]

    drawn = {
        "test_id": fresh("test_id", data.test_size, inside),
        "validation": fresh("validation", data.validation_size, inside),
        "test_ood_magnitude": fresh("test_ood_magnitude", data.test_size, outside),
        "train": fresh("train", data.train_size, inside),
    }
    rng = random.Random(f"{data.seed}/units/test_ood_types")
    novel = novel_tables(data)
    turns: list[tuple[Relation, str]] = [(relation, novelty) for relation in relations for novelty in novel]
    drawn["test_ood_types"] = []
    for index in range(data.test_size):
        relation, novelty = turns[index % len(turns)]
        stream = _stream(novel[novelty], relation, ranges=inside, data=data, rng=rng, novelty=novelty)
        drawn["test_ood_types"].append(_first_new(stream, taken, split="test_ood_types"))
    return {split: drawn[split] for split in SPLITS}


def turns_of(data: UnitsDataConfig) -> tuple[Relation, ...]:
    """What the questions of a split ask, one after the other and then from the front again."""
    return ("convert", "true", "convert", "false") if data.include_can_add else ("convert",)


def trained_tables(data: UnitsDataConfig) -> dict[Relation, Table]:
    """The pairs that every split but ``test_ood_types`` combines."""
    held = held_out_pairs(data)
    return _tables(product(data.unit_types, data.unit_types), lambda pair: pair not in held)


def novel_tables(data: UnitsDataConfig) -> dict[str, dict[Relation, Table]]:
    """The pairs of ``test_ood_types`` by kind; a kind that does not exist under ``data`` is left out."""
    held = held_out_pairs(data)
    spelt = [name for name in data.heldout_types if _is_spelt(name, data)]
    other = [name for name in data.heldout_types if name not in spelt]
    tables = {
        "pair": _tables(product(data.unit_types, data.unit_types), lambda pair: pair in held),
        "compound": _tables(product(spelt, [*spelt, *data.unit_types]), lambda _: True),
        "symbol": _tables(product(other, [*other, *data.unit_types]), lambda _: True),
    }
    return {novelty: table for novelty, table in tables.items() if all(table.values())}


def held_out_pairs(data: UnitsDataConfig) -> frozenset[Pair]:
    """Pairs of trained units that training never combines.

    Within a type a pair is held out only when the others still connect the type's units, so that each such
    conversion is a chain of trained ones. Pairs of units that cannot be converted are held out freely.
    """
    rng = random.Random(f"{data.seed}/units/pairs")
    held: set[Pair] = set()
    units = {name: UNIT_TYPES[name] for name in data.unit_types}
    for members in units.values():
        pairs = [pair for pair in combinations(members, 2) if can_convert(*map(parse_unit, pair))]
        rng.shuffle(pairs)
        wanted = max(1, int(len(pairs) * data.heldout_pair_share))
        for pair in pairs:
            rest = [other for other in pairs if frozenset(other) not in held and other != pair]
            if wanted and _connected(members, rest):
                held.add(frozenset(pair))
                wanted -= 1
    for first, second in combinations(units.values(), 2):
        apart = list(product(first, second))
        rng.shuffle(apart)
        held |= {frozenset(pair) for pair in apart[: max(1, int(len(apart) * data.heldout_pair_share))]}
    return frozenset(held)


def _connected(members: tuple[str, ...], pairs: list[tuple[str, str]]) -> bool:
    reached = {members[0]}
    while True:
        more = {unit for pair in pairs if reached & set(pair) for unit in pair} - reached
        if not more:
            return len(reached) == len(members)
        reached |= more


def _is_spelt(name: str, data: UnitsDataConfig) -> bool:
    """Whether every unit of a held-out type is written with symbols and signs that training shows."""
    trained = [unit for other in data.unit_types for unit in UNIT_TYPES[other]]
    symbols = {part for unit in trained for part in unit.replace("/", " ").split()}
    has_quotients = any("/" in unit for unit in trained)
    return all(
        set(unit.replace("/", " ").split()) <= symbols and ("/" not in unit or has_quotients)
        for unit in UNIT_TYPES[name]
    )


def _tables(types: Iterable[tuple[str, str]], is_allowed: Callable[[Pair], bool]) -> dict[Relation, Table]:
    tables: dict[Relation, dict[str, dict[str, list[tuple[str, str]]]]] = {"convert": {}, "true": {}, "false": {}}
    for first, second in types:
        for pair in product(UNIT_TYPES[first], UNIT_TYPES[second]):
            if not is_allowed(frozenset(pair)):
                continue
            source, target = map(parse_unit, pair)
            relations: list[Relation] = ["true" if can_add(source, target) else "false"]
            if pair[0] != pair[1] and can_convert(source, target):
                relations.append("convert")
            for relation in relations:
                tables[relation].setdefault(first, {}).setdefault(second, []).append(pair)
    return dict(tables)


def _stream(
    tables: Mapping[Relation, Table],
    relation: Relation,
    *,
    ranges: Ranges,
    data: UnitsDataConfig,
    rng: random.Random,
    novelty: str | None = None,
) -> Iterator[Question]:
    """Random questions of one relation without end. Types are drawn uniformly, then pairs within them."""
    table = tables[relation]
    task: Task = "convert" if relation == "convert" else "can_add"
    while True:
        first = rng.choice(list(table))
        second = rng.choice(list(table[first]))
        units = rng.choice(table[first][second])
        asked = units[:1] if task == "convert" else units
        numbers = tuple(_number(unit, ranges, rng=rng, digits=data.significant_digits) for unit in asked)
        yield Question(task, numbers, units, (first, second), novelty)


def _number(unit: str, ranges: Ranges, *, rng: random.Random, digits: int) -> str:
    """Log-uniform over ``ranges``. On an offset scale half are negative, as far as absolute zero lets them."""
    scale = parse_unit(unit)
    while True:
        low, high = rng.choices(ranges, [math.log(high / low) for low, high in ranges])[0]
        text = number_text(Fraction(math.exp(rng.uniform(math.log(low), math.log(high)))), digits)
        if not low < Fraction(text) < high:
            continue  # rounded onto the edge or over it
        negative = f"-{text}"
        is_cold = scale.scale == "offset" and Quantity.of(negative, scale).si >= 0
        return negative if is_cold and rng.random() < 0.5 else text


def _first_new(candidates: Iterator[Question], taken: set[Key], *, split: str) -> Question:
    for question in islice(candidates, MOST_ATTEMPTS):
        if (key := question.key()) not in taken:
            taken.add(key)
            return question
    raise UsageError(
        f"{split} finds no new question in {MOST_ATTEMPTS:,} draws.",
        where="data",
        remedy="widen the magnitude ranges, raise data.significant_digits or ask for fewer samples.",
    )
