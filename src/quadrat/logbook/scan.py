"""Where things are in a record: front matter, headings, code, and the blocks that the machine fills.

Plain line scanning. A line is what Markdown calls one (ended by CR LF, LF or CR, nothing else), and joining
the lines gives the text back byte for byte, which is what makes "prose is never touched" provable.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import final

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
_BODY_MARK = re.compile(r"^( {0,3})<!--[ \t]*(/?)auto:([a-z][a-z0-9_-]*)(?:[ \t]+sha=([^\s>]*))?[ \t]*-->([ \t]*)$")
_FRONT_MARK = re.compile(r"^( {0,3})#[ \t]*(/?)auto:([a-z][a-z0-9_-]*)(?:[ \t]+sha=([^\s>]*))?()[ \t]*$")
_FENCE = re.compile(r"^ {0,3}(`{3,}(?=[^`]*$)|~{3,})(.*)$")
_HEADING = re.compile(r"^ {0,3}(#{1,6})(?:[ \t]+(.*?))??(?:[ \t]+#+)?[ \t]*$")
_COMMENT = re.compile(r"^ {0,3}<!--(?!.*-->)")


def split_lines(text: str) -> list[str]:
    """The lines of ``text`` with their endings."""
    return _LINE.findall(text)


def bare(line: str) -> str:
    """A line without its ending."""
    return line.rstrip("\r\n")


def ending(line: str) -> str:
    """The ending of a line."""
    return line[len(bare(line)) :]


def fingerprint(content: str) -> str:
    """The hash of a block's contents; the same under every kind of line ending."""
    plain = re.sub(r"\r\n|\r", "\n", content)
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()[:12]


@final
@dataclass(frozen=True, slots=True)
class Block:
    """One block of the machine's: from the line of its start marker to that of its end marker, from 0."""

    id: str
    start: int
    end: int
    sha: str | None
    content: str
    front: bool

    @property
    def line(self) -> int:
        """The number of the start marker's line, from 1."""
        return self.start + 1

    @property
    def is_edited(self) -> bool:
        """Whether somebody changed the contents after the machine wrote them."""
        if self.sha is None:
            return bool(self.content.strip())
        return fingerprint(self.content) != self.sha


@final
@dataclass(frozen=True, slots=True)
class Heading:
    """A heading outside code and blocks."""

    level: int
    title: str
    index: int


@final
@dataclass(frozen=True, slots=True)
class Trouble:
    """Something about the shape of the file that a person should mend."""

    line: int
    field: str
    what: str


@final
@dataclass(frozen=True, slots=True)
class Scan:
    """The shape of a record.

    Attributes:
        front_end: the number of lines that the front matter takes, its rules included; 0 when there is none.
        prose: indices of lines that are a person's prose: outside front matter, blocks and code.
        shown: indices of lines that are read as Markdown: prose and the inside of blocks, no code.
    """

    lines: tuple[str, ...]
    front_end: int
    blocks: tuple[Block, ...]
    headings: tuple[Heading, ...]
    prose: frozenset[int]
    shown: frozenset[int]
    troubles: tuple[Trouble, ...]


def scan(text: str) -> Scan:
    """Read the shape of ``text``."""
    lines = tuple(split_lines(text))
    return _Scanner(lines, _front_end(lines)).run()


def _front_end(lines: Sequence[str]) -> int:
    """How many lines the front matter takes."""
    if not lines or bare(lines[0]).removeprefix("\ufeff").rstrip() != "---":
        return 0
    for index, line in enumerate(lines[1:], start=1):
        if bare(line).rstrip() in ("---", "..."):
            return index + 1
    return 0


@final
@dataclass(slots=True)
class _Scanner:
    """One pass over the lines."""

    lines: tuple[str, ...]
    front_end: int
    blocks: list[Block] = field(default_factory=list)
    headings: list[Heading] = field(default_factory=list)
    prose: set[int] = field(default_factory=set)
    shown: set[int] = field(default_factory=set)
    troubles: list[Trouble] = field(default_factory=list)
    fence: tuple[str, int] | None = None
    in_comment: bool = False

    def run(self) -> Scan:
        index = 0
        while index < len(self.lines):
            index = self._step(index)
        if self.fence:
            self._trouble(self.fence[1], "code", "this code fence is never closed, so all below it is code")
        return Scan(
            lines=self.lines,
            front_end=self.front_end,
            blocks=tuple(self.blocks),
            headings=tuple(self.headings),
            prose=frozenset(self.prose),
            shown=frozenset(self.shown),
            troubles=tuple(self.troubles),
        )

    def _step(self, index: int) -> int:
        """Take one line, or one block as a whole; say which line comes next."""
        if self.fence is None:
            mark = self._mark(index)
            if mark is not None:
                end = self._marker(index, mark)
                if end is not None:
                    return end + 1
                return index + 1
        if index >= self.front_end:
            self._body(index)
        return index + 1

    def _mark(self, index: int) -> re.Match[str] | None:
        pattern = _FRONT_MARK if index < self.front_end else _BODY_MARK
        return pattern.match(bare(self.lines[index]))

    def _marker(self, index: int, mark: re.Match[str]) -> int | None:
        """A marker line: take the block it starts, or report it. Returns the end marker's index."""
        self.in_comment = False
        name = mark[3]
        if mark[2]:
            self._trouble(index, name, f"the end marker of auto block {name!r} has no start marker before it")
            return None
        end = self._end_of(index, name)
        if end is None:
            self._trouble(index, name, f"auto block {name!r} is not closed by its own end marker")
            return None
        content = "".join(self.lines[index + 1 : end])
        self.blocks.append(Block(name, index, end, mark[4], content, index < self.front_end))
        if index >= self.front_end:
            self.shown.update(self._uncoded(index + 1, end))
        return end

    def _end_of(self, start: int, name: str) -> int | None:
        """The line that closes a block: the next marker, if it is the right one."""
        limit = self.front_end if start < self.front_end else len(self.lines)
        for index in range(start + 1, limit):
            mark = self._mark(index)
            if mark is not None:
                return index if mark[2] and mark[3] == name else None
        return None

    def _uncoded(self, start: int, end: int) -> Iterator[int]:
        """The lines of a block that are not code."""
        fence: str | None = None
        for index in range(start, end):
            found = _FENCE.match(bare(self.lines[index]))
            if fence is None and found is None:
                yield index
            elif fence is None and found is not None:
                fence = found[1]
            elif found is not None and fence is not None and _closes(found, fence):
                fence = None

    def _body(self, index: int) -> None:
        """A line of a person's text."""
        line = bare(self.lines[index])
        found = _FENCE.match(line)
        if self.fence is not None:
            if found is not None and _closes(found, self.fence[0]):
                self.fence = None
            return
        if self.in_comment:
            self.in_comment = "-->" not in line
            return
        if found is not None:
            self.fence = (found[1], index)
            return
        if _COMMENT.match(line):
            self.in_comment = True
            return
        self.prose.add(index)
        self.shown.add(index)
        heading = _HEADING.match(line)
        if heading is not None:
            self.headings.append(Heading(len(heading[1]), (heading[2] or "").strip(), index))

    def _trouble(self, index: int, name: str, what: str) -> None:
        self.troubles.append(Trouble(index + 1, name, what))


def _closes(found: re.Match[str], fence: str) -> bool:
    """Whether a fence line ends the code that ``fence`` began."""
    return found[1][0] == fence[0] and len(found[1]) >= len(fence) and not found[2].strip()
