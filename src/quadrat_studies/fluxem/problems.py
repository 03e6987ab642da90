"""One arithmetic problem: its text, where its numbers stand, its exact answer, what makes it a duplicate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, final

OPERATION_NAMES: Mapping[str, str] = MappingProxyType({"+": "add", "-": "subtract", "*": "multiply", "/": "divide"})
COMMUTATIVE = frozenset("+*")

Key = tuple[tuple[str, ...], tuple[int, ...]]


@final
@dataclass(frozen=True, slots=True)
class Problem:
    """``operands[0] operations[0] operands[1] operations[1] ...``, evaluated from the left on Python integers."""

    operands: tuple[int, ...]
    operations: tuple[str, ...]

    def key(self) -> Key:
        """Equal for two problems that ask the same thing: a commutative first pair is put in order."""
        operands = self.operands
        if self.operations[0] in COMMUTATIVE and operands[0] > operands[1]:
            operands = (operands[1], operands[0], *operands[2:])
        return self.operations, operands

    def answer(self) -> int:
        """The exact value.

        Raises:
            ArithmeticError: a division leaves a remainder; the generator never builds such a problem.
        """
        value = self.operands[0]
        for operation, operand in zip(self.operations, self.operands[1:], strict=True):
            value = apply(operation, value, operand)
        return value

    def carries(self) -> int | None:
        """Carries of a two-operand sum, borrows of a two-operand difference; None for anything else."""
        if len(self.operations) != 1 or self.operations[0] not in "+-":
            return None
        return carry_count(*self.operands, subtract=self.operations[0] == "-")

    def row(self, precedence: str) -> dict[str, Any]:
        """The problem as a line of a split file."""
        text, spans = self._write(parentheses=precedence == "parentheses")
        answer = self.answer()
        return {
            "text": text,
            "spans": [
                {"type": "arithmetic", "start": start, "end": end, "value": value}
                for (start, end), value in zip(spans, self.operands, strict=True)
            ],
            "target_text": str(answer),
            "target_value": answer,
            "operations": list(self.operations),
            "carries": self.carries(),
        }

    def _write(self, *, parentheses: bool) -> tuple[str, list[tuple[int, int]]]:
        depth = len(self.operations) - 1 if parentheses else 0
        text = "(" * depth
        spans: list[tuple[int, int]] = []
        for index, operand in enumerate(self.operands):
            if index:
                text += f" {self.operations[index - 1]} "
            start = len(text)
            text += str(operand)
            spans.append((start, len(text)))
            if 1 <= index <= depth:
                text += ")"
        return text, spans


def from_row(row: Mapping[str, Any]) -> Problem:
    """The problem a split file's line was written from."""
    return Problem(tuple(span["value"] for span in row["spans"]), tuple(row["operations"]))


def apply(operation: str, left: int, right: int) -> int:
    """One exact step on integers; a division must leave no remainder."""
    if operation == "/":
        quotient, remainder = divmod(left, right)
        if remainder:
            raise ArithmeticError(f"{left} / {right} leaves a remainder of {remainder}")
        return quotient
    steps: Mapping[str, Callable[[int, int], int]] = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}
    return steps[operation](left, right)


def carry_count(left: int, right: int, *, subtract: bool = False) -> int:
    """How many columns carry (or, subtracting the smaller from the larger, borrow) in column arithmetic."""
    big, small = max(left, right), min(left, right)
    carry = count = 0
    while big or small:
        upper, lower = big % 10, small % 10
        carry = int(upper - lower - carry < 0) if subtract else int(upper + lower + carry > 9)
        count += carry
        big, small = big // 10, small // 10
    return count
