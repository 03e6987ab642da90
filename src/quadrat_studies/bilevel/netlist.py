"""A ladder as parts between nodes: what a designer, a simulator and a bill of materials need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from quadrat_studies.bilevel.macros import MACROS, SER_RESO, SHUNT_NOTCH

GROUND = "gnd"


@final
@dataclass(frozen=True, slots=True)
class Part:
    """One inductor or capacitor. ``cell`` and ``slot`` say where its value stands in the ladder."""

    name: str
    kind: str
    branch: str
    value: float
    nodes: tuple[str, str]
    cell: int
    slot: int


def parts(cells: Sequence[tuple[int, Sequence[float]]]) -> list[Part]:
    """The parts of a ladder, source first. Nodes are ``in``, ``n1``, ..., ``out`` and ``gnd``.

    A ladder without a series branch has one node, called ``in``: then ``out`` is the same place.
    """
    last = max((k for k, (macro, _) in enumerate(cells) if MACROS[macro].branch == "series"), default=-1)
    found: list[Part] = []
    counts = {"L": 0, "C": 0}
    here, fresh = "in", 0

    for k, (macro, values) in enumerate(cells):
        about = MACROS[macro]
        there = GROUND
        if about.branch == "series":
            fresh += k != last
            there = "out" if k == last else f"n{fresh}"
        # The two parts of a series resonator, or of a shunt notch, meet at a node of their own.
        chained = macro in (SER_RESO, SHUNT_NOTCH)
        ends = [(here, f"m{k + 1}"), (f"m{k + 1}", there)] if chained else [(here, there)] * len(values)
        for slot, (kind, value, nodes) in enumerate(zip(about.slots, values, ends, strict=True)):
            counts[kind] += 1
            found.append(Part(f"{kind}{counts[kind]}", kind, about.branch, float(value), nodes, k, slot))
        if about.branch == "series":
            here = there
    return found


def output_node(found: Sequence[Part]) -> str:
    """The node that the load hangs on."""
    return "out" if any("out" in part.nodes for part in found) else "in"
