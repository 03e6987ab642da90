"""The results part of a page: each primary metric with its figure and its table, the yardsticks, then the rest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from quadrat.report.facts import Facts
from quadrat.report.gallery import Shown
from quadrat.report.markup import Markup, join, table, tag
from quadrat.report.numbers import NONE, decimals, number, probability

Row: TypeAlias = Mapping[str, Any]


def results(facts: Facts, figures: Sequence[Shown]) -> Markup:
    """Metrics by condition: n, mean, interval and method, every seed, the paired difference."""
    parts = [_measure(facts, metric, figures) for metric in facts.primary]
    missing = [metric for metric in facts.primary if not _rows(facts.metrics, metric)]
    notes = [tag("p", f"No run has logged {', '.join(missing)} yet.", class_="note")] if missing else []
    if not parts:
        notes.append(tag("p", "Nothing has been measured yet.", class_="note"))
    return join([_reading(facts), *notes, *parts, _yardsticks(facts), _secondary(facts)])


def _reading(facts: Facts) -> Markup | None:
    """How the tables are to be read."""
    if not facts.metrics:
        return None
    text = (
        "The unit is the run. n counts every planned run; one that failed, is missing or logged no finite value has no "
        "place in the mean, and its row says so. Values are the last ones logged."
    )
    return tag("p", text, _family(facts), class_="note")


def _family(facts: Facts) -> str:
    if not facts.comparisons:
        return ""
    tested = sum(1 for row in facts.comparisons if row["p"] is not None)
    return (
        f" Differences are taken seed by seed against {_named(facts)}; p is Holm's over the family of all "
        f"{len(facts.comparisons)} comparisons of primary metrics, of which {tested} can be tested. "
        "A large p is no evidence of equality."
    )


def _named(facts: Facts) -> str:
    return str(facts.baseline) if len(facts.baselines) == 1 else "the baseline of the same stage"


def _measure(facts: Facts, metric: str, figures: Sequence[Shown]) -> Markup | None:
    rows = _rows(facts.metrics, metric)
    if not rows:
        return None
    drawn = [
        tag("figure", Markup(shown.drawing.inline(f"{shown.slug}")), tag("figcaption", _caption(shown)))
        for shown in figures
        if shown.metric == metric
    ]
    return tag("div", tag("h3", tag("code", metric)), drawn, _table(facts, metric, rows), class_="measure")


def _caption(shown: Shown) -> str:
    stage = f"Stage {shown.stage}. " if shown.stage else ""
    return f"{stage}Each mark is one seed; the bar across is the mean, the line its 95 % t interval where n allows one."


def _table(facts: Facts, metric: str, rows: Sequence[Row]) -> Markup:
    places = decimals(value for row in rows for value in row["values"])
    against = {row["condition"]: row for row in facts.comparisons if row["metric"] == metric}
    baselines = set(facts.baselines.values())
    head = ["Condition", "n", "Mean", "95 % t interval", "SD", "Every seed"]
    if against:
        head += ["Difference", "95 % t interval", "p (Holm)"]
    body = [
        [
            _condition(row, baselines),
            _count(row),
            number(row["mean"], places) if row["measured"] else NONE,
            _spread(row, places),
            number(row["sd"], places) if row["measured"] > 1 else NONE,
            _seeds(row, places),
            *(difference(against.get(row["condition"]), places) if against else ()),
        ]
        for row in rows
    ]
    caption = "At the end of each run, by condition."
    return table(caption, body, head=head, numeric=(1, 2, 3, 4, 6, 7, 8))


def _condition(row: Row, baselines: Iterable[str]) -> Markup:
    return join([row["condition"], tag("small", " baseline") if row["condition"] in baselines else None])


def _count(row: Row) -> Markup:
    if row["measured"] == row["n"]:
        return join(row["n"])
    return join([tag("small", f"{row['measured']} measured of ", class_="flag"), row["n"]])


def _interval(row: Row, places: int | None) -> str:
    low, high = row["low"], row["high"]
    return f"[{number(low, places)}, {number(high, places)}]" if math.isfinite(low) and math.isfinite(high) else NONE


def _seeds(row: Row, places: int | None) -> Markup:
    return tag("span", [_seed(found, places) for found in row["by_seed"]], class_="seeds")


def _seed(found: Row, places: int | None) -> Markup:
    status, value, last = found["status"], found["value"], found["last"]
    title = f"seed {found['seed']}, {status}"
    if math.isfinite(value):
        ended = "" if status == "completed" else f" ({status})"
        return tag("span", f"{number(value, places)}{ended}", title=title)
    word = "missing" if status == "pending" else status
    if status in ("completed", "stopped"):
        word = "not logged" if last is None else number(last)
    elif last is not None and math.isfinite(last):
        word = f"{word} at {number(last, places)}"
    return tag("span", word, class_="uncounted", title=title)


def difference(row: Row | None, places: int | None) -> tuple[str, str, str]:
    """A paired difference, its interval (or why there is none) and its p: three cells of a table."""
    if row is None or not row["measured"]:
        return NONE, NONE, NONE
    value = number(row["difference"], places)
    signed = f"+{value}" if row["difference"] > 0 else value
    pairs = "" if row["measured"] == row["n"] else f" ({row['measured']} of {row['n']} pairs)"
    return f"{signed}{pairs}", _spread(row, places), probability(row["p_holm"])


def _rows(rows: Iterable[Row], metric: str) -> list[Row]:
    return [row for row in rows if row["metric"] == metric]


def _yardsticks(facts: Facts) -> Markup | None:
    """Oracles and trivial answers: what a number is to be held against. They take part in no comparison."""
    rows = [row for row in facts.metrics if row["oracle"] and row["measured"]]
    if not rows:
        return None
    caption = "Yardsticks: what needs no learning. Left out of every comparison. "
    steady = [row for row in rows if row["condition"] == "all" and row["metric"].count("/") == 2]
    other = [row for row in rows if row not in steady]
    return join([_pivot(f"{caption}Each is the same in every run.", steady), _varying(caption, other)])


def _pivot(caption: str, rows: Sequence[Row]) -> Markup | None:
    """``oracle/test_id/exact_match`` and its like: one line per yardstick, one column per split."""
    if not rows:
        return None
    cells = {(kind, name, split): row for row in rows for kind, split, name in [row["metric"].split("/")]}
    splits = list(dict.fromkeys(split for _, _, split in cells))
    body = []
    for kind, name in dict.fromkeys((kind, name) for kind, name, _ in cells):
        mine = [cells.get((kind, name, split)) for split in splits]
        places = decimals(row["mean"] for row in mine if row)
        runs = sorted({row["n"] for row in mine if row})
        values = [number(row["mean"], places) if row else NONE for row in mine]
        body.append((join([kind, " ", tag("code", name)]), " or ".join(map(str, runs)), *values))
    return table(caption, body, head=["Yardstick", "n", *splits], numeric=range(1, 2 + len(splits)))


def _varying(caption: str, rows: Sequence[Row]) -> Markup | None:
    if not rows:
        return None
    body = [
        (tag("code", row["metric"]), row["condition"], row["n"], number(row["mean"], places), _spread(row, places))
        for row in rows
        for places in [decimals(row["values"])]
    ]
    return table(caption, body, head=["Metric", "Condition", "n", "Mean", "95 % t interval"], numeric=(2, 3, 4))


def _spread(row: Row, places: int | None) -> str:
    """The interval, or in its place why there is none."""
    interval = _interval(row, places)
    return row["method"] if interval == NONE else interval


def _secondary(facts: Facts) -> Markup | None:
    """Every other metric, folded away: shown, not tested."""
    if not facts.secondary:
        return None
    body: list[Sequence[Any]] = []
    for name in dict.fromkeys(row["metric"] for row in facts.secondary):
        rows = _rows(facts.secondary, name)
        places = decimals(value for row in rows for value in row["values"])
        body += [
            (
                tag("code", name),
                row["condition"],
                _count(row),
                number(row["mean"], places) if row["measured"] else NONE,
                _spread(row, places),
                _seeds(row, places),
            )
            for row in rows
        ]
    head = ["Metric", "Condition", "n", "Mean", "95 % t interval", "Every seed"]
    grid = table("Every other metric, at the end of each run. Not tested.", body, head=head, numeric=(2, 3, 4))
    count = len({row["metric"] for row in facts.secondary})
    return tag("details", tag("summary", f"{count} other metrics"), grid)
