"""The command of a program as a study file writes it, and as it is started: words, never a shell."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from string import Formatter
from typing import Any, Final

from quadrat.core.errors import nearest
from quadrat.journal.plain import flatten

PLACES: Final = ("seed", "run_dir", "config", "root", "device")
"""Fields that the instrument fills. ``config`` is the path of the run's ``config.yaml``."""


def fields_of(line: str) -> tuple[str, ...]:
    """The fields of a command, in order.

    Raises:
        ValueError: unbalanced quotes or braces, an empty field, or nothing to start. The message goes on behind the
            name of what holds the command.
    """
    try:
        words = shlex.split(line)
        pieces = [piece for word in words for piece in Formatter().parse(word)]
    except ValueError as error:
        raise ValueError(f"cannot be read: {error}") from None
    if not words:
        raise ValueError("is empty; write the program and its arguments")
    names = [name for _, name, _, _ in pieces if name is not None]
    if "" in names:
        raise ValueError("has an empty field {}; write the name of a config key in it")
    return tuple(dict.fromkeys(names))


def check(line: str, config: Mapping[str, Any]) -> None:
    """Hold the fields of a command against the config that is to fill them.

    Raises:
        ValueError: a field that nothing fills, or a key of the config that the command does not pass on. The message
            goes on behind the word ``config``.
    """
    fields, known = fields_of(line), flatten(config)
    for name in fields:
        if name not in known and name not in PLACES:
            close = nearest(name, (*known, *PLACES))
            hint = f"did you mean {{{close}}}?" if close else f"known: {', '.join((*known, *PLACES))}"
            raise ValueError(f"has no key for the field {{{name}}} of the command; {hint}")
    unused = [key for key in known if key not in fields]
    if unused and "config" not in fields:
        raise ValueError(
            f"key {unused[0]!r} is not passed on by the command, so changing it would change nothing; "
            f"write {{{unused[0]}}} in the command, or {{config}} for the path of the whole config"
        )


def fill(line: str, values: Mapping[str, Any]) -> list[str]:
    """The words of a command, every field replaced. A value stays inside its word, whatever it holds."""
    return [_fill_word(word, values) for word in shlex.split(line)]


def _fill_word(word: str, values: Mapping[str, Any]) -> str:
    parts: list[str] = []
    for literal, name, form, _ in Formatter().parse(word):
        parts.append(literal)
        if name is not None:
            parts.append(format(values[name], form) if form else spell(values[name]))
    return "".join(parts)


def spell(value: Any) -> str:
    """A value as a program's argument: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
