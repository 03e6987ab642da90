"""What a band of a rule calls bad: a comparison with a number, or a value that is not finite."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType
from typing import Final, final

NONFINITE: Final = "nonfinite"
GRAMMAR: Final = '"< 0.2", "<= 0.2", "> 0.2", ">= 0.2" or nonfinite'

_COMPARISON: Final = re.compile(r"\s*(<=|>=|<|>)\s*([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)\s*")
_OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = MappingProxyType(
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
)


@final
@dataclass(frozen=True, slots=True)
class Condition:
    """One band. ``text`` is what a finding shows as its threshold; ``compare`` is None for ``nonfinite``."""

    text: str
    compare: Callable[[float, float], bool] | None
    limit: float

    def breaks(self, value: float) -> bool:
        """Whether ``value`` lies in the band. A value that is not finite lies in every band."""
        if not isfinite(value):
            return True
        return self.compare is not None and self.compare(value, self.limit)

    def covers(self, other: Condition) -> bool:
        """Whether every value that breaks ``other`` breaks this one too."""
        if other.compare is None:
            return True
        if self.compare is None or self.text[0] != other.text[0]:
            return False
        if self.limit == other.limit:
            return self.compare(0.0, 0.0) or not other.compare(0.0, 0.0)
        return self.compare(other.limit, self.limit)


def parse_condition(written: object) -> Condition | None:
    """The condition behind ``< 0.2`` or ``nonfinite``; None when it is neither."""
    if not isinstance(written, str):
        return None
    if written.strip() == NONFINITE:
        return Condition(NONFINITE, None, 0.0)
    match = _COMPARISON.fullmatch(written)
    if match is None or not isfinite(float(match[2])):
        return None
    return Condition(f"{match[1]} {match[2]}", _OPERATORS[match[1]], float(match[2]))
