"""Foreign names made into names of ours, the true ones remembered; and texts into the values they stand for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast, final

import orjson

from quadrat.journal.plain import text
from quadrat.study.names import MAX_LENGTH, objection

LONGEST: Final = 200
"""Characters of a metric's or a parameter's name."""

_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]+")
_WORDS: Final = {"True": True, "False": False, "None": None}


def folder_name(name: str, *, otherwise: str) -> str:
    """``name`` as a run or a study may be called; ``otherwise`` when nothing of it can be used."""
    kept = re.sub(r"[^A-Za-z0-9._=+-]+", "_", name).strip("._-")[: MAX_LENGTH - 8].rstrip("._-")
    if kept and objection(kept) is not None:  # the name of a device, or of a file of ours
        kept = f"{otherwise}_{kept}"
    return kept if kept and objection(kept) is None else otherwise


def label(name: str) -> str:
    """``name`` as a metric or a parameter may be called: printable, not empty, not too long."""
    plain = _UNPRINTABLE.sub("_", text(name)).strip()
    return plain[:LONGEST] or "unnamed"


@final
class Names:
    """The names of one kind in one place. Each foreign name has one of ours, and no two have the same.

    Attributes:
        changed: ours to theirs, where the two differ.
        collided: ours, where another had the name already and a number was put behind.
    """

    def __init__(self, *, otherwise: str | None = None) -> None:
        self.changed: dict[str, str] = {}
        self.collided: list[str] = []
        self._otherwise = otherwise
        self._ours: dict[str, str] = {}
        self._taken: set[str] = set()

    def ours(self, name: str) -> str:
        """The name here of what the source calls ``name``: always the same one for the same name."""
        known = self._ours.get(name)
        return known if known is not None else self.another(name)

    def another(self, name: str) -> str:
        """A name here for one more thing that the source calls ``name``."""
        stem = label(name) if self._otherwise is None else folder_name(name, otherwise=self._otherwise)
        chosen, number = stem, 1
        # Two folders that differ in case alone are one folder on some systems.
        while self._key(chosen) in self._taken:
            number += 1
            chosen = f"{stem}_{number}"
        if number > 1:
            self.collided.append(chosen)
        if chosen != name:
            self.changed[chosen] = name
        self._ours[name] = chosen
        self._taken.add(self._key(chosen))
        return chosen

    def _key(self, name: str) -> str:
        return name if self._otherwise is None else name.casefold()


def params_of(params: Mapping[str, Any], names: Names, *, prefix: str = "") -> dict[str, Any]:
    """Parameters under names of ours, nested ones too. What was changed is told to ``names``, dotted."""
    found: dict[str, Any] = {}
    here = Names()
    for key, value in params.items():
        ours = here.ours(str(key))
        is_nested = isinstance(value, Mapping) and value
        inner = cast("Mapping[str, Any]", value)
        found[ours] = params_of(inner, names, prefix=f"{prefix}{ours}.") if is_nested else value
    names.changed |= {f"{prefix}{ours}": f"{prefix}{theirs}" for ours, theirs in here.changed.items()}
    names.collided += [f"{prefix}{ours}" for ours in here.collided]
    return found


def value_of(word: str) -> Any:
    """What a text stands for where a format keeps every value as text: a number, true, false, null, a list, a mapping.

    ``True``, ``False`` and ``None`` are Python's own spelling. Anything else is the text itself, ``007`` too.
    """
    if word in _WORDS:
        return _WORDS[word]
    try:
        return orjson.loads(word)
    except ValueError:
        return word
