"""Pages from templates of one's own: ``experiments/<date>_<study>.<template>.md``, filled, filled again, checked.

Beside the evidence, ``own/<template>.json`` keeps the template and what the machine last put for each of its lines. So
a page is filled again without the template's file, and what a person changed is told from what the machine wrote.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quadrat.core.errors import StoreError, UsageError
from quadrat.journal.atomic import read_json, write_json, write_text
from quadrat.journal.layout import inside
from quadrat.logbook.check import Finding, check_own
from quadrat.logbook.own import Filled, fill_own, refill, template_of
from quadrat.logbook.record import read

_STEM = re.compile(r"[A-Za-z0-9][\w-]*")


def is_own(path: Path) -> bool:
    """Whether a file under ``experiments/`` is such a page: it has no evidence of its own, but of its first name."""
    return not path.with_suffix("").is_dir() and home_of(path).is_dir()


def home_of(path: Path) -> Path:
    """The evidence folder of a record or page."""
    folder = path.with_suffix("")
    shorter = folder.with_name(folder.name.rpartition(".")[0] or folder.name)
    return shorter if not folder.is_dir() and shorter.is_dir() else folder


def write_page(root: Path, folder: Path, *, facts: Mapping[str, Any], template: Path, force: bool = False) -> Path:
    """Fill a template for a study, or fill the page again; what a person changed in it stays.

    Args:
        root: the project's folder.
        folder: the evidence folder of the study.
        facts: the facts of the study.
        template: the template's file; its name without ending becomes part of the page's.
        force: fill the page anew, also when the template changed since; what a person wrote in it is lost.

    Raises:
        UsageError: the template cannot be read or its name cannot be part of one, or it changed since.
    """
    stem = template.stem
    if not _STEM.fullmatch(stem):
        raise UsageError(
            f"{stem!r} cannot be part of a page's name.", where=str(template), remedy="letters, digits, _ and -."
        )
    text = template_of(read(template))
    path = folder.with_name(f"{folder.name}.{stem}.md")
    memory = folder / "own" / f"{stem}.json"
    inside(root, path)
    inside(root, memory)
    known = _memory(memory) if path.exists() and memory.exists() else None
    if path.exists() and not force and (known is None or known["template"] != text):
        raise UsageError(
            "this page was filled from another template.",
            where=str(path),
            remedy="move the page away, give the template another name, or --force to write it anew.",
        )
    _write(path, memory, text, facts=facts, known=None if force else known)
    return path


def renew(root: Path, folder: Path, *, facts: Mapping[str, Any]) -> list[Path]:
    """Fill every page of a study again from the templates that were kept; a page that was taken away stays away."""
    done: list[Path] = []
    for memory in sorted((folder / "own").glob("*.json")):
        path = folder.with_name(f"{folder.name}.{memory.stem}.md")
        if path.exists():
            inside(root, path)
            known = _memory(memory)
            _write(path, memory, str(known["template"]), facts=facts, known=known)
            done.append(path)
    return done


def _write(
    path: Path, memory: Path, template: str, *, facts: Mapping[str, Any], known: Mapping[str, Any] | None
) -> None:
    now = fill_own(template, facts)
    if known is None:
        text, before = now.text, None
    else:
        before = read(path)
        text = refill(before, Filled(tuple(map(str, known["parts"]))), now=now)
    if text != before:
        write_text(path, text)
    told = {"schema": 1, "template": template, "parts": list(now.parts)}
    if told != known:
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_json(memory, told)


def _memory(path: Path) -> dict[str, Any]:
    """What was kept of a page.

    Raises:
        StoreError: it is damaged.
    """
    known = read_json(path)
    if not isinstance(known, dict) or not isinstance(known.get("parts"), list) or "template" not in known:
        raise StoreError(
            "this file does not hold a filled template.", where=str(path), remedy="take it away and draft again."
        )
    return known


def check_page(source: bytes, facts: Mapping[str, Any] | None, *, path: Path, root: Path) -> list[Finding]:
    """Everything wrong with a page: blanks, links, encoding, what must not be published, numbers, claims, staleness."""
    found = check_own(source, facts, path=path, root=root)
    folder = home_of(path)
    memory = folder / "own" / f"{path.stem.removeprefix(folder.name + '.')}.json"
    if facts is None or not memory.exists():
        return found
    known = _memory(memory)
    if fill_own(str(known["template"]), facts).parts != tuple(known["parts"]):
        reason = "this page is out of date; 'quadrat record draft' fills it again"
        return [*found, Finding(1, "page", reason, "R3")]
    return found
