"""A person's text in a record as sentences and table rows, each with the line it stands on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

from quadrat.logbook.fields import key_of
from quadrat.logbook.record import Record
from quadrat.logbook.scan import bare

_SENTENCE = re.compile(r"(?<=[.!?])[\s)*_]+(?=[A-Z`*\"(\[])")
_ITEM = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+(?:\[[ xX]\]\s*)?")
_RULE = re.compile(r"^\s*\|?\s*:?-{3,}:?\s*(?:\|\s*:?-{3,}:?\s*)*\|?\s*$")
_BAR = re.compile(r"(?<!\\)\|")
_PLANS = frozenset({"follow ups", "goals"})
"""Sections that speak of what is to be done or asked, not of what was found."""


@final
@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence; ``starts`` are the offsets at which its lines begin, ``lines`` their numbers from 1."""

    text: str
    starts: tuple[int, ...]
    lines: tuple[int, ...]

    def line_at(self, offset: int) -> int:
        """The line on which a character stands."""
        return next(line for start, line in zip(self.starts[::-1], self.lines[::-1], strict=True) if start <= offset)


@final
@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of a table of the person's own, with the cells of its head."""

    line: int
    head: tuple[str, ...]
    cells: tuple[str, ...]


def sentences(record: Record) -> Iterator[Sentence]:
    """Every sentence outside tables, headings, quotes and sections that only plan."""
    paragraph: list[tuple[int, str]] = []
    before = -2
    for index in _told(record):
        text = bare(record.scan.lines[index])
        is_new = index != before + 1 or not text.strip() or _ITEM.match(text)
        if is_new and paragraph:
            yield from _split(paragraph)
            paragraph = []
        before = index
        if text.strip():
            paragraph.append((index + 1, _ITEM.sub("", text).strip()))
    if paragraph:
        yield from _split(paragraph)


def table_rows(record: Record) -> Iterator[TableRow]:
    """Every row of a table outside the auto blocks."""
    prose = record.scan.prose
    lines = record.scan.lines
    for index in sorted(prose):
        if index + 1 not in prose or "|" not in lines[index] or not _RULE.match(bare(lines[index + 1])):
            continue
        head = _cells(lines[index])
        follow = index + 2
        while follow in prose and "|" in lines[follow]:
            yield TableRow(follow + 1, head, _cells(lines[follow]))
            follow += 1


def _cells(line: str) -> tuple[str, ...]:
    inner = bare(line).strip().removeprefix("|")
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
    return tuple(cell.strip() for cell in _BAR.split(inner))


def _told(record: Record) -> Iterator[int]:
    """The lines of prose that state something."""
    planned = [
        range(section.line - 1, section.end_line) for section in record.sections if key_of(section.title) in _PLANS
    ]
    titles = {heading.index for heading in record.scan.headings}
    for index in sorted(record.scan.prose):
        text = record.scan.lines[index].lstrip()
        if index not in titles and not text.startswith((">", "|")) and not any(index in span for span in planned):
            yield index


def _split(paragraph: Sequence[tuple[int, str]]) -> Iterator[Sentence]:
    """The sentences of a paragraph whose lines are joined by a space."""
    starts: list[int] = []
    whole = ""
    for _, text in paragraph:
        starts.append(len(whole))
        whole += text + " "
    begin = 0
    ends = [match.start() for match in _SENTENCE.finditer(whole)]
    for end in [*ends, len(whole)]:
        text = whole[begin:end]
        if text.strip():
            places = [(max(start - begin, 0), line) for start, (line, _) in zip(starts, paragraph, strict=True)]
            inside = [
                place
                for at, place in enumerate(places)
                if starts[at] < end and (at + 1 == len(starts) or starts[at + 1] > begin)
            ]
            yield Sentence(text, tuple(start for start, _ in inside), tuple(line for _, line in inside))
        begin = end
