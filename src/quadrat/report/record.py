"""The record of a study on disk: drafted with its evidence, filled again, held against the facts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from quadrat.core.errors import QuadratError, UsageError, unknown_name
from quadrat.journal.atomic import read_json, write_text
from quadrat.journal.config_yaml import dump_yaml
from quadrat.journal.layout import StudyFolder, inside
from quadrat.logbook.check import Finding, check
from quadrat.logbook.followups import Followup, followups, slug, stub, stub_text
from quadrat.logbook.listing import entry, index
from quadrat.logbook.record import Record, draft, fill, parse, read
from quadrat.report.changes import record_facts
from quadrat.report.evidence import write_evidence
from quadrat.report.facts import collect
from quadrat.report.own_pages import check_page, home_of, is_own, renew
from quadrat.report.rehash import Rehash, hashes
from quadrat.report.reruns import keep_reruns

_NAME = re.compile(r"\d{4}-\d{2}-\d{2}_.+\.md")


@final
@dataclass(frozen=True, slots=True)
class Written:
    """A record that was written. ``conflicts`` are ``line: reason`` for blocks that somebody edited by hand."""

    path: Path
    conflicts: Sequence[str]


def write_record(root: Path, study: str, *, force: bool = False) -> Written:
    """Write or renew the evidence of a study, its record, its pages from other templates, and the index.

    Prose outside the auto blocks stays as it is. A block edited by hand is kept, and the record as it would be goes
    beside it as ``.new``, unless ``force``.

    Raises:
        StoreError: nothing of the study has started.
    """
    folder = write_evidence(root, study)
    keep_reruns(root, study, folder=folder)
    facts = record_facts(folder)
    path = folder.with_name(f"{folder.name}.md")
    inside(root, path)
    written = _write(path, facts, force=force)
    renew(root, folder, facts=facts)
    write_index(root)
    return written


def _write(path: Path, facts: Mapping[str, Any], *, force: bool) -> Written:
    if not path.exists():
        write_text(path, draft(facts))
        return Written(path, ())
    before = read(path)
    filled = fill(before, facts, force=force)
    beside = path.with_name(f"{path.name}.new")
    if filled.text != before:
        write_text(path, filled.text)
    if force or not filled.edited_blocks:
        beside.unlink(missing_ok=True)
        return Written(path, ())
    write_text(beside, filled.fresh)
    told = f"was edited by hand and is kept; {beside.name} has it fresh"
    return Written(path, [f"{block.line}: auto block {block.id!r} {told}" for block in filled.edited_blocks])


def records_of(root: Path) -> list[Path]:
    """Every record under ``experiments/``, by name; pages from other templates stand among them."""
    return sorted(path for path in (root / "experiments").glob("*.md") if _NAME.fullmatch(path.name))


def _records(root: Path) -> Iterator[tuple[str, Record]]:
    """Every record of the instrument's own form that can be read, with its name."""
    for path in records_of(root):
        if not is_own(path):
            yield path.stem, parse(path.read_bytes().decode("utf-8", "replace"))


def write_index(root: Path) -> Path:
    """Write ``experiments/index.md`` anew when it says something else, and return its path."""
    path = root / "experiments" / "index.md"
    inside(root, path)
    text = index(entry(record, name=name) for name, record in _records(root))
    if not path.is_file() or path.read_bytes() != text.encode():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    return path


def followups_of(root: Path) -> list[Followup]:
    """The checkboxes of every record, by record and line."""
    return [item for name, record in _records(root) for item in followups(record, name=name)]


def write_stub(root: Path, wanted: str, *, output: Path | None = None) -> Path:
    """Write the study file that a follow-up begins as.

    Args:
        root: the project's folder.
        wanted: the follow-up's id, or the first characters of it.
        output: where to write; a file named by the follow-up's words in the root when not given.

    Raises:
        UsageError: no follow-up, or several, of that id; or the file is there already.
        StoreError: the evidence of its record is damaged.
    """
    known = {item.id: item for item in followups_of(root)}
    found = [item for name, item in known.items() if name.startswith(wanted)] if wanted else []
    if not found:
        raise unknown_name("follow-up", wanted, list(known))
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} follow-ups begin with {wanted!r}.", remedy=f"one of {', '.join(i.id for i in found)}."
        )
    (item,) = found
    path = output or root / f"{slug(item.text)}.yaml"
    if path.exists():
        raise UsageError("this file is there already.", where=str(path), remedy="--output FILE writes another.")
    facts = read_json(root / "experiments" / item.record / "facts.json")
    told = stub(item, facts)
    write_text(path, stub_text(item, "".join(dump_yaml({key: told[key]}) for key in told)))
    return path


def check_record(root: Path, path: Path, *, rehash: Rehash | None = None) -> list[Finding]:
    """Everything wrong with a record: its page, its links, its numbers against the evidence, its data by hash.

    The committed evidence is enough. Where ``results/`` is at hand too, the evidence itself must still say the same.

    Args:
        root: the project's folder.
        path: the record, or a page from a template of one's own.
        rehash: what was hashed already, when several records are checked.

    Raises:
        UsageError: the record cannot be read.
    """
    source = _source(path)
    place = home_of(path)
    facts, trouble = _facts(place)
    if is_own(path):
        found = check_page(source, facts, path=path, root=root)
    else:
        found = check(source, facts, path=path, root=root)
    if facts is None:
        return [*found, Finding(1, "evidence", trouble, "R2")]
    block = parse(source.decode("utf-8", "replace")).block("data")
    line = block.line if block else 1
    return [*found, *hashes(facts, place, line=line, rehash=rehash or Rehash(root)), *_stale(root, facts)]


def _source(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"this record cannot be read: {error.strerror}.", where=str(path)) from error


def _facts(place: Path) -> tuple[dict[str, Any] | None, str]:
    """The facts beside a record, or None and why there are none."""
    if not (place / "facts.json").exists():
        return None, f"{place.name}/facts.json is missing; draft the record again"
    try:
        return record_facts(place), ""
    except (QuadratError, AttributeError, TypeError) as error:
        return None, f"{place.name}/facts.json cannot be read ({error}); draft the record again"


def _stale(root: Path, facts: Mapping[str, Any]) -> list[Finding]:
    study = str(facts.get("study"))
    if not StudyFolder(root, study).lock_json.exists():
        return []
    now = collect(root, study).as_dict()
    differing = [key for key in ("status_account", "plan_sha256", "metrics", "seeds") if now[key] != facts.get(key)]
    if not differing:
        return []
    what = f"results/{study} says otherwise now ({', '.join(differing)}); draft the record again"
    return [Finding(1, "evidence", what, "R3")]
