"""The experiment record: draft a new one, fill its blocks again, parse it.

The promise: ``fill`` changes nothing outside the auto blocks, not a space, not a line ending.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any, final

from quadrat.core.errors import StoreError, UsageError
from quadrat.logbook.facts import Facts, troubles
from quadrat.logbook.fields import Answer, answers
from quadrat.logbook.markdown import inline
from quadrat.logbook.render import RENDERERS, render
from quadrat.logbook.scan import Block, Scan, Trouble, bare, ending, fingerprint, scan, split_lines
from quadrat.logbook.template import NOTES_PROMPT, OWNER_PROMPT, TITLE_PROMPT, page

_FRONT_LIMIT = 256 * 1024
_DEEPEST = 32


@final
@dataclass(frozen=True, slots=True)
class FillResult:
    """A record filled again.

    Attributes:
        text: the record; blocks that somebody edited are as that person left them, unless ``force`` was given.
        edited_blocks: blocks whose contents somebody changed by hand, at their lines in a record that keeps them.
        fresh: the record with every block fresh, the edited ones too: what belongs beside the record as
            ``.new`` when there are edited blocks.
        missing: blocks of the template that the record has no place for.
    """

    text: str
    edited_blocks: tuple[Block, ...]
    fresh: str
    missing: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class Section:
    """A heading and the lines that belong to it, from 1, the last one included."""

    level: int
    title: str
    line: int
    end_line: int


@final
@dataclass(frozen=True, slots=True)
class Record:
    """A record as read: what the machine and what people put there, and where."""

    front: Mapping[str, Any]
    sections: tuple[Section, ...]
    blocks: tuple[Block, ...]
    answers: Mapping[str, Answer]
    troubles: tuple[Trouble, ...]
    scan: Scan

    def block(self, name: str) -> Block | None:
        """The first block of that name."""
        return next((block for block in self.blocks if block.id == name), None)


def draft(facts: Facts) -> str:
    """A new record: every block filled, every question to a person still open."""
    title = inline(facts.get("title") or facts.get("study") or "")
    owner = inline(facts.get("owner") or "")
    blank = page(
        {
            "study": _yaml_word(facts.get("study")),
            "date": _yaml_word(facts.get("date")),
            "title": title or TITLE_PROMPT,
            "owner": owner or OWNER_PROMPT,
            "notes": NOTES_PROMPT if troubles(facts) else "none",
        }
    )
    return fill(blank, facts).text


def fill(text: str, facts: Facts, *, force: bool = False) -> FillResult:
    """Render every auto block again, in place.

    Args:
        text: the record as read, line endings untouched (see ``read``).
        facts: the facts of the study.
        force: also replace blocks that somebody edited.
    """
    shape = scan(text)
    kept: list[str] = []
    fresh: list[str] = []
    edited: list[Block] = []
    done = 0
    for block in shape.blocks:
        between = "".join(shape.lines[done : block.start])
        old = "".join(shape.lines[block.start : block.end + 1])
        new = _renewed(shape, block, facts)
        if block.is_edited and new != old and fingerprint(block.content) != _wanted(block, facts):
            at = len(split_lines("".join((*kept, between))))
            edited.append(replace(block, start=at, end=at + block.end - block.start))
            kept.extend((between, old))
        else:
            kept.extend((between, new))
        fresh.extend((between, new))
        done = block.end + 1
    rest = "".join(shape.lines[done:])
    whole = "".join([*fresh, rest])
    there = {block.id for block in shape.blocks}
    return FillResult(
        text=whole if force else "".join([*kept, rest]),
        edited_blocks=tuple(edited),
        fresh=whole,
        missing=tuple(name for name in RENDERERS if name not in there),
    )


def _wanted(block: Block, facts: Facts) -> str | None:
    """The fingerprint of what a block should hold; None for a block that nobody here can fill."""
    return fingerprint(render(block.id, facts)) if block.id in RENDERERS else None


def _renewed(shape: Scan, block: Block, facts: Facts) -> str:
    """A block with fresh contents, in the line endings of its own start marker."""
    start, end = shape.lines[block.start], shape.lines[block.end]
    if block.id not in RENDERERS:
        return "".join(shape.lines[block.start : block.end + 1])
    content = render(block.id, facts)
    sha = fingerprint(content)
    line = bare(start)
    indent = line[: len(line) - len(line.lstrip(" "))]
    trail = line[len(line.rstrip(" \t")) :]
    marker = f"# auto:{block.id} sha={sha}" if block.front else f"<!-- auto:{block.id} sha={sha} -->"
    return f"{indent}{marker}{trail}{ending(start)}{content.replace(chr(10), ending(start))}{end}"


def parse(text: str) -> Record:
    """Read a record. Never fails: what is wrong with its shape is in ``troubles``."""
    shape = scan(text)
    front, problem = _front(shape)
    return Record(
        front=front,
        sections=tuple(_sections(shape)),
        blocks=shape.blocks,
        answers=answers(shape),
        troubles=(*problem, *shape.troubles),
        scan=shape,
    )


def read(path: Path) -> str:
    """The text of a record with its line endings as they are.

    Raises:
        UsageError: there is no such file.
        StoreError: it is not UTF-8.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read this record: {error.strerror}.",
            where=str(path),
            remedy="quadrat record draft STUDY writes one.",
        ) from error
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise StoreError(
            f"byte {raw[error.start]:#04x} is not UTF-8.", where=f"{path}:{line}", remedy="save the record as UTF-8."
        ) from error


def _sections(shape: Scan) -> list[Section]:
    """Headings with the lines that each one rules."""
    found: list[Section] = []
    for place, heading in enumerate(shape.headings):
        later = (other.index for other in shape.headings[place + 1 :] if other.level <= heading.level)
        end = next(later, len(shape.lines))
        found.append(Section(heading.level, heading.title, heading.index + 1, end))
    return found


def _front(shape: Scan) -> tuple[Mapping[str, Any], tuple[Trouble, ...]]:
    """The front matter as data, or what is wrong with it."""
    source = "".join(shape.lines[1 : max(shape.front_end - 1, 1)])
    if not source.strip():
        return {}, ()
    line, fault, loaded = _yaml(source)
    if fault is None and isinstance(loaded, Mapping):
        return {str(key): item for key, item in loaded.items()}, ()
    return {}, (Trouble(line, "front matter", fault or "not a mapping of keys to values"),)


def _yaml(source: str) -> tuple[int, str | None, Any]:
    """Read the front matter: the line and nature of a fault, or the data."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if len(source) > _FRONT_LIMIT or _depth(source) > _DEEPEST:
        return 1, f"longer than {_FRONT_LIMIT} characters, or brackets nested more than {_DEEPEST} deep", None
    try:
        return 1, None, YAML(typ="safe", pure=True).load(StringIO(source))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark else 1
        return line, f"not valid YAML: {error.problem}", None
    except (YAMLError, ValueError, RecursionError) as error:
        return 1, f"not valid YAML: {str(error).splitlines()[0]}", None


def _depth(source: str) -> int:
    """How deep brackets nest; a parser would take minutes to find out that it is too deep."""
    deepest = now = 0
    for sign in re.findall(r"[\[{}\]]", source):
        now += 1 if sign in "[{" else -1
        deepest = max(deepest, now)
    return deepest


def _yaml_word(value: Any) -> str:
    """A plain value for the front matter; in quotes unless it is plainly a word or a date."""
    text = inline(value) if value is not None else ""
    if re.fullmatch(r"[A-Za-z][\w-]*|\d{4}-\d\d-\d\d", text) and text.lower() not in ("true", "false", "null"):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if text else "null"
