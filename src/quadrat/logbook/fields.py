"""What a person wrote: the human fields of a record, found in the text, and whether each is an answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

from quadrat.logbook.scan import Heading, Scan, bare
from quadrat.logbook.template import HUMAN_FIELDS, HumanField

_LABEL = re.compile(r"^ {0,3}(?:[-*+][ \t]+)?\*\*([^*]+?):?\*\*:?(.*)$")
_ITEM = re.compile(r"^ {0,3}(?:[-*+]|\d+[.)])(?:[ \t]|$)")
_COMMENT = re.compile(r"<!--.*?-->", re.S)
_PROMPT = re.compile(r"_TODO\b[^_\n]*_|\*TODO\b[^*\n]*\*")
_PLACEHOLDERS = re.compile(
    r"_{3,}|<(?!https?:|mailto:)[A-Za-z][^<>\n]*>|\bYYYY-MM-DD\b|\babc1234\b"
    r"|(?i:(?<![A-Za-z0-9])(?:tbd|tba|fixme|n/a)(?![A-Za-z0-9]))(?!\s*\()"
)
_TODO_LINE = re.compile(r"^\W*(?:TODO|TBD|FIXME|XXX)\b.*$", re.M)
_BULLET = re.compile(r"^[ \t]*(?:[-*+]|\d+[.)])[ \t]+(?:\[[ xX]\][ \t]*)?", re.M)
_WORD = re.compile(r"[^\W_]+")


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """What stands in one human field. ``line`` counts from 1; ``raw`` is the text as written."""

    field: HumanField
    line: int
    raw: str

    @property
    def text(self) -> str:
        """The answer without prompts, placeholders and comments; empty when there is none."""
        text = _PROMPT.sub("", _COMMENT.sub("", self.raw))
        text = _PLACEHOLDERS.sub("", _TODO_LINE.sub("", text))
        return text.strip() if _WORD.search(_BULLET.sub("", text)) else ""

    @property
    def has_prompt(self) -> bool:
        """Whether a prompt or placeholder still stands there."""
        return bool(_PROMPT.search(self.raw) or _TODO_LINE.search(self.raw))

    @property
    def is_none(self) -> bool:
        """Whether the answer is the word none."""
        return _words(self.text) in (["none"], ["None"])

    @property
    def words(self) -> int:
        """How many words the answer has."""
        return len(_words(self.text))

    @property
    def items(self) -> list[str]:
        """The checkboxes that say something."""
        boxes = re.findall(r"^[ \t]*[-*+][ \t]+\[[ xX]\][ \t]*(.*)$", self.text, re.M)
        return [box for box in boxes if _WORD.search(box)]


def _words(text: str) -> list[str]:
    return _WORD.findall(_BULLET.sub("", text))


def key_of(name: str) -> str:
    """A heading or label as it is compared: letters and digits only, small."""
    return re.sub(r"[^a-z0-9]+", " ", name.lower()).strip()


def answers(scan: Scan) -> Mapping[str, Answer]:
    """The human fields that are there, by id; the first of each when there are several."""
    found: dict[str, Answer] = {}
    labels = dict(_labels(scan))
    for field in HUMAN_FIELDS:
        if field.kind == "label":
            index = labels.get(key_of(field.name))
            answer = _label(scan, field, index) if index is not None else None
        else:
            heading = _heading(scan, field)
            answer = _below(scan, field, heading) if heading is not None else None
        if answer is not None:
            found[field.id] = answer
    return found


def _labels(scan: Scan) -> Iterator[tuple[str, int]]:
    """Lines that begin with a field's label, the first of each last so that it wins in a dict."""
    known = {key_of(field.name) for field in HUMAN_FIELDS if field.kind == "label"}
    for index in sorted(scan.prose, reverse=True):
        match = _LABEL.match(bare(scan.lines[index]))
        if match is not None and key_of(match[1]) in known:
            yield key_of(match[1]), index


def label_lines(scan: Scan) -> list[tuple[str, int]]:
    """Every line that begins with a field's label, in order: ``(key, line index)``."""
    return sorted(_labels(scan), key=lambda pair: pair[1])


def _label(scan: Scan, field: HumanField, index: int) -> Answer:
    """The text after a label, with the indented lines that go on from it."""
    match = _LABEL.match(bare(scan.lines[index]))
    parts = [match[2] if match else ""]
    for follow in range(index + 1, len(scan.lines)):
        line = bare(scan.lines[follow])
        if follow not in scan.prose or not line.startswith(("  ", "\t")) or not line.strip():
            break
        parts.append(line)
    return Answer(field, index + 1, "\n".join(parts).strip())


def _heading(scan: Scan, field: HumanField) -> Heading | None:
    """The heading of a field."""
    if field.kind == "title":
        return next((heading for heading in scan.headings if heading.level == 1), None)
    wanted = key_of(field.name)
    return next((heading for heading in scan.headings if key_of(heading.title) == wanted), None)


def _below(scan: Scan, field: HumanField, heading: Heading) -> Answer:
    """A title itself, or all the prose and code below a heading down to the next of its rank."""
    if field.kind == "title":
        return Answer(field, heading.index + 1, re.sub(r"(?i)^experiment\s*:\s*", "", f"{heading.title} ").strip())
    ranks = (other.index for other in scan.headings if other.index > heading.index and other.level <= heading.level)
    end = next(ranks, len(scan.lines))
    inside = {index for block in scan.blocks for index in range(block.start, block.end + 1)}
    labelled = {index for _, index in label_lines(scan)}
    titles = {other.index for other in scan.headings}
    kept = [
        bare(scan.lines[index])
        for index in range(heading.index + 1, end)
        if index not in inside and index not in labelled and index not in titles
    ]
    return Answer(field, heading.index + 1, "\n".join(kept).strip())
