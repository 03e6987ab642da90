"""The record of a study on disk: drafted with its evidence, filled again, held against the facts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from quadrat.journal.atomic import read_json, write_text
from quadrat.journal.layout import StudyFolder, inside
from quadrat.logbook.check import Finding, check
from quadrat.logbook.record import draft, fill, read
from quadrat.report.evidence import write_evidence
from quadrat.report.facts import collect

_NAME = re.compile(r"\d{4}-\d{2}-\d{2}_.+\.md")


@final
@dataclass(frozen=True, slots=True)
class Written:
    """A record that was written. ``conflicts`` are ``line: reason`` for blocks that somebody edited by hand."""

    path: Path
    conflicts: Sequence[str]


def write_record(root: Path, study: str, *, force: bool = False) -> Written:
    """Write or renew the evidence of a study and its record; prose outside the auto blocks stays as it is.

    A block edited by hand is kept, and the record as it would be goes beside it as ``.new``, unless ``force``.

    Raises:
        StoreError: nothing of the study has started.
    """
    folder = write_evidence(root, study)
    facts: dict[str, Any] = read_json(folder / "facts.json")
    path = folder.with_name(f"{folder.name}.md")
    inside(root, path)
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
    """Every record under ``experiments/``, by name."""
    return sorted(path for path in (root / "experiments").glob("*.md") if _NAME.fullmatch(path.name))


def check_record(root: Path, path: Path) -> list[Finding]:
    """Everything wrong with a record: its page, its links, and its numbers against the evidence.

    The committed evidence is enough. Where ``results/`` is at hand too, the evidence itself must still say the same.
    """
    source = path.read_bytes()
    place = path.with_suffix("")
    facts_path = place / "facts.json"
    if not facts_path.exists():
        found = check(source, None, path=path, root=root)
        return [*found, Finding(1, "evidence", f"{place.name}/facts.json is missing; draft the record again", "R2")]
    facts: dict[str, Any] = read_json(facts_path)
    return [*check(source, facts, path=path, root=root), *_stale(root, facts)]


def _stale(root: Path, facts: dict[str, Any]) -> list[Finding]:
    study = str(facts.get("study"))
    if not StudyFolder(root, study).lock_json.exists():
        return []
    now = collect(root, study).as_dict()
    differing = [key for key in ("status_account", "plan_sha256", "metrics", "seeds") if now[key] != facts.get(key)]
    if not differing:
        return []
    what = f"results/{study} says otherwise now ({', '.join(differing)}); draft the record again"
    return [Finding(1, "evidence", what, "R3")]
