"""What every kind of rule has in common: it sees one value after another and says how bad things are.

``see`` runs for each row of a run, so it returns a bare level; evidence is put together only when a rule fires.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol, final

NOT_JUDGED: Final = -1
OK: Final = 0
WARN: Final = 1
FAIL: Final = 2

STATES: Final = ("ok", "warn", "fail")
"""The levels' names, in order."""

NOT_MEASURED: Final = "not_measured"


@final
@dataclass(frozen=True, slots=True)
class Evidence:
    """What a finding rests on: the number that was compared, over which steps (both ends included).

    ``odd`` is the first value among them that was not finite, and its step.
    """

    value: float
    window: tuple[int, int]
    odd: tuple[int, float] | None = None


class Judge(Protocol):
    """One rule's view of one series of values."""

    @property
    def measured(self) -> float:
        """The number compared last; NaN before the first."""
        ...

    def see(self, step: int, value: float) -> int:
        """Take in the value of ``step``; returns the level that holds now, or ``NOT_JUDGED``."""
        ...

    def skip(self, step: int, value: float) -> None:
        """Take in the value of a step that is not to be judged: whatever was counted begins anew after it."""
        ...

    def threshold(self, level: int) -> str:
        """What has to hold for ``level``, in words."""
        ...

    def evidence(self, step: int, level: int) -> Evidence:
        """What ``level`` rests on at ``step``. Asked only right after ``see`` has returned that level."""
        ...
