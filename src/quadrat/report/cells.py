"""A phase diagram in words: its numbers, letters and sentences, the same in the picture, the page and the evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from quadrat.analyze.declaration import plain
from quadrat.analyze.diagram import Cell, PhaseDiagram
from quadrat.analyze.phase import outside
from quadrat.report.figures import spans_decades
from quadrat.report.numbers import MINUS, decimals, number

UNSETTLED: Final = "?"
"""Stands behind the letter of a class that the runs leave open."""


@final
@dataclass(frozen=True, slots=True)
class Words:
    """How the numbers of a diagram are written.

    ``places`` is the number of decimals; None gives every number three digits of its own.
    """

    places: int | None

    @classmethod
    def of(cls, diagram: PhaseDiagram) -> Words:
        """Decimals that give the largest mean two or three digits, as a cell has no room for more."""
        means = np.array([cell.estimate.mean for _, cell in diagram.cells() if cell.estimate.measured])
        places = None if spans_decades(means) else decimals(means)
        return cls(None if places is None else max(0, places - 1))

    def number(self, value: float) -> str:
        """One number."""
        if self.places is None and math.isfinite(value):
            return f"{value:#.3g}".removesuffix(".").replace("-", MINUS)
        return number(value, self.places)

    def mean(self, cell: Cell) -> str:
        """The mean; nothing where nothing is measured."""
        return self.number(cell.estimate.mean) if cell.estimate.measured else ""

    def count(self, cell: Cell) -> str:
        """How many runs the mean covers, and of how many where some are missing."""
        estimate = cell.estimate
        return f"({estimate.measured} of {estimate.n})" if cell.missing else f"({estimate.n})"

    def basis(self, cell: Cell) -> str:
        """What the mean rests on, in a few letters: half the interval and n; both values where there are two runs."""
        if not cell.estimate.measured:
            return f"0 of {cell.estimate.n}"
        n = self.count(cell).replace(" of ", "/")
        if cell.estimate.has_interval:
            return f"± {self.number(cell.half)} {n}"
        low, high = map(self.number, cell.spread)
        return f"{low}, {high} {n}" if cell.estimate.measured == 2 and low != high else n


def letters(names: Sequence[str]) -> dict[str, str]:
    """A mark for each named class and, last, for what is of none: initials, or numbers where those are not distinct."""
    initials = [name.strip()[:1].upper() for name in names]
    if len({*initials, "N", UNSETTLED, ""}) == len(initials) + 3:
        return {**dict(zip(names, initials, strict=True)), outside(names): "N"}
    return {**{name: str(place) for place, name in enumerate(names, start=1)}, outside(names): "0"}


def mark(cell: Cell, known: dict[str, str]) -> str:
    """A cell's class as letters, with a question mark while it is not settled."""
    if cell.phase is None:
        return ""
    text = "+".join(known[name] for name in cell.phase.met) or list(known.values())[-1]
    return text if cell.phase.settled else f"{text}{UNSETTLED}"


def headline(diagram: PhaseDiagram) -> str:
    """The title, the stage, and what else is held fixed."""
    fixed = [f"{key}={plain(value)}" for key, value in diagram.fixed.items()]
    stage = [f"stage {diagram.stage}"] if diagram.stage else []
    return ", ".join([diagram.declared.title or diagram.declared.metric, *stage, *fixed])


def spoken(diagram: PhaseDiagram) -> str:
    """The picture in a sentence, for those who cannot see it."""
    declared, cells = diagram.declared, [cell for _, cell in diagram.cells()]
    means = [cell.estimate.mean for cell in cells if cell.estimate.measured]
    words = Words.of(diagram)
    span = f", means from {words.number(min(means))} to {words.number(max(means))}" if means else ""
    labels = [cell.phase.label for cell in cells if cell.phase]
    classes = ", ".join(f"{labels.count(name)} {name}" for name in diagram.classes if name in labels)
    return (
        f"Phase diagram of {declared.metric} over {declared.x} and {declared.y}: {len(means)} of {len(cells)} cells "
        f"measured{span}{f'; {classes}' if classes else ''}. The same numbers stand in the table."
    )


def upwards(diagram: PhaseDiagram) -> bool:
    """Whether y grows upwards: it does where it is a number; names are read from the top down."""
    return all(isinstance(y, int | float) and not isinstance(y, bool) for y in diagram.ys)
