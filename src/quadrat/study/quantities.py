"""Amounts written as text: how often to save, how much memory, what to compare with."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import final

_UNITS = {"epoch": "epochs", "step": "steps", "second": "seconds", "minute": "seconds", "hour": "seconds"}
_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
_SIZES = {"B": 1} | {
    name: base**power
    for base, infix in ((1000, ""), (1024, "i"))
    for power, letter in enumerate("KMGT", 1)
    for name in (f"{letter}{infix}B", f"{letter}{infix}".upper() if not infix else f"{letter}i")
}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_COMPARISON = re.compile(rf"(<=|>=|<|>)\s*({_NUMBER})")
_DEMAND = re.compile(r"([^<>]*[^<>\s])\s*([<>].*)")


@final
@dataclass(frozen=True, slots=True)
class Policy:
    """How often a checkpoint is due: every ``count`` of ``unit``.

    Attributes:
        unit: ``epochs``, ``steps`` or ``seconds``.
        count: how many; a whole number of epochs or steps.
    """

    unit: str
    count: float

    @classmethod
    def parse(cls, text: str) -> Policy:
        """Read ``50 epochs``, ``200 steps``, ``30 seconds``, ``2 minutes`` or ``1 hour``.

        Raises:
            ValueError: it is none of these.
        """
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+?)s?", text.strip())
        if match is None or match[2] not in _UNITS:
            raise ValueError("should be an amount and a unit; 50 epochs, 200 steps or 2 minutes")
        count = float(match[1]) * _SECONDS.get(match[2], 1.0)
        unit = _UNITS[match[2]]
        if count <= 0 or not math.isfinite(count):
            raise ValueError("should be more than nothing; 50 epochs, 200 steps or 2 minutes")
        if unit != "seconds" and not count.is_integer():
            raise ValueError(f"should be a whole number of {unit}; {max(1, round(count))} {unit}")
        return cls(unit, count)

    def __str__(self) -> str:
        return f"{self.count:g} {self.unit}"


@final
@dataclass(frozen=True, slots=True)
class Comparison:
    """A measured value held against a threshold, such as ``>= 0.05``."""

    sign: str
    threshold: float

    @classmethod
    def parse(cls, text: str) -> Comparison:
        """Read ``< 0.2``, ``<= 1``, ``> 0.9`` or ``>= 1e-3``.

        Raises:
            ValueError: it is no comparison.
        """
        match = _COMPARISON.fullmatch(text.strip())
        if match is None:
            raise ValueError('should be a comparison in quotes; "> 0.90" or "<= 1e-3"')
        return cls(match[1], float(match[2]))

    @property
    def goal(self) -> str:
        """Which way is better when this is a criterion: ``max`` or ``min``."""
        return "max" if self.sign.startswith(">") else "min"

    def holds(self, value: float) -> bool:
        """Whether ``value`` meets it. A value that is not a number meets nothing."""
        if self.sign == "<":
            return value < self.threshold
        if self.sign == "<=":
            return value <= self.threshold
        return value > self.threshold if self.sign == ">" else value >= self.threshold

    def __str__(self) -> str:
        return f"{self.sign} {self.threshold!r}"


@final
@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of a metric, such as ``test/accuracy >= 0.5``."""

    metric: str
    comparison: Comparison

    @classmethod
    def parse(cls, text: str) -> Demand:
        """Read a metric and the comparison it must meet.

        Raises:
            ValueError: it is not both.
        """
        match = _DEMAND.fullmatch(text.strip())
        try:
            if match is not None:
                return cls(match[1].strip(), Comparison.parse(match[2]))
        except ValueError:
            pass
        raise ValueError('should be a metric and a comparison in quotes; "test/accuracy >= 0.5"')

    def __str__(self) -> str:
        return f"{self.metric} {self.comparison}"


def parse_size(text: str | int) -> int:
    """Bytes out of ``2 GiB``, ``500 MB`` or a bare number of bytes.

    Raises:
        ValueError: it is no size.
    """
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", str(text).strip())
    if match is None or match[2] not in _SIZES:
        raise ValueError("should be a size; 2 GiB or 500 MB")
    return int(float(match[1]) * _SIZES[match[2]])
