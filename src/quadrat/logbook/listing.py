"""``experiments/index.md``: every record with its verdict, one line each, the same bytes for the same records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from quadrat.logbook.fields import Answer
from quadrat.logbook.followups import followups
from quadrat.logbook.markdown import code, href, inline, table
from quadrat.logbook.page_rules import verdict_word
from quadrat.logbook.record import Record
from quadrat.logbook.template import WORDS

_HEAD = """\
# Experiments

Written by `quadrat record index` from the records; not by hand."""


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the index."""

    name: str
    date: str
    study: str
    title: str
    verdict: str
    runs: int
    open: int


def entry(record: Record, *, name: str) -> Entry:
    """What the index says of a record.

    Args:
        record: the record.
        name: its file name without the ending.
    """
    title, verdict = record.answers.get("title"), record.answers.get("verdict")
    runs = record.front.get("runs")
    date, _, study = name.partition("_")
    word = verdict_word(verdict) if isinstance(verdict, Answer) else ""
    return Entry(
        name=name,
        date=str(record.front.get("date") or date),
        study=str(record.front.get("study") or study),
        title=title.text if title and title.text else study,
        verdict=word if word in WORDS else "open",
        runs=len(runs) if isinstance(runs, list) else 0,
        open=sum(not item.done for item in followups(record, name=name)),
    )


def index(entries: Iterable[Entry]) -> str:
    """The page: newest first, then by name."""
    ordered = sorted(sorted(entries, key=lambda item: item.name), key=lambda item: item.date, reverse=True)
    if not ordered:
        return f"{_HEAD}\n\nNo record yet.\n"
    body = [
        (
            item.date,
            f"[{inline(item.title).replace('[', '(').replace(']', ')')}]({href(item.name)}.md)",
            code(item.study),
            item.verdict,
            str(item.runs),
            str(item.open),
        )
        for item in ordered
    ]
    titles = ("Date", "Experiment", "Study", "Verdict", "Runs", "Open follow-ups")
    return f"{_HEAD}\n\n{table(titles, body, right=(4, 5))}\n"
