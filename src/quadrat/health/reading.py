"""From what a metrics row holds to the one number that a rule looks at, and back to plain data.

A live row holds floats; a stored row spells the numbers that JSON lacks as strings. Both read the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import copysign, inf, isfinite, isinf, isnan, nan
from types import MappingProxyType
from typing import Final, SupportsFloat, SupportsIndex

_SPELT: Final[Mapping[str, float]] = MappingProxyType({"NaN": nan, "Infinity": inf, "-Infinity": -inf})


def number(value: object) -> float | None:
    """``value`` as a float; None when it is no number, which counts as not measured."""
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return _SPELT.get(value)
    if not isinstance(value, (SupportsFloat, SupportsIndex)):
        return None
    try:
        return float(value)
    except OverflowError:
        return -inf if isinstance(value, int) and value < 0 else inf
    except (TypeError, ValueError):
        return None


def ratio(top: float, bottom: float) -> float:
    """``top / bottom`` without exceptions: by zero it is infinite or NaN, and by infinity NaN.

    A finite number over infinity would be a harmless looking 0, though its measurement has diverged.
    """
    if isinf(bottom):
        return nan
    if bottom == 0:
        return nan if top == 0 or isnan(top) else copysign(inf, top) * copysign(1.0, bottom)
    return top / bottom


def plain(value: float) -> float | str:
    """``value`` as strict JSON can hold it: the names of NaN and the infinities instead of themselves."""
    if isfinite(value):
        return value
    if isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
