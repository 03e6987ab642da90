"""A template of one's own: blanks filled where a fact exists, everything else left byte for byte.

Blank are ``____``, ``<...>``, an empty cell beside a name, ``YYYY-MM-DD``, a command that ends in dots, and a choice
(``Yes/No``, ``Pass / Fail``). A field that a record knows by name is filled whatever stood there. Filling again
changes only lines that are still as the machine wrote them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import final

from quadrat.logbook.facts import Facts, rows, run_name, value
from quadrat.logbook.fields import key_of
from quadrat.logbook.findings import Finding
from quadrat.logbook.markdown import code, fenced, inline, short_hash, table
from quadrat.logbook.outcome import metrics as metrics_block
from quadrat.logbook.own_answers import Answers, evidence_link, squeeze
from quadrat.logbook.record import Record
from quadrat.logbook.scan import bare, ending, split_lines

_TAGS = (
    "a|b|br|center|code|details|div|em|hr|i|img|kbd|li|ol|p|pre|s|small|span|strong|sub|summary|sup|table|td|th|tr|u|ul"
)
BLANK = re.compile(rf"_{{3,}}|<(?!https?:|mailto:|(?:{_TAGS})(?:[\s/][^<>]*)?>)[A-Za-z][^<>\n]*>|\bYYYY-MM-DD\b")
_LEFT = re.compile(rf"{BLANK.pattern}|\b(?:TODO|TBD|FIXME|abc1234)\b")
_FENCE = re.compile(r"^\s*(`{3,}|~{3,})(.*)$")
_HEADING = re.compile(r"^(#{1,6}\s+)(.*)$")
_ROW = re.compile(r"^\s*\|.*\|\s*$")
_RULE = re.compile(r"^[\s|:-]+$")
_LABEL = re.compile(r"^(\s*(?:[-*+]\s+)?)(?:\*\*([^*]+?)(:?)\*\*(:?)|([^*`|<>:]+?)(:))(\s+)(.*)$")
_CHOICE = re.compile(r"^[^/]+(?:\s*/\s*[^/]+)+$")
_YES = re.compile(r"(?i)^yes\s*/\s*no$")
_PHASE = re.compile(r"(?i)\b(?:phase|stage)\s+(\d+)\b")
_FILES = re.compile(r"^\s*[-*+]\s+`([\w.]+\.(?:ndjson|jsonl?|yaml|md|diff))`")
_OUTCOMES = (("pass", "pass"), ("partial", "partial"), ("fail", "fail"))


@final
@dataclass(frozen=True, slots=True)
class Filled:
    """A template filled: for each of its lines the text that it has become."""

    parts: tuple[str, ...]

    @property
    def text(self) -> str:
        """The page."""
        return "".join(self.parts)


def template_of(text: str) -> str:
    """The template in a file: the file itself, or the one block ```` ```markdown ```` of a guide that holds it."""
    blocks = re.findall(r"^(`{3,})markdown[ \t]*\r?\n(.*?)^\1[ \t]*$", text, re.M | re.S)
    return blocks[0][1] if len(blocks) == 1 else text


def fill_own(template: str, facts: Facts) -> Filled:
    """Fill a template of one's own.

    Args:
        template: the template, line endings untouched.
        facts: the facts of the study.
    """
    return Filled(tuple(_Filling(facts, tuple(split_lines(template))).run()))


def refill(page: str, before: Filled, *, now: Filled) -> str:
    """The page with every line renewed that is still as it was filled before; the others stay byte for byte.

    Args:
        page: the page as a person left it.
        before: the same template as it was filled when the page was last written.
        now: the same template filled with what is known now.
    """
    old = [line for part in before.parts for line in split_lines(part)]
    owners = [index for index, part in enumerate(before.parts) for _ in split_lines(part)]
    lines = split_lines(page)
    whole: dict[int, int] = {}
    kept: dict[int, int] = {}
    for block in SequenceMatcher(None, old, lines, autojunk=False).get_matching_blocks():
        for step in range(block.size):
            kept[block.b + step] = owners[block.a + step]
            whole[owners[block.a + step]] = whole.get(owners[block.a + step], 0) + 1
    renewed = {part for part, count in whole.items() if count == owners.count(part)}
    done: set[int] = set()
    out: list[str] = []
    for index, line in enumerate(lines):
        part = kept.get(index)
        if part is None or part not in renewed:
            out.append(line)
        elif part not in done:
            done.add(part)
            out.append(now.parts[part])
    return "".join(out)


