"""Pictures of a study and of its runs, on the page as images: nothing in them is run or loaded."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from quadrat.analyze.rows import Row
from quadrat.analyze.table import StudyTable
from quadrat.journal.atomic import read_bytes
from quadrat.journal.layout import StudyFolder
from quadrat.report.markup import Markup, join, tag

MOST: Final = 8
"""Pictures on one page; a page that is too heavy to open shows nothing."""
LARGEST: Final = 500_000
"""Bytes of one picture."""


def pictures(study: StudyTable) -> Markup | None:
    """The section, the study's own first; None where there are none. What is too much or too large is named instead."""
    own = StudyFolder(study.root, study.study).figures
    found = [("figures", study.study, path) for path in sorted(own.glob("*.svg"))]
    for row in study.rows:
        found += [(f"{row.declared.place}/artifacts/figures", row.declared.place, path) for path in _files(row)]
    if not found:
        return None
    shown: list[Markup] = []
    left: list[str] = []
    for folder, of, path in found:
        image = _image(of, path) if len(shown) < MOST else None
        if image is None:
            left.append(f"{folder}/{path.name}")
        else:
            shown.append(image)
    said = f"Not shown, because the page is full or the picture too large: {', '.join(left)}."
    return join([shown, tag("p", said, class_="note") if left else None])


def _files(row: Row) -> Iterator[Path]:
    if row.view is not None:
        yield from sorted((row.view.folder.artifacts / "figures").glob("*.svg"))


def _image(of: str, path: Path) -> Markup | None:
    try:
        content = read_bytes(path)
    except OSError:
        return None
    if len(content) > LARGEST:
        return None
    source = f"data:image/svg+xml;base64,{b64encode(content).decode()}"
    words = f"{path.stem.replace('_', ' ')} of {of}"
    return tag("details", tag("summary", words), tag("figure", tag("img", src=source, alt=words)))
