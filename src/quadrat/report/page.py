"""A study as one page: a single HTML file that needs no network, no script and no other file.

Every text on it was written by somebody else (run names, config values, errors); ``markup`` escapes all of it, and the
page's own policy lets a browser load and run nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

import quadrat
from quadrat.analyze.diagram import PhaseDiagram, phase_diagrams
from quadrat.analyze.table import StudyTable, load_study_table
from quadrat.core.errors import StoreError
from quadrat.journal.atomic import read_bytes, write_text
from quadrat.journal.layout import StudyFolder
from quadrat.report import diagrams, drawing, gallery, health, pictures, sections
from quadrat.report.facts import Facts, facts_of
from quadrat.report.markup import Markup, join, tag
from quadrat.report.results import results

PAGE: Final = "report.html"
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_LOG_TAIL: Final = 4096


def write_page(root: Path, study: str, *, output: Path | None = None) -> Path:
    """Write the page of a study and return its path, ``results/<study>/report.html`` unless told otherwise.

    Raises:
        StoreError: there are no results of that study, or the page cannot be written there.
    """
    folder = StudyFolder(root, study)
    table = load_study_table(folder)
    path = output or folder.path / PAGE
    way = os.path.relpath(folder.path.resolve(), path.parent.resolve()).replace(os.sep, "/")
    text = render(table, base="" if way == "." else f"{way}/")
    try:
        if not (path.is_file() and path.read_bytes() == text.encode()):
            write_text(path, text)
    except OSError as error:
        raise StoreError(
            f"the page cannot be written ({error.strerror or error}).",
            where=str(path),
            remedy="name another place with --output.",
        ) from error
    return path


def render(table: StudyTable, *, base: str = "") -> str:
    """The page as text; the same results give the same text.

    Args:
        table: the study's table.
        base: the way from the page to the study's folder, with a slash at its end; empty when the page lies in it.
    """
    facts = facts_of(table)
    drawn = drawing.available()
    dots = list(gallery.dots(table)) if drawn else []
    maps = phase_diagrams(table)
    parts = (
        ("coverage", "Coverage", sections.coverage(facts)),
        ("verdict", "Verdict", sections.verdicts(facts)),
        *([("diagrams", "Phase diagrams", _diagrams(maps, drawn=drawn))] if maps else []),
        ("results", "Results", join([None if drawn else _undrawn(), results(facts, dots)])),
        ("curves", "Curves", _curves(table) if drawn else _undrawn()),
        *([("health", "Health", vitals)] if (vitals := health.health(table)) else []),
        *([("pictures", "Pictures", shown)] if (shown := pictures.pictures(table)) else []),
        ("trouble", "Diagnoses and errors", sections.trouble(facts, _tracebacks(table))),
        ("runs", "Runs", sections.runs(facts, base=base)),
        ("setup", "Set-up", sections.setup(facts)),
    )
    nav = [tag("li", tag("a", title, href=f"#{name}")) for name, title, _ in parts]
    main = [
        tag("section", tag("h2", title, id=f"{name}-title"), body, id=name, aria_labelledby=f"{name}-title")
        for name, title, body in parts
    ]
    body = [
        tag("a", "Skip to the results", href="#results", class_="skip"),
        _header(facts),
        tag("nav", tag("ul", nav), aria_label="Sections"),
        tag("main", main),
        tag("footer", _footer(facts)),
    ]
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{facts.title} · Quadrat"),
        tag("style", Markup(files("quadrat.report").joinpath("page.css").read_text(encoding="utf-8"))),
    ]
    page = tag("html", "\n", tag("head", join(head, by="\n")), "\n", tag("body", join(body, by="\n")), "\n", lang="en")
    return f"<!doctype html>\n{page}\n"


def _header(facts: Facts) -> Markup:
    began = f" · begun {facts.date}" if facts.date else ""
    eyebrow = tag(
        "p", "Study ", tag("b", facts.study), began, f" · {facts.owner}" if facts.owner else "", class_="eyebrow"
    )
    hypothesis = (
        tag("p", tag("b", _declared(facts)), facts.hypothesis, class_="hypothesis") if facts.hypothesis else None
    )
    return tag("header", eyebrow, tag("h1", facts.question or facts.title), hypothesis, class_="top")


def _declared(facts: Facts) -> str:
    locked = facts.hypothesis_locked
    if isinstance(locked, str) and locked.split() == (facts.hypothesis or "").split():
        return "Hypothesis, declared before the first run"
    return (
        "Hypothesis, changed after the first declaration" if locked else "Hypothesis, not declared before the first run"
    )


def _diagrams(maps: Sequence[PhaseDiagram], *, drawn: bool) -> Markup:
    return join([None if drawn else _undrawn(), diagrams.diagrams(maps, list(gallery.diagrams(maps)) if drawn else [])])


def _undrawn() -> Markup:
    return tag("p", "Figures need matplotlib: ", tag("code", "pip install 'quadrat[report]'"), class_="note")


def _curves(table: StudyTable) -> Markup:
    """Every seed of every panel."""
    shown = list(gallery.curves(table))
    if not shown:
        return tag("p", "No run has logged a metric of the panels more than once.", class_="note")
    parts: list[Markup] = []
    for title in dict.fromkeys(found.section for found in shown):
        figures = [
            tag(
                "figure",
                Markup(found.drawing.inline(found.slug)),
                tag("figcaption", f"Stage {found.stage}.") if found.stage else None,
                class_="wide" if found.drawing.is_wide else None,
            )
            for found in shown
            if found.section == title
        ]
        wide = len(figures) > 1 or any(found.drawing.is_wide for found in shown if found.section == title)
        parts.append(
            tag("div", tag("h3", title), tag("div", figures, class_="gallery"), class_="wide" if wide else None)
        )
    drawn = {found.metric for found in shown}
    left = [metric for _, metrics in table.panels() for metric in metrics if metric not in drawn]
    said = f"Not drawn, because no run has logged it more than once, or the page is full: {', '.join(left)}."
    return join([tag("div", parts, class_="panels"), tag("p", said, class_="note") if left else None])


def _tracebacks(table: StudyTable) -> Mapping[str, str]:
    """What a failed run said last: its traceback, else the end of its log."""
    found: dict[str, str] = {}
    for row in table.rows:
        told = (row.error or {}).get("traceback")
        if told:
            found[row.declared.place] = str(told)
        elif row.view is not None and row.status in ("failed", "lost"):
            try:
                tail = read_bytes(row.view.folder.log)[-_LOG_TAIL:]
            except OSError:
                continue
            found[row.declared.place] = tail.decode("utf-8", "replace")
    return found


def _footer(facts: Facts) -> Markup:
    lines = [
        f"Made by Quadrat {quadrat.__version__} from results/{facts.study}.",
        f"Declared plan {facts.plan_sha256[:12]}." if facts.plan_sha256 else "",
        "Intervals of a mean are t intervals over runs, from three measured runs on; two runs are shown as values. "
        "Paired differences use the same seeds on both sides.",
    ]
    return tag("p", " ".join(line for line in lines if line))
