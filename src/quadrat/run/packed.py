"""Packed runs: many of one shape in one process, each with its own journal as if it had run alone."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

from quadrat.core.errors import QuadratError
from quadrat.core.events import Event
from quadrat.core.verdicts import Status
from quadrat.run.loop import Ending, Loop, describe, step_of

Rows: TypeAlias = Generator[Sequence[Event | None], frozenset[int] | None]


@final
class PackTooLarge(QuadratError):
    """The pack ran out of memory. Its members are as they were at their last checkpoints."""


@final
@dataclass(slots=True)
class _Member:
    """One run of the pack and how far it has come."""

    loop: Loop
    step: int
    ending: Ending | None = None

    def take(self, event: Event) -> None:
        """Hand an event to the member's own loop; what goes wrong there ends this member and no other."""
        self.step = step_of(event, self.step)
        try:
            self.ending = self.loop.take(event, self.step)
        except Exception as error:
            self.ending = Ending(Status.FAILED, self.step, error=describe(error))


def drive(rows: Rows, loops: Sequence[Loop], *, from_step: int) -> list[Ending]:
    """Run a packed generator to its end, or until every member has ended; the endings in the members' order.

    An exception of the generator itself ends all members that are still at work.

    Raises:
        PackTooLarge: memory ran out, and there is more than one member to share it among.
    """
    members = [_Member(loop, from_step) for loop in loops]
    try:
        _drive(rows, members)
    except (Exception, SystemExit) as error:
        if len(members) > 1 and is_out_of_memory(error):
            raise PackTooLarge(f"{len(members)} runs do not fit into memory together: {error}.") from error
        for member in members:
            member.ending = member.ending or Ending(Status.FAILED, member.step, error=describe(error))
    finally:
        rows.close()
    return [member.ending or Ending(Status.COMPLETED, member.step) for member in members]


def _drive(rows: Rows, members: Sequence[_Member]) -> None:
    row = next(rows, None)
    while row is not None:
        for member, event in zip(members, row, strict=True):
            if event is not None and member.ending is None:
                member.take(event)
        stopped = frozenset(place for place, member in enumerate(members) if member.ending is not None)
        if len(stopped) == len(members):
            return
        try:
            row = rows.send(stopped)
        except StopIteration:
            return


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, on the host or on a device."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
