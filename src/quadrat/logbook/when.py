"""Conditions under which an option has an effect, as a study's ``Config`` declares them: ``use_ste is false``.

The words: ``NAME is VALUE``, ``NAME is not VALUE``, ``NAME > 0`` (also ``>= < <= == !=``) or a lone ``NAME`` that has
to be on; several joined by ``and`` or ``or`` (``and`` binds closer). VALUE is true, false, on, off, null, set, a
number or a word. A name is looked up beside the option first (``path`` of ``data.seed`` is ``data.path``).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

_CLAUSE = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(?:(is not|is|==|!=|>=|<=|>|<)\s*(.+?))?\s*")
_WORDS: Mapping[str, Any] = MappingProxyType(
    {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False, "null": None, "none": None}
)
_SIGNS: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
)


def holds(when: str, *, key: str, config: Mapping[str, Any]) -> bool | None:
    """Whether the option ``key`` has an effect under ``config`` (dotted keys); None when that cannot be told.

    Args:
        when: the condition.
        key: the option that it belongs to.
        config: the resolved options.
    """
    parent = key.rpartition(".")[0]
    found = [_all([_clause(part, parent, config) for part in re.split(r"\band\b", side)]) for side in _sides(when)]
    if any(found):
        return True
    return None if None in found else False


def _sides(when: str) -> list[str]:
    return re.split(r"\bor\b", when)


def _all(parts: list[bool | None]) -> bool | None:
    if False in parts:
        return False
    return None if None in parts else True


def _clause(text: str, parent: str, config: Mapping[str, Any]) -> bool | None:
    match = _CLAUSE.fullmatch(text)
    if match is None:
        return None
    name, sign, wanted = match[1], match[2], match[3]
    full = next((known for known in ([f"{parent}.{name}"] if parent else []) + [name] if known in config), None)
    if full is None:
        return None
    value = config[full]
    if sign is None:
        return bool(value)
    if sign in _SIGNS:
        return _ordered(value, sign, wanted)
    same = _same(value, wanted.strip("'\"`"))
    return same if sign in ("is", "==") else not same


def _ordered(value: Any, sign: str, wanted: str) -> bool | None:
    try:
        return _SIGNS[sign](float(value), float(wanted))
    except (TypeError, ValueError):
        return None


def _same(value: Any, wanted: str) -> bool:
    word = wanted.lower()
    if word == "set":
        return value is not None
    if word in _WORDS:
        expected = _WORDS[word]
        if expected is None:
            return value is None or (isinstance(value, str) and value.lower() == word)
        # "on" and "off" are also words of their own, as in `physics: off`
        return value == word if isinstance(value, str) else bool(value) is expected
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value) == float(wanted)
        except ValueError:
            return False
    return str(value).lower() == word
