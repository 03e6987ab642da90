"""What runs, studies, stages and arms may be called, and how a run's name is made from its point."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any, cast, final

MAX_LENGTH = 100

_DEVICES = {"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(10)}
_OURS = {"study.lock.json", "gates.json", "report.html", "figures"}


def objection(name: str) -> str | None:
    """Why a name cannot be the name of a folder on every system, or None when it can."""
    strange = re.search(r"[^A-Za-z0-9._=+-]", name)
    faults = (
        (not name, "it is empty"),
        (len(name) > MAX_LENGTH, f"it is {len(name)} characters long, more than {MAX_LENGTH}"),
        (strange is not None, f"it holds {strange[0] if strange else ''!a}; allowed are A-Z a-z 0-9 . _ = + -"),
        (name[:1] in (".", "-"), f"it begins with {name[:1]!r}"),
        (name[-1:] == ".", "it ends with '.'"),
        (name.partition(".")[0].casefold() in _DEVICES, "it is the name of a device on Windows"),
        (name.casefold() in _OURS, "Quadrat keeps a file of that name"),
    )
    return next((reason for is_so, reason in faults if is_so), None)


def shown(name: object, *, limit: int = 60) -> str:
    """A name as it may be printed: escapes instead of control characters, and not too long."""
    text = ascii(name)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def spell(value: Any) -> str | None:
    """A value as part of a name, or None when it has no short spelling."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "none"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        parts = [spell(part) for part in cast("Sequence[Any]", value)]
        return None if None in parts else "-".join(part for part in parts if part is not None)
    return None


@final
@dataclass(frozen=True, slots=True)
class Template:
    """A pattern such as ``L{n_layers}_S{seed}``: literal text and the field after it, in turn."""

    parts: tuple[tuple[str, str | None], ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a pattern. A field is a config key (dotted), ``arm`` or ``seed``, with nothing else in the braces.

        Raises:
            ValueError: unbalanced braces, an empty field, a format or a conversion.
        """
        parts: list[tuple[str, str | None]] = []
        try:
            pieces = list(Formatter().parse(text))
        except ValueError:
            raise ValueError("has a brace without its partner") from None
        for literal, name, form, conversion in pieces:
            if form or conversion:
                raise ValueError(f"asks for a format in {{{name}...}}; values are written as they are")
            if name is not None and not re.fullmatch(r"\w+(\.\w+)*", name):
                raise ValueError(f"has the field {{{name}}}, which is no key")
            parts.append((literal, name))
        return cls(tuple(parts))

    @classmethod
    def default(cls, axes: Sequence[str]) -> Template:
        """The pattern of a study that gives none: each axis with its value, then the seed."""
        last = [axis.rpartition(".")[2] for axis in axes]
        labels = [tail if last.count(tail) == 1 else axis for tail, axis in zip(last, axes, strict=True)]
        parts: list[tuple[str, str | None]] = []
        for label, axis in zip(labels, axes, strict=True):
            parts.append((f"_{label}" if parts else label, axis))
        parts.append(("_S" if parts else "S", "seed"))
        return cls(tuple(parts))

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields it uses."""
        return tuple(name for _, name in self.parts if name is not None)

    def fill(self, value_of: Callable[[str], str]) -> str:
        """The name, every field replaced."""
        return "".join(literal + (value_of(name) if name is not None else "") for literal, name in self.parts)
