"""Is this record true, whole and fit to be shown? Every finding at once, in the order of the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from quadrat.logbook import claims, fact_rules, own, own_tables, page_rules
from quadrat.logbook.facts import Facts, troubles
from quadrat.logbook.findings import Finding
from quadrat.logbook.record import Record, parse

__all__ = ["Finding", "check", "check_own"]


def check(
    source: str | bytes, facts: Facts | None, *, path: Path | None = None, root: Path | None = None
) -> list[Finding]:
    """Hold a record against the rules (``docs/reference/record.md`` lists them).

    Args:
        source: the record; bytes when the encoding is to be judged too.
        facts: the facts of its study; None judges the page alone.
        path: where the record lies; its links are looked up from there, its date is held against the name.
        root: the project's folder, which links may not leave; the folder above the record's own when not given.
    """
    text, bad_line = _decoded(source)
    record = parse(text)
    found = [
        *page_rules.front_matter(record, path),
        *page_rules.shape(record),
        *page_rules.human(record, troubles(facts) if facts else []),
        *page_rules.text_rules(record, bad_line),
        *page_rules.links(record, path=path, root=root),
        *fact_rules.blocks(record, facts),
    ]
    if facts is not None:
        found += _against(record, facts)
    return _in_order(found)


def check_own(
    source: str | bytes, facts: Facts | None, *, path: Path | None = None, root: Path | None = None
) -> list[Finding]:
    """Hold a page from a template of one's own against the rules that need no known form. Arguments as of ``check``."""
    text, bad_line = _decoded(source)
    record = parse(text)
    found = [
        *own.blanks(record),
        *page_rules.text_rules(record, bad_line),
        *page_rules.links(record, path=path, root=root),
        *(_words(record, facts) if facts is not None else ()),
    ]
    return _in_order(found)


def _in_order(found: Iterable[Finding]) -> list[Finding]:
    return sorted(set(found), key=lambda finding: (finding.line, _rank(finding.rule), finding.field, finding.reason))


def _words(record: Record, facts: Facts) -> Iterator[Finding]:
    """The rules on what a person says about the results."""
    yield from own_tables.own_tables(record, facts)
    yield from claims.claims(record, facts)
    yield from claims.selections(record, facts)


def _against(record: Record, facts: Facts) -> list[Finding]:
    """The rules that need facts."""
    return [
        *fact_rules.stated(record, facts),
        *fact_rules.runs(record, facts),
        *fact_rules.seeds(record, facts),
        *fact_rules.code_saved(record, facts),
        *fact_rules.conclusion(record, facts),
        *fact_rules.counts(record, facts),
        *fact_rules.intervals(record, facts),
        *fact_rules.hypothesis(record, facts),
        *_words(record, facts),
    ]


def _rank(rule: str) -> int:
    return int(rule.removeprefix("R"))


def _decoded(source: str | bytes) -> tuple[str, int | None]:
    """The text, and the first line that is not UTF-8."""
    if isinstance(source, str):
        return source, None
    try:
        return source.decode("utf-8"), None
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        return source.decode("utf-8", "replace"), line
