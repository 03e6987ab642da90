"""R4: a number that a person put into a table beside the name of a metric is the number that was measured."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from types import MappingProxyType
from typing import Any, final

from quadrat.logbook.facts import Facts, condition_of, items, mapping, number, rows
from quadrat.logbook.fields import key_of
from quadrat.logbook.findings import Finding
from quadrat.logbook.naming import Vocabulary, vocabulary
from quadrat.logbook.passages import TableRow, table_rows
from quadrat.logbook.record import Record

_NUMBER = re.compile(r"[-+\u2212]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_NUMERIC = re.compile(r"(?:[-+\u2212]?\d[\d.]*(?:[eE][-+]?\d+)?|[\s%\u00b1\[\](),;/]|\+/-|to|\.\.|\u2013|none|n/a)+")
_STATISTICS = frozenset(
    (
        *("value", "values", "mean", "median", "average", "score", "result", "results", "measured", "interval", "ci"),
        *("min", "max", "minimum", "maximum", "sd", "std", "best", "last", "final", "ours", "difference", "p"),
        *("low", "high", "metric"),
    )
)
_COUNTS = re.compile(r"\bn\s*=\s*\d+")
_BLOCKS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "metrics": ("mean", "low", "high", "sd", "n", "measured"),
        "secondary": ("mean", "low", "high", "sd", "n", "measured"),
        "comparisons": ("difference", "low", "high", "sd", "p", "p_holm", "n", "measured"),
    }
)


@final
@dataclass(frozen=True, slots=True)
class _Place:
    """What a cell is about."""

    metrics: Sequence[str]
    conditions: Sequence[str]
    percent: bool


def own_tables(record: Record, facts: Facts) -> Iterator[Finding]:
    """R4: every number of such a cell is, within half a unit of its last digit, among what the facts hold."""
    known = vocabulary(facts)
    for row in table_rows(record):
        for index, cell in enumerate(row.cells):
            if not _is_numeric(cell):
                continue
            place = _place(row, index, known)
            if place is not None:
                yield from _wrong(row.line, cell, place, facts)


def _is_numeric(cell: str) -> bool:
    text = _COUNTS.sub("", cell.strip("`* "))
    return bool(_NUMBER.search(text)) and _NUMERIC.fullmatch(text) is not None


def _place(row: TableRow, index: int, known: Vocabulary) -> _Place | None:
    """The metric and condition of a cell; None where it names no metric, or its column is about something else."""
    title = row.head[index] if index < len(row.head) else ""
    words = [cell for at, cell in enumerate(row.cells) if at != index and not _is_numeric(cell)]
    in_title, in_row = known.metrics_in(title), [name for cell in words for name in known.metrics_in(cell)]
    conditions = known.conditions_in(title) or [name for cell in words for name in known.conditions_in(cell)]
    if not in_title and not (known.conditions_in(title) or _is_statistic(title)):
        return None
    metrics = in_title or in_row
    return _Place(metrics, conditions, "%" in title or "percent" in title.lower()) if metrics else None


def _is_statistic(title: str) -> bool:
    words = set(key_of(title).split())
    return not title.strip() or bool(words & _STATISTICS) or bool(re.fullmatch(r"(?i)\W*(?:s|seed)[ _]?\d+\W*", title))


def _wrong(line: int, cell: str, place: _Place, facts: Facts) -> Iterator[Finding]:
    numbers = _candidates(facts, place)
    if not numbers:
        return
    text = _COUNTS.sub("", cell)
    for match in _NUMBER.finditer(text.replace("\u2212", "-")):
        scales = (100.0,) if place.percent or text[match.end() :].lstrip().startswith("%") else (1.0,)
        if not any(_agrees(match.group(), found * scale) for found in numbers for scale in scales):
            names = ", ".join(place.metrics[:2])
            where = f" of {', '.join(place.conditions[:2])}" if place.conditions else ""
            reason = (
                f"{match.group()} is not among what was measured for {names}{where}{_nearest(match.group(), numbers)}"
            )
            yield Finding(line, "table", reason, "R4")


def _nearest(shown: str, numbers: Sequence[float]) -> str:
    """The measured number that may have been meant."""
    close = min(numbers, key=lambda found: abs(found - float(shown)))
    return f"; the nearest is {close:.6g}"


def _agrees(shown: str, found: float) -> bool:
    """Whether ``found`` rounds to what is shown, or nearly: half a unit of the last digit."""
    mantissa, _, power = shown.lower().partition("e")
    unit = 10.0 ** (int(power or 0) - len(mantissa.partition(".")[2]))
    return abs(float(shown) - found) <= 0.5 * unit * (1 + 1e-6) + 1e-12 * abs(found)


def _candidates(facts: Facts, place: _Place) -> list[float]:
    """Every number that a person may give for a metric and condition: single runs and what sums them up."""
    found: list[float] = []
    for block, keys in _BLOCKS.items():
        for row in rows(facts, block):
            if row.get("metric") in place.metrics and _meant(str(row.get("condition") or "all"), place):
                found += _numbers(row, keys)
    by_condition: dict[str, list[float]] = {}
    for run in rows(facts, "runs"):
        held = mapping(run, "final")
        named = str(run.get("arm") or condition_of(run))
        if _meant(named, place):
            values = [value for name in place.metrics if (value := number(held, name)) is not None]
            by_condition.setdefault(named, []).extend(values)
    for values in by_condition.values():
        found += _summary(values)
    return found


def _meant(condition: str, place: _Place) -> bool:
    """Whether a condition is one that the cell speaks of; a cell that names none speaks of all."""
    if not place.conditions or condition == "all":
        return True
    return condition in place.conditions or condition.rpartition("/")[2] in {
        name.rpartition("/")[2] for name in place.conditions
    }


def _numbers(row: Mapping[str, Any], keys: Sequence[str]) -> list[float]:
    found = [value for key in keys if (value := number(row, key)) is not None]
    low, high = number(row, "low"), number(row, "high")
    if low is not None and high is not None:
        found.append((high - low) / 2)
    found += [float(value) for value in items(row, "values") if isinstance(value, int | float)]
    found += [last for seed in rows(row, "by_seed") if (last := number(seed, "last")) is not None]
    return [*found, *_summary([float(value) for value in items(row, "values") if isinstance(value, int | float)])]


def _summary(values: Sequence[float]) -> list[float]:
    if not values:
        return []
    spread = [stdev(values)] if len(values) > 1 else []
    return [*values, fmean(values), median(values), min(values), max(values), *spread]
