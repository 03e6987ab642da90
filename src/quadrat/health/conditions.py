"""What a band of a rule calls bad: a comparison with a number, a range of numbers, or a value that is not finite."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import inf, isfinite
from typing import Final, final

NONFINITE: Final = "nonfinite"
GRAMMAR: Final = '"< 0.2", "<= 0.2", "> 0.2", ">= 0.2", "in [0.2, 0.5]", "outside [0.2, 0.5]" or nonfinite'

_NUMBER: Final = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_COMPARISON: Final = re.compile(rf"\s*(<=|>=|<|>)\s*({_NUMBER})\s*")
_RANGE: Final = re.compile(rf"\s*(in|outside)\s*([\[(])\s*({_NUMBER})\s*,\s*({_NUMBER})\s*([\])])\s*")


@final
@dataclass(frozen=True, slots=True)
class Span:
    """The numbers between two ends; an end that is ``open`` does not belong to it."""

    low: float
    high: float
    open_low: bool = True
    open_high: bool = True

    def holds(self, value: float) -> bool:
        """Whether ``value`` lies between the ends."""
        if not self.low < value < self.high:
            return (value == self.low and not self.open_low) or (value == self.high and not self.open_high)
        return True

    def covers(self, other: Span) -> bool:
        """Whether all of ``other`` lies inside."""
        low = self.low < other.low or (self.low == other.low and (other.open_low or not self.open_low))
        high = self.high > other.high or (self.high == other.high and (other.open_high or not self.open_high))
        return low and high


@final
@dataclass(frozen=True, slots=True)
class Condition:
    """One band. ``text`` is what a finding shows as its threshold; ``spans`` is empty for ``nonfinite``."""

    text: str
    spans: tuple[Span, ...]

    @property
    def is_nonfinite(self) -> bool:
        """Whether the band holds nothing but what is not finite."""
        return not self.spans

    def holds(self, value: float) -> bool:
        """Whether a finite ``value`` lies in the band; what is not finite does not."""
        return isfinite(value) and any(span.holds(value) for span in self.spans)

    def breaks(self, value: float) -> bool:
        """Whether ``value`` lies in the band. A value that is not finite lies in every band."""
        if not isfinite(value):
            return True
        for span in self.spans:  # noqa: SIM110  # any() costs a third more, and this runs for every rule and row
            if span.holds(value):
                return True
        return False

    def covers(self, other: Condition) -> bool:
        """Whether every value that breaks ``other`` breaks this one too."""
        return all(any(span.covers(part) for span in self.spans) for part in other.spans)


def parse_condition(written: object) -> Condition | None:
    """The condition behind ``< 0.2``, ``in [0.2, 0.5)`` or ``nonfinite``; None when it is none of these."""
    if not isinstance(written, str):
        return None
    if written.strip() == NONFINITE:
        return Condition(NONFINITE, ())
    if match := _COMPARISON.fullmatch(written):
        sign, limit = match[1], float(match[2])
        if not isfinite(limit):
            return None
        is_open = len(sign) == 1
        span = Span(-inf, limit, open_high=is_open) if sign[0] == "<" else Span(limit, inf, open_low=is_open)
        return Condition(f"{sign} {match[2]}", (span,))
    match = _RANGE.fullmatch(written)
    return _range(match) if match else None


def _range(match: re.Match[str]) -> Condition | None:
    """A closed end belongs to what the brackets hold, so for ``outside`` it is not bad."""
    word, left, low, high, right = match.groups()
    ends = float(low), float(high)
    if not (isfinite(ends[0]) and isfinite(ends[1]) and ends[0] < ends[1]):
        return None
    text = f"{word} {left}{low}, {high}{right}"
    inside = Span(*ends, open_low=left == "(", open_high=right == ")")
    if word == "in":
        return Condition(text, (inside,))
    below = Span(-inf, ends[0], open_high=not inside.open_low)
    above = Span(ends[1], inf, open_low=not inside.open_high)
    return Condition(text, (below, above))
