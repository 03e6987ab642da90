"""The arithmetic splits: disjoint, exact, the same for the same ``data`` section whatever else changes.

Every split draws from a random stream of its own, named after the split, and the test splits are drawn
first. So ``test_id`` does not depend on ``train_size``, and a larger training set contains every smaller one.

Division is kept inside the integers: a divisor always divides. A pair is drawn uniformly among the pairs of
the range that do, and a chain takes a divisor of its running value. One grammar of answers then serves every
operation, and no answer depends on how a fraction is rounded.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, final

from quadrat import UsageError
from quadrat_studies.fluxem.config import Config, DataConfig
from quadrat_studies.fluxem.dataset_card import read_card, write_card
from quadrat_studies.fluxem.problems import Key, Problem, apply
from quadrat_studies.fluxem.units_config import UnitsDataConfig
from quadrat_studies.fluxem.units_data import build_units_data

SPLITS = ("train", "validation", "test_id", "test_ood_magnitude", "test_ood_length")
TEST_SPLITS = SPLITS[2:]
LARGEST_QUOTIENT_TABLE = 1_000_000
MOST_ATTEMPTS = 200_000


def build_data(config: Config, folder: Path) -> None:
    """Write ``<split>.jsonl`` for every split and ``dataset.json`` about them. Reads ``config.data`` only;
    what says ``domain: units`` goes to ``units_data``.

    Raises:
        UsageError: a range holds fewer different problems than were asked for.
    """
    data = config.data
    if isinstance(data, UnitsDataConfig):
        build_units_data(data, folder)
        return
    problems = draw_splits(data)
    rows = {split: [problem.row(data.precedence) for problem in problems[split]] for split in SPLITS}
    for split in SPLITS:
        lines = (json.dumps({"id": f"{split}-{i:06d}", **row}) + "\n" for i, row in enumerate(rows[split]))
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    write_card(folder / "dataset.json", data, rows=rows)


def splits_to_test(folder: Path) -> list[str]:
    """The splits in ``folder`` that no choice may be made on, in the order of the dataset card."""
    return [split for split in read_card(folder)["splits"] if split.startswith("test_")]


def read_split(folder: Path, split: str) -> list[dict[str, Any]]:
    """The rows of one split.

    Raises:
        UsageError: the folder does not hold that split.
    """
    path = folder / f"{split}.jsonl"
    if not path.is_file():
        raise UsageError(f"the split {split!r} is missing.", where=str(path), remedy="build the data again.")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def draw_splits(data: DataConfig) -> dict[str, list[Problem]]:
    """Every split's problems. No two problems of different splits, or of one, have the same key."""
    wanted = {"train": data.train_size, "validation": data.validation_size, "test_id": data.test_size}
    inside = {operation: Pairs(operation, *data.id_range) for operation in data.operations}
    outside = {operation: Pairs(operation, *data.ood_magnitude_range) for operation in data.operations}
    _check_room(data, inside, wanted=wanted, range_name="id_range")
    _check_room(data, outside, wanted={"test_ood_magnitude": data.test_size}, range_name="ood_magnitude_range")
    taken: set[Key] = set()

    def fresh(split: str, pairs: dict[str, Pairs], count: int) -> list[Problem]:
        rng = random.Random(f"{data.seed}/{split}")
        candidates = {operation: pairs[operation].draw(rng) for operation in data.operations}
        # Operations take turns, so every prefix of a split is balanced.
        turns = [data.operations[index % len(data.operations)] for index in range(count)]
        return [_first_new(candidates[operation], taken, split=split) for operation in turns]

    drawn = {
        "test_id": fresh("test_id", inside, data.test_size),
        "validation": fresh("validation", inside, data.validation_size),
        "test_ood_magnitude": fresh("test_ood_magnitude", outside, data.test_size),
        "train": fresh("train", inside, data.train_size),
    }
    rng = random.Random(f"{data.seed}/test_ood_length")
    lengths = range(data.ood_min_ops, data.ood_max_ops + 1)
    drawn["test_ood_length"] = [
        _first_new(_chains(data, lengths[index % len(lengths)], rng=rng), taken, split="test_ood_length")
        for index in range(data.test_size)
    ]
    return drawn


