"""A tool in the loop: the network says which operands and which operations, the algebra does the rest.

The read-out ``program`` writes ``0+1`` for ``17 + 25``, and ``0-1*2`` for ``(9 - 4) * 3``: places of numbers in the
prompt and operations between them, from the left. ``run`` puts the prompt's numbers in and computes with the linear and
the log code. So what such a model scores says that it can read a problem, and nothing of arithmetic: its scores stand
beside no representation's.
"""

from __future__ import annotations

import re
from itertools import pairwise

from quadrat_studies.fluxem.oracle import compute
from quadrat_studies.fluxem.tokens import find_integers, find_numbers

_OPERATION = re.compile(r"[-+*/]")
_PROGRAM = re.compile(r"[0-9]+(?:[-+*/][0-9]+)*")


def program(prompt: str) -> str:
    """What the network is to write for a prompt: its numbers' places with the operations between them, in order."""
    between = [_OPERATION.search(prompt, end, start) for (_, end), (start, _) in pairwise(find_numbers(prompt))]
    written = [f"{found[0]}{place}" for place, found in enumerate(between, start=1) if found is not None]
    return "0" + "".join(written)


def run(written: str, prompt: str) -> str:
    """The answer that a program gives for a prompt.

    One that cannot be run is given back with a mark before it, which is no number and so is wrong: not a program, a
    place without a number, a division by zero.
    """
    numbers = find_integers(prompt)
    if not _PROGRAM.fullmatch(written):
        return f"?{written}"
    places = find_integers(written)
    if max(places) >= len(numbers):
        return f"?{written}"
    try:
        return str(compute([numbers[place] for place in places], _OPERATION.findall(written)))
    except (ArithmeticError, ValueError):
        return f"?{written}"
