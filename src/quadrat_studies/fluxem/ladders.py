"""How far a finished model reaches: tables over digits, operands and carries, beyond the splits.

    magnitude   sums, differences, products with operands of i and j digits      one cell for each pair and operation
    operands    sums and differences of 2, 3, .. operands of the trained range   one cell for each number of operands
    carries     sums and differences of k-digit operands with 0, 1, .. carries   one cell for each number and operation

A table's rows are cells: what was asked, how many problems, how many answers were right, and whether training could
have shown such problems (``trained``). Problems come from a random stream of their own and are the same for every
model with the same ``ladders`` and ``data``; those that stand in a training split are not left out, because a cell of
one-digit operands has no others. Sums and differences are written without parentheses: from the left is their usual
order.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, final

from quadrat_studies.fluxem.config import Config, DataConfig
from quadrat_studies.fluxem.problems import OPERATION_NAMES, Problem

MOST_DRAWS = 20_000


@final
@dataclass(frozen=True, slots=True)
class Rung:
    """One problem of a ladder, and the cell it belongs to."""

    cell: tuple[tuple[str, Any], ...]
    text: str
    target: str


def ladder_problems(config: Config) -> dict[str, list[Rung]]:
    """The problems of every ladder that ``config.ladders`` asks for, by ladder."""
    asked, data = config.ladders, config.data
    makers: dict[str, Callable[[], Iterator[Rung]]] = {}
    if not isinstance(data, DataConfig):
        return {}
    if asked.magnitude_digits:
        makers["magnitude"] = lambda: _magnitude(data, asked.magnitude_digits, asked.cell_size)
    if asked.operands >= 2:
        makers["operands"] = lambda: _operands(data, asked.operands, asked.cell_size)
    if asked.carries:
        makers["carries"] = lambda: _carries(data, asked.carries, asked.cell_size)
    return {name: list(make()) for name, make in makers.items()}


def ladder_table(rungs: Sequence[Rung], answers: Sequence[str]) -> list[dict[str, Any]]:
    """One row for each cell, in order: its name, ``items``, ``correct`` and ``exact_match``."""
    hits: dict[tuple[tuple[str, Any], ...], list[bool]] = {}
    for rung, answer in zip(rungs, answers, strict=True):
        hits.setdefault(rung.cell, []).append(answer == rung.target)
    return [
        {**dict(cell), "items": len(found), "correct": sum(found), "exact_match": sum(found) / len(found)}
        for cell, found in hits.items()
    ]


def _magnitude(data: DataConfig, digits: int, size: int) -> Iterator[Rung]:
    places = range(1, digits + 1)
    for operation in (operation for operation in data.operations if operation != "/"):
        for left in places:
            for right in places:
                rng = random.Random(f"{data.seed}/magnitude/{operation}/{left}/{right}")
                cell = {
                    "operation": OPERATION_NAMES[operation],
                    "digits_left": left,
                    "digits_right": right,
                    "trained": _is_trained(left, data) and _is_trained(right, data),
                }
                for _ in range(size):
                    yield _rung(cell, Problem((_number(left, rng), _number(right, rng)), (operation,)))


def _operands(data: DataConfig, most: int, size: int) -> Iterator[Rung]:
    operations = [operation for operation in data.operations if operation in "+-"]
    for count in range(2, most + 1) if operations else ():
        rng = random.Random(f"{data.seed}/operands/{count}")
        for _ in range(size):
            operands = tuple(rng.randint(*data.id_range) for _ in range(count))
            chosen = tuple(rng.choice(operations) for _ in range(count - 1))
            yield _rung({"operands": count, "trained": count == 2}, Problem(operands, chosen))


def _carries(data: DataConfig, digits: int, size: int) -> Iterator[Rung]:
    """A stratum that a given number of draws does not fill is shorter, or left out when nothing was found."""
    for operation in (operation for operation in data.operations if operation in "+-"):
        rng = random.Random(f"{data.seed}/carries/{operation}/{digits}")
        drawn = (Problem((_number(digits, rng), _number(digits, rng)), (operation,)) for _ in range(MOST_DRAWS))
        strata: dict[int, list[Problem]] = {}
        for problem in drawn:
            strata.setdefault(problem.carries() or 0, []).append(problem)
        for carries, members in sorted(strata.items()):
            cell = {
                "operation": OPERATION_NAMES[operation],
                "digits": digits,
                "carries": carries,
                "trained": _is_trained(digits, data),
            }
            yield from (_rung(cell, problem) for problem in islice(members, size))


def _rung(cell: Mapping[str, Any], problem: Problem) -> Rung:
    row = problem.row("left_to_right")
    return Rung(tuple(cell.items()), row["text"], row["target_text"])


def _number(digits: int, rng: random.Random) -> int:
    return rng.randint(0 if digits == 1 else 10 ** (digits - 1), 10**digits - 1)


def _is_trained(digits: int, data: DataConfig) -> bool:
    """Whether the training range holds every number of so many digits, 0 aside."""
    low, high = data.id_range
    return low <= max(10 ** (digits - 1), 1) and 10**digits - 1 <= high
