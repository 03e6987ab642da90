"""Follow-ups as data: the checkboxes of a record, and the study file that one of them becomes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, final

from quadrat.logbook.facts import Facts, items, mapping, value
from quadrat.logbook.fields import key_of
from quadrat.logbook.record import Record
from quadrat.logbook.scan import bare

_BOX = re.compile(r"^\s*[-*+]\s+\[([ xX])\]\s*(.*)$")
_PROMPT = re.compile(r"_TODO\b|^\s*$|_{3,}")
_SLUG_WORDS = 6


@final
@dataclass(frozen=True, slots=True)
class Followup:
    """One checkbox.

    Attributes:
        id: the same as long as the record's name and the words stay the same.
        record: the record's name, without its ending.
        line: where, from 1.
        text: what is to be done, on one line.
        done: whether the box is ticked.
    """

    id: str
    record: str
    study: str
    line: int
    text: str
    done: bool

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def followups(record: Record, *, name: str) -> list[Followup]:
    """The checkboxes under ``Follow-ups``, in order; a prompt that nobody answered is none.

    Args:
        record: the record.
        name: its file name without the ending.
    """
    spans = [
        range(section.line, section.end_line) for section in record.sections if key_of(section.title) == "follow ups"
    ]
    study = str(record.front.get("study") or "")
    return [
        Followup(_id(name, text), name, study, line, text, done)
        for line, text, done in _boxes(record)
        if any(line - 1 in span for span in spans) and not _PROMPT.search(text)
    ]


def _id(name: str, text: str) -> str:
    return hashlib.sha256(f"{name}\0{' '.join(text.split())}".encode()).hexdigest()[:8]


def _boxes(record: Record) -> Iterator[tuple[int, str, bool]]:
    """Every checkbox with the indented lines that go on from it: line, text, ticked."""
    lines, prose = record.scan.lines, record.scan.prose
    for index in sorted(prose):
        match = _BOX.match(bare(lines[index]))
        if match is None:
            continue
        parts = [match[2]]
        follow = index + 1
        while follow in prose and lines[follow].startswith(("  ", "\t")) and not _BOX.match(bare(lines[follow])):
            parts.append(bare(lines[follow]).strip())
            follow += 1
        yield index + 1, " ".join(" ".join(parts).split()), match[1] != " "


def slug(text: str) -> str:
    """A short name for a study out of the first words of a follow-up."""
    words = re.findall(r"[a-z0-9]+", text.lower())[:_SLUG_WORDS]
    name = "_".join(words)[:48].strip("_")
    return name if name[:1].isalpha() else f"study_{name}".rstrip("_")


def stub(followup: Followup, facts: Facts) -> dict[str, Any]:
    """The study file that a follow-up begins as, as plain data: the former study with the follow-up as its question.

    It keeps trainable, config, arms, seeds, primary metrics and baseline, so that it loads as it is and what is to be
    changed is changed in place. The hypothesis is left empty: it is to be written before the first run.
    """
    points = _points(facts)
    told: dict[str, Any] = {
        "study": slug(followup.text),
        "question": followup.text,
        "hypothesis": "",
        "trainable": value(facts, "trainable"),
        "config": _nested(mapping(facts, "config_common")),
        **({"arms": points} if points else {}),
        "seeds": list(items(facts, "seeds")),
        "primary": list(items(facts, "primary")),
    }
    owner = value(facts, "owner")
    if owner:
        told["owner"] = owner
    baseline = str(value(facts, "baseline") or "").rpartition("/")[2]
    return {**told, "baseline": baseline} if baseline in points else told


def _points(facts: Facts) -> dict[str, Any]:
    """The conditions of the former study as arms; those of several stages count once."""
    found: dict[str, Any] = {}
    for name, options in mapping(facts, "config_by_condition").items():
        if isinstance(options, Mapping) and options:
            found.setdefault(_arm(str(name)), _nested(options))
    return found


def _arm(name: str) -> str:
    """A condition's name as an arm may be called."""
    short = name if re.search(r"[=,]", name) else name.rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", short).strip("_") or "all"


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys as a tree."""
    tree: dict[str, Any] = {}
    for key, item in flat.items():
        *way, last = str(key).split(".")
        here = tree
        for part in way:
            here = here.setdefault(part, {})
        here[last] = item
    return tree


def stub_text(followup: Followup, document: str) -> str:
    """The text of a stub: ``document`` (its YAML) below a remark on where it comes from."""
    return (
        f"# From the follow-ups of experiments/{followup.record}.md ({followup.id}).\n"
        "# Change what the question asks for; write the hypothesis before the first run; then: quadrat check FILE\n"
        f"{document}"
    )
