"""One question about units: its text, where its quantities stand, its true answer, what makes it a duplicate.

    Convert 2.44e2 in to cm                      6.20e2 cm
    Can you add 3.18e1 m and 9.37e1 ft/s?        false

A number is a decimal of as many digits as asked for, in scientific notation, and means exactly what it says. A
conversion's answer is the exact rational result, rounded once, halves to even.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Any, Literal, final

from quadrat import UsageError
from quadrat_studies.fluxem.units import Quantity, can_add, conversion
from quadrat_studies.fluxem.units_parser import parse_unit

Task = Literal["convert", "can_add"]
Key = tuple[Task, tuple[tuple[str, str], ...]]
NUMBER = r"-?[0-9](?:\.[0-9]+)?e-?[0-9]+"
_CONVERT = re.compile(rf"Convert ({NUMBER}) (.+) to (.+)")
_CAN_ADD = re.compile(rf"Can you add ({NUMBER}) (.+) and ({NUMBER}) (.+)\?")


@final
@dataclass(frozen=True, slots=True)
class Mention:
    """A quantity of a text: characters ``start .. end``, and the ``number`` and ``unit`` written there.

    The target of a conversion has no number of its own (``number`` is empty): it stands for one unit.
    """

    start: int
    end: int
    number: str
    unit: str

    @property
    def quantity(self) -> Quantity:
        """What is meant; for a target unit, one of it."""
        return Quantity.of(self.number or "1", parse_unit(self.unit))


@final
@dataclass(frozen=True, slots=True)
class Question:
    """``convert``: one number, source and target unit. ``can_add``: two numbers and their units.

    ``types`` are the dataset's types of the two units; ``novelty`` says what training has not shown, if anything.
    """

    task: Task
    numbers: tuple[str, ...]
    units: tuple[str, str]
    types: tuple[str, str]
    novelty: str | None = None

    def key(self) -> Key:
        """Equal for two questions that ask the same thing: adding knows no order."""
        if self.task == "can_add":
            return self.task, tuple(sorted(zip(self.numbers, self.units, strict=True)))
        return self.task, ((self.numbers[0], self.units[0]), ("", self.units[1]))

    def text(self) -> str:
        """As it is asked."""
        if self.task == "can_add":
            (a, b), (u, v) = self.numbers, self.units
            return f"Can you add {a} {u} and {b} {v}?"
        return f"Convert {self.numbers[0]} {self.units[0]} to {self.units[1]}"

    def answer(self) -> str:
        """The true answer, with as many digits as the question's number."""
        source, target = map(parse_unit, self.units)
        if self.task == "can_add":
            return "true" if can_add(source, target) else "false"
        value = conversion(source, target).exact(self.numbers[0])
        return f"{number_text(value, significant_digits(self.numbers[0]))} {self.units[1]}"

    def row(self) -> dict[str, Any]:
        """The question as a line of a split file."""
        text, answer = self.text(), self.answer()
        return {
            "text": text,
            "spans": [_span(mention) for mention in find_quantities(text)],
            "target_text": answer,
            "target_value": answer == "true" if self.task == "can_add" else float(answer.split(" ")[0]),
            "task": self.task,
            "types": list(self.types),
            "novelty": self.novelty,
        }


def from_row(row: Mapping[str, Any]) -> Question:
    """The question a split file's line was written from."""
    mentions = find_quantities(row["text"])
    numbers = tuple(mention.number for mention in mentions if mention.number)
    first, second = mentions
    types = (row["types"][0], row["types"][1])
    return Question(row["task"], numbers, (first.unit, second.unit), types, row["novelty"])


def is_about_units(row: Mapping[str, Any]) -> bool:
    """Whether a line of a split or of a predictions file is about units; one about arithmetic has no task."""
    return "task" in row


def find_quantities(text: str) -> list[Mention]:
    """Every quantity of a question, in order.

    Raises:
        UsageError: the text is neither of the two questions.
    """
    match = _CONVERT.fullmatch(text)
    if match:
        source = Mention(match.start(1), match.end(2), match[1], match[2])
        return [source, Mention(match.start(3), match.end(3), "", match[3])]
    match = _CAN_ADD.fullmatch(text)
    if match:
        first = Mention(match.start(1), match.end(2), match[1], match[2])
        return [first, Mention(match.start(3), match.end(4), match[3], match[4])]
    raise UsageError(
        f"{text!r} is no question about units.",
        remedy="ask 'Convert 2.44e2 in to cm' or 'Can you add 3.18e1 m and 9.37e1 ft/s?'.",
    )


def number_text(value: Fraction, digits: int) -> str:
    """``value`` rounded to ``digits`` significant digits: ``-6.20e-2``. Rounded once, from the exact value."""
    context = Context(prec=digits, rounding=ROUND_HALF_EVEN)
    rounded = context.divide(Decimal(value.numerator), Decimal(value.denominator))
    if not rounded:
        return "0" + ("." + "0" * (digits - 1) if digits > 1 else "") + "e0"
    return f"{rounded:.{digits - 1}e}".replace("e+", "e")


def significant_digits(number: str) -> int:
    """How many digits a number in scientific notation shows."""
    return sum(character.isdigit() for character in number.partition("e")[0])


def _span(mention: Mention) -> dict[str, Any]:
    unit = parse_unit(mention.unit)
    kind = {"type": "phys_quantity" if mention.number else "phys_unit", "start": mention.start, "end": mention.end}
    value = {"value": float(mention.number)} if mention.number else {}
    return {**kind, **value, "unit": mention.unit, "dims": unit.dimension.as_dict()}
