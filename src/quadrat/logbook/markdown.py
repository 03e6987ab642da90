"""Markdown that reads well raw and rendered: tables in columns, code, quotes, links, numbers.

Everything that enters here is somebody's text. Nothing that leaves can close an auto block, break a table
row or open an HTML tag.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote as percent

from quadrat.logbook.hygiene import mask

_WIDEST = 60
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\u0080-\u009f\ud800-\udfff]")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_MARKER = re.compile(r"^[ \t]*(?:<!--|#)[ \t]*/?auto:")


def inline(value: Any) -> str:
    """Text on one line, free of control characters, secrets, machine paths and HTML tags."""
    text = mask(_CONTROL.sub("", str(value)))
    return _TAG.sub("&lt;", re.sub(r"\s+", " ", text).strip())


def code(value: Any) -> str:
    """A code span; safe in a table cell."""
    text = mask(_CONTROL.sub("", str(value)))
    text = re.sub(r"\s+", " ", text).strip()
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if text[:1] == "`" or text[-1:] == "`" or not text else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")


def scalar(value: Any) -> str:
    """A value of a configuration as a person would write it in the study file."""
    if isinstance(value, str):
        return code(value) if value.strip() else '`""`'
    try:
        return code(json.dumps(value, ensure_ascii=False, sort_keys=True))
    except (TypeError, ValueError):
        return code(value)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """A table whose columns line up; the columns in ``right`` hold numbers."""
    cells = [[_cell(item) for item in row] for row in rows]
    widths = [min(_WIDEST, max(3, len(header), *(len(row[i]) for row in cells), 0)) for i, header in enumerate(headers)]
    rule = [("-" * (width - 1) + ":") if i in right else "-" * width for i, width in enumerate(widths)]
    lines = [_row(headers, widths, right), "| " + " | ".join(rule) + " |"]
    return "\n".join(lines + [_row(row, widths, right) for row in cells])


def _cell(text: str) -> str:
    """A cell with no bar that would start another one."""
    return re.sub(r"(?<!\\)\|", r"\\|", text)


def _row(cells: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> str:
    """One padded row."""
    padded = [
        cell.rjust(width) if i in right else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "| " + " | ".join(padded) + " |"


def fenced(lines: Sequence[str], language: str = "") -> str:
    """A code block that no line of its contents can end."""
    body = [_CONTROL.sub("", part) for line in lines for part in re.split(r"\r\n|\r|\n", mask(line))]
    body = [f"    {line}" if _MARKER.match(line) else line.rstrip() for line in body]
    longest = max((len(run) for line in body for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([fence + language, *body, fence])


def quoted(text: Any) -> str:
    """Somebody's own words, as a block quote."""
    parts = re.split(r"\r\n|[\r\n\x0b\x0c\x85\u2028\u2029]", mask(str(text)).strip())
    return "\n".join(f"> {_TAG.sub('&lt;', _CONTROL.sub('', part)).rstrip()}".rstrip() for part in parts)


def bullets(pairs: Sequence[tuple[str, str]]) -> str:
    """A list of named facts."""
    return "\n".join(f"- **{name}:** {text}" for name, text in pairs)


def href(path: str) -> str:
    """The address of a file as seen from ``experiments/``: paths of results and data start at the root."""
    clean = path.removeprefix("./")
    if clean.startswith("experiments/"):
        clean = clean.removeprefix("experiments/")
    elif clean.startswith(("results/", "data/")):
        clean = f"../{clean}"
    return percent(clean, safe="/._-=+@,~")


def link(path: str, *, image: bool = False) -> str:
    """A relative link to a file or folder, named by its path."""
    name = inline(path).replace("[", "(").replace("]", ")")
    return f"{'!' if image else ''}[{name}]({href(path)})"


def places(low: float | None, high: float | None) -> int | None:
    """How many decimals an interval supports: two digits of its half width."""
    if low is None or high is None:
        return None
    half = abs(high - low) / 2
    if half <= 0 or not math.isfinite(half):
        return None
    return max(0, 1 - math.floor(math.log10(half)))


def figure(value: Any, decimals: int | None = None) -> str:
    """A number with as many digits as mean something; other values as they are."""
    if value is None:
        return "none"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return inline(value)
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return _real(value, decimals)


def _real(value: float, decimals: int | None) -> str:
    """A finite number; very large and very small ones in powers of ten."""
    size = abs(value)
    if size >= 1e7:
        return f"{value:.3e}"
    if decimals is not None and decimals <= 8:
        text = f"{value:.{decimals}f}"
        return text.removeprefix("-") if float(text) == 0 else text
    if size and size < 1e-4:
        return f"{value:.2e}"
    return f"{value:.0f}" if size >= 1e4 else f"{value:.4g}"


def probability(value: Any) -> str:
    """A p value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "none" if value is None else inline(value)
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: Any) -> str:
    """A length of time in the unit a person would choose."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        return "not measured" if seconds is None else inline(seconds)
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(amount: Any) -> str:
    """A number of bytes."""
    if isinstance(amount, bool) or not isinstance(amount, int | float) or not math.isfinite(amount):
        return "none" if amount is None else inline(amount)
    value = float(amount)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def short_hash(value: Any) -> str:
    """The first twelve characters of a hash; the evidence folder holds the whole."""
    return code(str(value)[:12]) if value else "none"


def row_value(row: Mapping[str, Any], *keys: str) -> Any:
    """The first of ``keys`` that a row has a value for."""
    return next((row[key] for key in keys if row.get(key) is not None), None)