def blanks(record: Record) -> Iterator[Finding]:
    """R1 of a page from a template of one's own: no blank is left."""
    for number, line in enumerate(record.scan.lines, start=1):
        if number <= record.scan.front_end:
            continue
        for match in _LEFT.finditer(bare(line)):
            name = key_of(re.split(r"[|:]", bare(line).strip(" |-*"))[0]) or "blank"
            yield Finding(number, name, f"{match.group()} still stands there; fill it in, or write none", "R1")


@final
@dataclass(slots=True)
class _Filling:
    """One pass over a template."""

    facts: Facts
    lines: tuple[str, ...]
    section: str = ""
    titled: bool = False
    stage: str | None = None
    head: Sequence[str] = field(default_factory=tuple)

    def run(self) -> Iterator[str]:
        index = 0
        while index < len(self.lines):
            fence = _FENCE.match(bare(self.lines[index]))
            end = self._closing(index, fence[1]) if fence else None
            if end is not None:
                yield from self._block(index, end)
                index = end + 1
            else:
                yield self._line(index)
                index += 1

    def _closing(self, start: int, fence: str) -> int | None:
        for index in range(start + 1, len(self.lines)):
            if bare(self.lines[index]).strip().startswith(fence):
                return index
        return None

    def _block(self, start: int, end: int) -> Iterator[str]:
        """A fenced block; one that holds a single command with dots at its end takes the commands."""
        inside = [bare(line) for line in self.lines[start + 1 : end]]
        commands = [str(item) for item in self.facts.get("commands") or ()]
        if commands and len(inside) == 1 and inside[0].rstrip().endswith("..."):
            tail = ending(self.lines[start])
            body = fenced(commands, "sh").split("\n")[1:-1]
            yield self.lines[start]
            yield "".join(f"{line}{tail}" for line in body)
            yield self.lines[end]
            return
        yield from self.lines[start : end + 1]

    def _line(self, index: int) -> str:
        line = self.lines[index]
        text, tail = bare(line), ending(line)
        heading = _HEADING.match(text)
        if heading:
            return f"{heading[1]}{self._heading(heading[2])}{tail}"
        if _ROW.match(text):
            return self._row(index, text) + tail
        self.head = ()
        stage = self._stage_of(text)
        if stage:
            self.stage = stage
        return (self._prompt(index, text) or self._label(text) or text) + tail

    def _heading(self, title: str) -> str:
        self.section, self.head = key_of(BLANK.sub("", title)), ()
        self.stage = self._stage_of(title)
        name = value(self.facts, "title") or value(self.facts, "study")
        if not self.titled and name and BLANK.search(title):
            title = BLANK.sub(lambda _: inline(name), title, count=1)
        self.titled = True
        return title

    def _stage_of(self, text: str) -> str | None:
        """The stage that a heading or label speaks of: by name, or by number (``Phase 2``)."""
        found = _PHASE.search(text)
        stages = list(dict.fromkeys(str(row.get("of") or row.get("stage")) for row in rows(self.facts, "gates")))
        stages = stages or list(
            dict.fromkeys(str(run["stage"]) for run in rows(self.facts, "runs") if run.get("stage"))
        )
        if not found or not stages:
            return None
        named = [stage for stage in stages if squeeze(stage) in squeeze(text)]
        at = int(found[1]) - 1
        return named[0] if named else stages[at] if at < len(stages) else None

    def _row(self, index: int, text: str) -> str:
        """A row of a table: the cells beside a name that are blank."""
        pieces = re.split(r"(?<!\\)\|", text)
        cells = [piece.strip() for piece in pieces[1:-1]]
        if _RULE.match(text):
            return text
        if not self.head:
            follows = self.lines[index + 1] if index + 1 < len(self.lines) else ""
            self.head = tuple(map(key_of, cells)) if _RULE.match(bare(follows)) else ("",) * len(cells)
            return text
        if len(cells) < 2:
            return text
        answer = self._answer(cells[0], cells[1], named="value" in self.head[1:2])
        if answer is None:
            return text
        pieces[2] = f" {answer} "
        return "|".join(pieces)

    def _answer(self, name: str, held: str, *, named: bool) -> str | None:
        """What to put into a cell; None to leave it."""
        known = Answers(self.facts, self.stage)
        if not held or BLANK.search(held):
            found = known.any(name, percent="%" in held)
        else:
            found = known.field(name) if named else None
        return re.sub(r"(?<!\\)\|", r"\\|", found) if found else None

    def _label(self, text: str) -> str | None:
        """A line ``Label: text``, bold or not."""
        match = _LABEL.match(text)
        if match is None:
            return None
        name, rest = match[2] or match[5], match[8]
        known = Answers(self.facts, self.stage)
        start = text[: match.start(8)]
        answer = known.field(name) if match[2] else None
        if answer is None and BLANK.search(rest):
            answer = self._blank(name, rest, known)
        elif answer is None and _YES.match(rest):
            truth = known.truth(name)
            answer = None if truth is None else ("Yes" if truth else "No")
        elif answer is None and _CHOICE.match(rest) and squeeze(name) == "status":
            answer = _chosen(rest, known.gate())
        return f"{start}{answer}" if answer else None

    def _blank(self, name: str, rest: str, known: Answers) -> str | None:
        """The rest of a label's line with its blank filled."""
        found = BLANK.search(rest)
        if found is None:
            return None
        percent = rest[found.end() :].lstrip().startswith("%")
        answer = known.any(name, percent=percent)
        return rest[: found.start()] + answer + rest[found.end() :] if answer else None

    def _prompt(self, index: int, text: str) -> str | None:
        """A bullet that asks for something by its words, in the way of seed 003's template."""
        match = re.match(r"^(\s*[-*+]\s+)(?!\[[ xX]\])(?!\*\*)(.*)$", text)
        if match is None:
            return None
        words = key_of(match[2])
        if self.section == "goals" and words.endswith(("answer", "tested")):
            answer = Answers(self.facts).field("hypothesis" if "hypothesis" in words else "question")
            return f"{text} {answer}" if answer else None
        if self.section == "results":
            return self._result(text, words)
        return self._artifact(index, text) if self.section in ("artifacts", "artefacts") else None

    def _result(self, text: str, words: str) -> str | None:
        if words.startswith("primary metrics") and rows(self.facts, "metrics"):
            return f"{text}\n\n{metrics_block(self.facts)}\n"
        if words.startswith("link to") and value(self.facts, "evidence"):
            return f"{text} {evidence_link(self.facts)}"
        if words.startswith("screenshots") and self.facts.get("figures"):
            pictures = [str(path).rpartition("/")[2] for path in self.facts["figures"]]
            links = ", ".join(evidence_link(self.facts, f"figures/{name}") for name in pictures)
            return f"{text} {links}"
        return None

    def _artifact(self, index: int, text: str) -> str | None:
        """A file that every run has: its link, or where the table of runs and files stands; then that table."""
        runs = rows(self.facts, "runs")
        named = _FILES.match(text)
        told = text
        if named and len(runs) == 1 and named[1] != "metrics.ndjson":
            told = f"{text} {evidence_link(self.facts, f'runs/{run_name(runs[0])}/{named[1]}')}"
        elif named and runs:
            told = f"{text} One per run, in the run's folder of the table below."
        follows = self.lines[index + 1 :]
        is_last = not any(re.match(r"^\s*[-*+]\s", line) for line in follows)
        return f"{told}\n\n{run_table(self.facts)}" if is_last and runs else told if told != text else None


def run_table(facts: Facts) -> str:
    """Every run beside its folder, its evidence and the models it left."""
    models: dict[str, list[str]] = {}
    for item in rows(facts, "artifacts"):
        if "/model." in str(item.get("path")):
            models.setdefault(str(item.get("run")), []).append(short_hash(item.get("sha256")))
    body = [
        (
            code(run_name(run)),
            code(run.get("folder") or "none"),
            evidence_link(facts, f"runs/{run_name(run)}/") or "none",
            ", ".join(models.get(run_name(run), ["none"])),
        )
        for run in rows(facts, "runs")
    ]
    return table(("Run", "Folder", "Evidence", "Model, SHA-256"), body)


def _chosen(rest: str, outcome: str | None) -> str | None:
    """The one of several alternatives that an outcome means."""
    wanted = next((word for name, word in _OUTCOMES if name == outcome), None)
    if wanted is None:
        return None
    found = [part.strip() for part in re.split(r"\s/\s", rest) if wanted in part.lower().split("(")[0]]
    return found[0] if len(found) == 1 else None
