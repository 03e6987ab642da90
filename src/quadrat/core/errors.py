"""The errors a user may meet. Each one says what happened, where, and what to try.

    QuadratError                exit 1   root of the tree
    +-- UsageError              exit 2   a bad argument, name or option
    |   +-- StudyError          exit 2   a study file with problems, all of them listed
    +-- RunError                exit 1   one or more runs failed
    +-- GateError               exit 3   a stage's success criterion was not met
    +-- HealthError             exit 4   a health rule stopped a run
    +-- StoreError              exit 5   something on disk is damaged, missing or unwritable

The command line prints ``paragraph()`` and exits with ``exit_code``; no user sees a traceback for these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar, final


class QuadratError(Exception):
    """Root of every error that Quadrat raises on purpose.

    Args:
        what: one sentence, what went wrong, with the offending value in it.
        where: a place a person can open: ``file:line``, a run, a folder.
        remedy: what to try next.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def paragraph(self) -> str:
        """The whole message as one paragraph: where, what, try."""
        place = f"{self.where}: " if self.where else ""
        advice = f" Try: {self.remedy}" if self.remedy else ""
        return f"{place}{self.what}{advice}"

    def __str__(self) -> str:
        return self.paragraph()


class UsageError(QuadratError):
    """A bad argument, name or option."""

    exit_code = 2


@final
@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a study file."""

    what: str
    where: str | None = None
    remedy: str | None = None

    def line(self) -> str:
        """The problem as one line of text."""
        return QuadratError(self.what, where=self.where, remedy=self.remedy).paragraph()


@final
class StudyError(UsageError):
    """A study file that cannot be run; carries every problem found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = problems[0]
        super().__init__(first.what, where=first.where, remedy=first.remedy)
        self.problems = tuple(problems)

    def paragraph(self) -> str:
        """Every problem, one a line."""
        return "\n".join(problem.line() for problem in self.problems)


@final
class RunError(QuadratError):
    """One or more runs failed."""


@final
class GateError(QuadratError):
    """A stage's success criterion was not met."""

    exit_code = 3


@final
class HealthError(QuadratError):
    """A health rule stopped a run."""

    exit_code = 4


@final
class StoreError(QuadratError):
    """Something on disk is damaged, missing or unwritable."""

    exit_code = 5


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to ``name``, or None when nothing is close."""
    matches = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def unknown_name(kind: str, name: str, known: Iterable[str], *, where: str | None = None) -> UsageError:
    """The error for a name that nobody knows: lists the known ones and the nearest."""
    names = sorted(known)
    close = nearest(name, names)
    suggestion = f"did you mean {close!r}? " if close else ""
    listing = ", ".join(names) if names else "none are installed"
    return UsageError(f"unknown {kind} {name!r}.", where=where, remedy=f"{suggestion}known: {listing}.")
