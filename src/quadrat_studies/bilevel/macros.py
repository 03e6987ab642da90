"""The eight two-port macros a ladder is made of, and the rules by which ladders are written down.

Every macro is one immittance ``t(s) = p s + n / s``, or ``1 / t``, in a series or a shunt branch (seed 000's macro
vocabulary, in its order). Element values are dimensionless, ``l = w0 L / Z0`` and ``c = w0 C Z0``, and travel as
natural logarithms ``x`` with two slots: two-part macros have L in slot 0 and C in slot 1, others have slot 0 alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, final

Kind = Literal["L", "C"]
Branch = Literal["series", "shunt"]


@final
@dataclass(frozen=True, slots=True)
class Macro:
    """One entry of the vocabulary.

    Attributes:
        token: its name in text form.
        branch: where it stands.
        slots: the kinds of its values, in order.
        p: the slot whose value is ``p``, or None; ``n`` is one over the value of slot ``n``, or None.
        inverted: whether the immittance is ``1 / t``.
    """

    token: str
    branch: Branch
    slots: tuple[Kind, ...]
    p: int | None
    n: int | None
    inverted: bool = False


MACROS = (
    Macro("<MAC_SER_L>", "series", ("L",), 0, None),
    Macro("<MAC_SER_C>", "series", ("C",), None, 0),
    Macro("<MAC_SHUNT_L>", "shunt", ("L",), None, 0),
    Macro("<MAC_SHUNT_C>", "shunt", ("C",), 0, None),
    Macro("<MAC_SER_RESO>", "series", ("L", "C"), 0, 1),
    Macro("<MAC_SER_TANK>", "series", ("L", "C"), 1, 0, inverted=True),
    Macro("<MAC_SHUNT_RESO>", "shunt", ("L", "C"), 1, 0),
    Macro("<MAC_SHUNT_NOTCH>", "shunt", ("L", "C"), 0, 1, inverted=True),
)
SER_L, SER_C, SHUNT_L, SHUNT_C, SER_RESO, SER_TANK, SHUNT_RESO, SHUNT_NOTCH = range(8)
SKIP = 8
"""The identity. In a model with a smaller vocabulary it has the id that follows the last macro."""
SKIP_TOKEN = "<SKIP>"
DUAL = (SHUNT_C, SHUNT_L, SER_C, SER_L, SHUNT_RESO, SHUNT_NOTCH, SER_RESO, SER_TANK, SKIP)
"""Which macro behaves like another when voltages and currents change places."""
IDS = {macro.token: index for index, macro in enumerate(MACROS)}

Values = tuple[float, ...]
Cell = tuple[int, Values]
"""A macro and its dimensionless values, slot by slot."""


def dual(cells: Sequence[Cell]) -> list[Cell]:
    """The dual ladder: equal |S21| and |S11| once source and load are inverted too.

    A dual value is the other kind's with the same number: ``l`` becomes ``c``. The order of slots follows.
    """
    return [(DUAL[macro], values[::-1] if len(values) == 2 else values) for macro, values in cells]


def canonical(cells: Sequence[Cell]) -> list[Cell]:
    """One of a ladder's equals (dual, reversed, both) with unit source and load, always the same one.

    All four have the same |S21|. Series first is preferred, then lower macro ids, then the larger first value.
    """
    forward = list(cells)
    backward = forward[::-1]
    return min((forward, backward, dual(forward), dual(backward)), key=_rank)


def _rank(cells: Sequence[Cell]) -> tuple[bool, list[int], list[float]]:
    # Rounded, so that an exactly symmetric ladder is not turned round by the last bit.
    numbers = [-round(value, 9) for _, values in cells for value in values]
    return MACROS[cells[0][0]].branch == "shunt", [macro for macro, _ in cells], numbers


def may_follow(first: int, second: int) -> bool:
    """The ladder rule: branches alternate, but two tanks (or two notches) may share a branch.

    A pair of tanks in one branch is what a band transform makes of one; anything else in one branch folds into a
    single macro or is not minimal.
    """
    if second == SKIP:
        return True
    if first == SKIP:
        return False
    if first == second:
        return MACROS[first].inverted
    return MACROS[first].branch != MACROS[second].branch
