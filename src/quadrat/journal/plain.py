"""Turns what science hands over into plain JSON values: scalars of numpy and torch, paths, non-finite numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import asdict, is_dataclass
from datetime import date
from enum import Enum
from pathlib import PurePath
from typing import Any, Final, cast

NONFINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""How numbers that strict JSON cannot hold are written."""

_LARGEST = 2**64 - 1
_SMALLEST = -(2**63)
_SHOWN = 200


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested mapping as dotted keys to values."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(cast("Mapping[str, Any]", value), f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def spell(value: float) -> float | str:
    """A float as JSON can hold it: itself, or its name when it is not finite."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def unspell(value: Any) -> float:
    """The number behind a value read from a row.

    Raises:
        ValueError: it is neither a number nor the name of a non-finite one.
    """
    if isinstance(value, str) and value in NONFINITE:
        return NONFINITE[value]
    if isinstance(value, int | float):
        return float(value)
    raise ValueError(f"{value!r} is not a number")


def text(value: str) -> str:
    r"""A string that UTF-8 can hold: a lone surrogate becomes its escape, such as ``\ud800``."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def number(value: Any) -> float | str:
    """One metric value as its row holds it.

    Takes ints, floats and bools, the scalars and one-element arrays of numpy and torch, decimals and
    fractions. An int too large for 64 bits becomes a float.

    Raises:
        ValueError: it is not one real number; the message says what it is.
    """
    try:
        single = value
        if not isinstance(value, int | float) and hasattr(value, "item"):
            single = value.item()
        if isinstance(single, int):
            whole = int(single)
            return whole if _SMALLEST <= whole <= _LARGEST else float(whole)
        if single is None or isinstance(single, str | bytes | complex):
            raise ValueError(shown(value))
        return spell(float(single))
    except Exception as error:  # conversions of strangers' types may raise anything; the caller names the key
        raise ValueError(shown(value)) from error


def shown(value: Any) -> str:
    """A short description of any object, for a message."""
    try:
        words = text(repr(value))
    except Exception:  # a repr that raises must not end a run
        words = "?"
    return f"{type(value).__name__} {words[:_SHOWN]}"


def plain(value: Any, *, lenient: bool = False) -> Any:
    """``value`` as a tree that strict JSON can hold.

    Ints beyond 64 bits become strings. With ``lenient``, an object that has no plain form becomes its
    description instead of an error.

    Raises:
        TypeError: some object in the tree has no plain form.
    """
    match value:
        case None | bool():
            return value
        case Enum():
            return plain(value.value, lenient=lenient)
        case str():
            return text(value)
        case int():
            return int(value) if _SMALLEST <= value <= _LARGEST else str(int(value))
        case float():
            return spell(float(value))
        case _:
            return _composite(value, lenient)


def _composite(value: Any, lenient: bool) -> Any:
    match value:
        case Mapping():
            return {_key(key): plain(item, lenient=lenient) for key, item in value.items()}
        case PurePath() | date():
            return text(value.as_posix() if isinstance(value, PurePath) else value.isoformat())
        case bytes() | bytearray() | memoryview():
            return _unknown(value, lenient)
        case Set():
            return sorted((plain(item, lenient=lenient) for item in cast("Iterable[Any]", value)), key=repr)
        case Sequence():
            return [plain(item, lenient=lenient) for item in cast("Iterable[Any]", value)]
        case _:
            return _foreign(value, lenient)


def _foreign(value: Any, lenient: bool) -> Any:
    if isinstance(value, type):
        return _unknown(value, lenient)
    if is_dataclass(value):
        return plain(asdict(cast("Any", value)), lenient=lenient)
    try:
        if hasattr(value, "tolist"):  # arrays and scalars of numpy, tensors of torch
            return plain(value.tolist(), lenient=lenient)
        if hasattr(value, "item"):
            return plain(value.item(), lenient=lenient)
    except Exception:  # for instance a tensor on a device that has gone
        return _unknown(value, lenient)
    return _unknown(value, lenient)


def _unknown(value: Any, lenient: bool) -> str:
    if lenient:
        return shown(value)
    raise TypeError(f"{shown(value)} has no plain form")


def _key(key: Any) -> str:
    return text(key) if isinstance(key, str) else text(str(key))