@final
@dataclass(frozen=True, slots=True)
class Pairs:
    """All two-operand problems of one operation with both operands in ``[low, high]``."""

    operation: str
    low: int
    high: int

    def count(self) -> int:
        """How many of them differ by key."""
        numbers = self.high - self.low + 1
        if self.operation == "/":
            return sum(self._divisor_counts())
        return numbers**2 if self.operation == "-" else numbers * (numbers + 1) // 2

    def draw(self, rng: random.Random) -> Iterator[Problem]:
        """An endless stream, uniform over ordered operands (over exact divisions for ``/``)."""
        if self.operation != "/":
            while True:
                yield Problem((rng.randint(self.low, self.high), rng.randint(self.low, self.high)), (self.operation,))
        weights = list(accumulate(self._divisor_counts()))
        smallest = 0 if self.low == 0 else 1
        while True:
            quotient = smallest + rng.choices(range(len(weights)), cum_weights=weights)[0]
            divisor = rng.randint(max(self.low, 1), self.high // max(quotient, 1))
            yield Problem((quotient * divisor, divisor), ("/",))

    def _divisor_counts(self) -> list[int]:
        # For quotient q the divisor runs from low to high // q; the dividend is then inside the range too.
        least = max(self.low, 1)
        if self.high // least > LARGEST_QUOTIENT_TABLE:
            raise UsageError(
                f"exact division over [{self.low}, {self.high}] has more than {LARGEST_QUOTIENT_TABLE:,} quotients.",
                remedy="raise the lower end of the range or leave '/' out of data.operations.",
            )
        zero = [self.high - least + 1] if self.low == 0 else []
        return zero + [self.high // quotient - least + 1 for quotient in range(1, self.high // least + 1)]


def _chains(data: DataConfig, length: int, *, rng: random.Random) -> Iterator[Problem | None]:
    """Random chains without end; None for one that came to a value no divisor of the range divides."""
    low, high = data.id_range
    while True:
        value = rng.randint(low, high)
        operands, operations = [value], []
        for _ in range(length):
            operation = rng.choice(data.operations)
            choices = range(low, high + 1)
            if operation == "/":
                choices = [divisor for divisor in range(max(low, 1), high + 1) if value % divisor == 0]
            if not choices:
                break
            operands.append(rng.choice(choices))
            operations.append(operation)
            value = apply(operation, value, operands[-1])
        yield Problem(tuple(operands), tuple(operations)) if len(operations) == length else None


def _first_new(candidates: Iterator[Problem | None], taken: set[Key], *, split: str) -> Problem:
    for problem in islice(candidates, MOST_ATTEMPTS):
        if problem is not None and (key := problem.key()) not in taken:
            taken.add(key)
            return problem
    raise UsageError(
        f"{split} finds no new problem in {MOST_ATTEMPTS:,} draws.",
        where="data",
        remedy="widen the ranges or ask for fewer samples.",
    )


def _check_room(data: DataConfig, pairs: dict[str, Pairs], *, wanted: dict[str, int], range_name: str) -> None:
    for turn, operation in enumerate(data.operations):
        asked = sum((count - turn + len(data.operations) - 1) // len(data.operations) for count in wanted.values())
        room = pairs[operation].count()
        if asked > room:
            low, high = getattr(data, range_name)
            raise UsageError(
                f"{range_name} [{low}, {high}] holds {room:,} different problems of the kind 'a {operation} b', "
                f"but {' + '.join(wanted)} ask for {asked:,}.",
                where=f"data.{range_name}",
                remedy="widen the range or ask for fewer samples.",
            )
