"""Rules that need nothing but the page: is it whole, answered, readable, and safe to publish?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from quadrat.logbook.fields import Answer, key_of, label_lines
from quadrat.logbook.findings import Finding
from quadrat.logbook.hygiene import local_paths, mojibake, secrets
from quadrat.logbook.record import Record
from quadrat.logbook.render import RENDERERS
from quadrat.logbook.scan import bare
from quadrat.logbook.template import AUTO_FIELDS, HUMAN_FIELDS, SCHEMA, WORDS, HumanField

_LINK = re.compile(
    r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*(<[^>]*>|[^\s()]*(?:\([^\s()]*\)[^\s()]*)*)(?:\s+[\"'(][^)]*)?\s*\)"
)
_DEFINITION = re.compile(r"^ {0,3}\[[^\]]+\]:\s*(<[^>]*>|\S+)")
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:")
_CODE_SPAN = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
_DATED = re.compile(r"^(\d{4}-\d\d-\d\d)_")


def front_matter(record: Record, path: Path | None) -> Iterator[Finding]:
    """R1: the keys that tools look for."""
    if not record.scan.front_end:
        yield Finding(1, "front matter", "there is none; a record begins with --- and record_schema: 1", "R1")
        return
    schema = record.front.get("record_schema")
    if schema != SCHEMA and record.front:
        yield Finding(1, "record_schema", f"is {schema!r}; this version knows {SCHEMA}", "R1")
    for key in ("study", "date"):
        if record.front and record.front.get(key) in (None, ""):
            yield Finding(1, key, "missing in the front matter", "R1")
    dated = _DATED.match(path.name) if path else None
    date = record.front.get("date")
    if dated and date is not None and str(date) != dated[1]:
        yield Finding(1, "date", f"is {date} here and {dated[1]} in the file name", "R1")


def shape(record: Record) -> Iterator[Finding]:
    """R1 and R16: markers, fences, blocks and headings that do not fit together."""
    for trouble in record.troubles:
        yield Finding(trouble.line, trouble.field, trouble.what, "R1")
    counts = Counter(block.id for block in record.blocks)
    for block in record.blocks:
        if block.id not in RENDERERS:
            yield Finding(block.line, block.id, "no auto block of this name is known; nothing fills it", "R1")
        if counts[block.id] > 1 and block is not record.block(block.id):
            yield Finding(block.line, block.id, "this auto block stands here a second time", "R16")
    named = {field.block: field.name for field in reversed(AUTO_FIELDS)}
    for name in RENDERERS:
        if not counts[name]:
            reason = f"the auto block is missing; put back <!-- auto:{name} --> and <!-- /auto:{name} -->"
            yield Finding(1, named.get(name, name), reason, "R1")
    yield from _twice(record)


def _twice(record: Record) -> Iterator[Finding]:
    """R16: a field's heading or label, or any heading under the same parent, that is there twice."""
    fields = {key_of(field.name) for field in HUMAN_FIELDS if field.kind == "heading"}
    seen: set[tuple[str, ...]] = set()
    trail: list[tuple[int, str]] = []
    for section in record.sections:
        trail = [pair for pair in trail if pair[0] < section.level]
        trail.append((section.level, key_of(section.title)))
        name = key_of(section.title)
        place = (name,) if name in fields else tuple(part for _, part in trail)
        if place in seen:
            yield Finding(section.line, section.title or "heading", "this heading is here twice", "R16")
        seen.add(place)
    labels: set[str] = set()
    for key, index in label_lines(record.scan):
        if key in labels:
            yield Finding(index + 1, key, "this label is here twice", "R16")
        labels.add(key)


def human(record: Record, troubles: list[str]) -> Iterator[Finding]:
    """R1: each field that a person fills is there and says something."""
    for field in HUMAN_FIELDS:
        answer = record.answers.get(field.id)
        if answer is None:
            yield Finding(_near(record, field), field.name, "missing; put the field back and answer it", "R1")
        else:
            reason = _fault(answer, troubles)
            answered = answer.text and not answer.has_prompt
            if reason:
                yield Finding(answer.line, field.name, reason, "R9" if answered and field.id == "verdict" else "R1")


def _near(record: Record, field: HumanField) -> int:
    """The line to look at for a field that is not there."""
    wanted = key_of(field.above)
    return next((section.line for section in record.sections if key_of(section.title) == wanted), 1)


