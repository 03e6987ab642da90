"""Numbers as a reader wants them: as many digits as mean something, the same number of decimals down a column."""

from __future__ import annotations

import math
from collections.abc import Iterable

MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"


def decimals(values: Iterable[float]) -> int | None:
    """Decimals that give the largest of ``values`` three or four digits; None where only powers of ten will do."""
    sizes = [abs(value) for value in values if math.isfinite(value) and value != 0.0]
    if not sizes:
        return 3
    largest = max(sizes)
    if not 1e-4 <= largest < 1e6:
        return None
    magnitude = math.floor(math.log10(largest))
    # Scores of 0.98 and of 1 belong to one column: both get three decimals.
    return max(0, 3 - magnitude if magnitude >= 0 else 2 - magnitude)


def number(value: float | None, places: int | None = 3) -> str:
    """One number with ``places`` decimals, in powers of ten where ``places`` is None."""
    if value is None:
        return NONE
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else (f"{MINUS}∞" if value < 0 else "∞")
    text = f"{value:.2e}" if places is None else f"{value:.{places}f}"
    if float(text) == 0.0:
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def probability(p: float | None) -> str:
    """A p value to three decimals."""
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def duration(seconds: float | None) -> str:
    """A length of time in the unit a person would choose."""
    if seconds is None or not math.isfinite(seconds):
        return NONE
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(amount: float | None) -> str:
    """A number of bytes."""
    if amount is None or not math.isfinite(amount):
        return NONE
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"
