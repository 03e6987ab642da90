"""One thing that a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a record that is not as it should be.

    Attributes:
        line: where, from 1.
        field: which field, as a person knows it.
        reason: what is wrong and what to do.
        rule: R1 to R16 of ``docs/reference/record.md``.
    """

    line: int
    field: str
    reason: str
    rule: str