def _fault(answer: Answer, troubles: list[str]) -> str | None:
    """What is wrong with an answer, or None."""
    field = answer.field
    if not answer.text:
        return "blank" + (", a placeholder still stands" if answer.raw else "")
    if answer.has_prompt:
        return "answered, but a prompt still stands beside the answer; delete it"
    special = {"notes": _notes_fault, "verdict": _word_fault, "followups": _followups_fault}.get(field.id)
    if special is not None:
        return special(answer, troubles)
    if answer.is_none and not field.none_allowed:
        return "none is no answer here; say it in a sentence"
    return f"too short: at least {field.words} words" if answer.words < field.words else None


def _notes_fault(answer: Answer, troubles: list[str]) -> str | None:
    """Something went wrong, and nobody says what."""
    if not troubles or not answer.is_none:
        return None
    more = f" and {len(troubles) - 3} more" if len(troubles) > 3 else ""
    return f"blank, although there is something to explain: {', '.join(troubles[:3])}{more}"


def _word_fault(answer: Answer, troubles: list[str]) -> str | None:
    """The conclusion's word is none of the three."""
    del troubles
    word = verdict_word(answer)
    return None if word in WORDS else f"is {word!r}; it has to be one of {', '.join(WORDS)}"


def verdict_word(answer: Answer) -> str:
    """The word of a conclusion without its dress."""
    return answer.text.strip("*_`. \t").lower()


def _followups_fault(answer: Answer, troubles: list[str]) -> str | None:
    """Neither a checkbox nor the word none."""
    del troubles
    return None if answer.items or answer.is_none else "needs at least one checkbox (- [ ] ...), or the word none"


def text_rules(record: Record, bad_line: int | None) -> Iterator[Finding]:
    """R13 and R15: how the page is encoded, and what must not be published."""
    if bad_line is not None:
        yield Finding(bad_line, "encoding", "not UTF-8; save the record as UTF-8", "R13")
    for number, line in enumerate(record.scan.lines, start=1):
        plain = bare(line).removeprefix("\ufeff") if number == 1 else bare(line)
        marks = [] if number == bad_line else list(mojibake(plain))
        if marks:
            yield Finding(number, "encoding", f"{marks[0]!r} is a mark of text decoded by the wrong table", "R13")
        for found in local_paths(plain):
            yield Finding(number, "path", f"{found} is a path of one machine; make it relative", "R15")
        for found in secrets(plain):
            yield Finding(number, "secret", f"{found} looks like a secret; take it out and revoke it", "R15")


def links(record: Record, *, path: Path | None, root: Path | None) -> Iterator[Finding]:
    """R5: links to files are relative, stay inside the project, and lead somewhere.

    What lies under ``results/`` or ``data/`` is not committed: where the whole folder of a study is absent,
    as in a clone, a link into it is no fault.
    """
    for index in sorted(record.scan.shown):
        line = _CODE_SPAN.sub("", bare(record.scan.lines[index]))
        targets = [match[1] for match in _LINK.finditer(line)]
        definition = _DEFINITION.match(line)
        targets += [definition[1]] if definition else []
        for target in targets:
            reason = _link_fault(target.strip("<>"), path, root)
            if reason:
                yield Finding(index + 1, "link", reason, "R5")


def _link_fault(target: str, path: Path | None, root: Path | None) -> str | None:
    """What is wrong with the target of a link, or None."""
    if not target:
        return "this link leads nowhere"
    if target.startswith(("#", "https://", "http://", "mailto:")):
        return None
    if target.startswith(("/", "\\", "~")) or _SCHEME.match(target):
        return f"{target} is not relative"
    return _place_fault(target, path.parent, root) if path is not None and path.parent.is_dir() else None


def _place_fault(target: str, folder: Path, root: Path | None) -> str | None:
    """What is wrong with the place that a relative link leads to, or None."""
    inside = root.resolve() if root else folder.resolve().parent
    try:
        end = (folder.resolve() / unquote(re.split(r"[#?]", target)[0])).resolve()
        exists = end.exists()
    except (OSError, ValueError, RuntimeError):
        return f"{target} cannot be looked up"
    if not end.is_relative_to(inside):
        return f"{target} leads out of the project"
    return None if exists or _uncommitted(end, inside) else f"{target} does not exist"


def _uncommitted(place: Path, root: Path) -> bool:
    """Whether a place belongs to results or data that are absent as a whole."""
    parts = place.relative_to(root).parts
    return len(parts) > 1 and parts[0] in ("results", "data") and not (root / parts[0] / parts[1]).exists()
