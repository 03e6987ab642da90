"""Questions about units as symbols: characters, or with each quantity's code in the place of its number.

    token_only   Convert 2.44e2 in to cm=
    hybrid       Convert # in to #cm=        # is one column: the code of 2.44e2 in, and of one cm

Spaces stay, because ``kg m`` is not ``kgm``. A unit keeps its characters beside the code, so that it can be spelt in
the answer; the target of a conversion has a column as well, because its size decides the answer as much as the number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from quadrat_studies.fluxem.units import Quantity
from quadrat_studies.fluxem.units_code import QUANTITY_FEATURES
from quadrat_studies.fluxem.units_parser import parse_unit
from quadrat_studies.fluxem.units_questions import find_quantities

LETTERS = " .^?_%abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""What questions about units need beyond the alphabet of arithmetic."""
COLUMN = "#"
"""Stands for a quantity's column; no unit is written with it."""


def prompt_symbols(text: str, *, hybrid: bool) -> str:
    """One character for each column of the prompt; with ``hybrid``, ``COLUMN`` for each quantity.

    Raises:
        UsageError: with ``hybrid``, the text is no question about units.
    """
    if not hybrid:
        return text + "="
    symbols = text
    for mention in reversed(find_quantities(text)):
        symbols = symbols[: mention.start] + COLUMN + symbols[mention.start + len(mention.number) :]
    return symbols + "="


def quantities(text: str) -> list[Quantity]:
    """The quantities whose codes stand in the columns, in order."""
    return [mention.quantity for mention in find_quantities(text)]


def quantity_values(rows: Sequence[Mapping[str, Any]]) -> list[Quantity]:
    """Every quantity of a split, for the statistics that codes are scaled with."""
    return [quantity for row in rows for quantity in quantities(row["text"])]


def quantity_coordinates(values: Sequence[Quantity | int], kinds: Sequence[str]) -> np.ndarray:
    """The code of each quantity, ``[len(values), F]`` in float64; the model standardises it. An integer is a pure
    number."""
    pure = parse_unit("1")
    held = [value if isinstance(value, Quantity) else Quantity.of(value, pure) for value in values]
    return np.concatenate([QUANTITY_FEATURES[kind](held) for kind in kinds], axis=-1)
