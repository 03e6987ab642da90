"""The evidence behind a record: what of ``results/`` is small enough to commit, so that a clone can check the record.

``write_evidence`` keeps, under ``experiments/<date>_<study>/``::

    facts.json          Facts.as_dict() without ``secondary``, which every run's metrics.json holds; its shape is
                        written at the top of ``quadrat.report.facts``
    study.lock.json     the declaration
    runs.csv            one row per declared run
    runs/<run>/         config.yaml params.ndjson metrics.json health.json verdict.json env.json git.json data.json
                        manifest.json (the hash of every file of the run, also of those too large to keep here)
    code/<hash>.diff    what was not committed when the runs began, once per distinct state
    diagrams/           every phase diagram as CSV, one row per cell
    figures/            every figure as SVG and PNG
    evidence.json       path, bytes and sha256 of all of these; written last

The same results give the same bytes. A file that somebody else put into the folder is left alone.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, Final

from quadrat.analyze.declaration import plain
from quadrat.analyze.diagram import Cell, PhaseDiagram, phase_diagrams
from quadrat.analyze.table import StudyTable, load_study_table
from quadrat.core.errors import StoreError
from quadrat.journal.atomic import dumps, read_bytes, read_mapping, write_bytes
from quadrat.journal.layout import StudyFolder, inside
from quadrat.report import drawing, gallery, provenance
from quadrat.report.facts import Facts, collect, facts_of

__all__ = ["MANIFEST", "Facts", "collect", "write_evidence"]

MANIFEST: Final = "evidence.json"
LARGEST_DIFF: Final = 2**20
LARGEST_VECTOR: Final = 200_000
"""Bytes of an SVG beyond which a figure is kept as pixels: evidence is committed."""

"""Bytes. A larger patch stays with its run; the run's manifest names it by hash."""

_KEPT: Final = ("config", "params", "metrics_json", "health", "verdict", "env", "git", "data", "manifest")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_evidence(root: Path, study: str, *, folder: Path | None = None) -> Path:
    """Write or renew the evidence folder of a study and return its path.

    Args:
        root: the folder that holds ``results/`` and ``experiments/``.
        study: the study's name.
        folder: where to write; ``experiments/<date>_<study>`` when not given.

    Raises:
        StoreError: there are no results of that study, or nothing of it has started.
        UsageError: the folder lies outside the root.
    """
    table = load_study_table(StudyFolder(root, study))
    facts = facts_of(table)
    if folder is None:
        if facts.evidence is None:
            raise StoreError(
                "nothing of this study has started, so there is no evidence to keep.",
                where=f"results/{study}",
                remedy=f"quadrat run {study}.",
            )
        folder = root / "experiments" / facts.evidence
    inside(root, folder)
    before = _before(folder)
    files = dict(_files(table))
    files |= dict(_figures(table)) if drawing.available() else _former_figures(folder, before)
    name = folder.relative_to(root / "experiments") if folder.is_relative_to(root / "experiments") else None
    place = (name or PurePosixPath(folder.name)).as_posix()
    pictures = [f"{place}/{path}" for path in sorted(files) if path.startswith("figures/")]
    files["facts.json"] = dumps(replace(facts, evidence=place, figures=pictures, secondary=()).as_dict())
    _write(folder, files, stale=before - files.keys(), study=study)
    return folder


def _write(folder: Path, files: Mapping[str, bytes], *, stale: Iterable[str], study: str) -> None:
    for path, content in sorted(files.items()):
        _renew(folder / path, content)
    listing = [
        {"path": path, "bytes": len(content), "sha256": sha256(content).hexdigest()}
        for path, content in sorted(files.items())
    ]
    _renew(folder / MANIFEST, dumps({"schema": 1, "study": study, "files": listing}))
    for path in stale:  # after the manifest: what it names is there at every moment
        (folder / path).unlink(missing_ok=True)


def _renew(path: Path, content: bytes) -> None:
    """Write a file whose content is new; leave one that already holds it untouched."""
    if path.is_file() and not path.is_symlink() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)


def _before(folder: Path) -> set[str]:
    """What the last manifest names, as far as it stays inside the folder."""
    listing = read_mapping(folder / MANIFEST).get("files")
    paths = [str(item.get("path")) for item in listing if isinstance(item, dict)] if isinstance(listing, list) else []
    return {path for path in paths if not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts}


def _former_figures(folder: Path, before: Iterable[str]) -> dict[str, bytes]:
    """Figures drawn where matplotlib was installed; they are kept where it is not."""
    kept = [path for path in before if path.startswith("figures/") and (folder / path).is_file()]
    return {path: read_bytes(folder / path) for path in kept}


def _files(table: StudyTable) -> Iterator[tuple[str, bytes]]:
    """Path inside the evidence folder, and content, of everything but facts and figures."""
    yield "runs.csv", runs_csv(table).encode()
    for slug, diagram in gallery.diagram_slugs(phase_diagrams(table)).items():
        yield f"diagrams/{slug}.csv", cells_csv(diagram).encode()
    lock = StudyFolder(table.root, table.study).lock_json
    if (content := _regular(lock)) is not None:
        yield lock.name, content
    for row, folder in provenance.folders(table):
        for path in (getattr(folder, name) for name in _KEPT):
            if (content := _regular(path)) is not None:
                yield f"runs/{row.declared.place}/{path.name}", content
        patch = _regular(folder.git_diff)
        if patch and len(patch) <= LARGEST_DIFF:
            yield f"code/{sha256(patch).hexdigest()[:12]}.diff", patch


def _regular(path: Path) -> bytes | None:
    """The content of a file; None when there is none or it is a link to somewhere else."""
    try:
        return read_bytes(path)
    except OSError:
        return None


def _figures(table: StudyTable) -> Iterator[tuple[str, bytes]]:
    for shown in (*gallery.diagrams(phase_diagrams(table)), *gallery.dots(table), *gallery.curves(table)):
        vector = shown.drawing.svg().encode()
        if len(vector) <= LARGEST_VECTOR:
            yield f"figures/{shown.slug}.svg", vector
        else:
            yield f"figures/{shown.slug}.png", shown.drawing.png()


def cells_csv(diagram: PhaseDiagram) -> str:
    """One row per declared cell of a phase diagram, in declared order."""
    head = [diagram.declared.y, diagram.declared.x, "n", "measured", "mean", "low", "high", "sd", "method", "least"]
    rows = (_cell(cell) for _, cell in diagram.cells())
    return _csv([*head, "greatest", "missing", "class", "settled", "runs_by_class"], rows)


def _cell(cell: Cell) -> list[Any]:
    estimate, phase = cell.estimate, cell.phase
    missing = "; ".join(f"{missing.seed} {missing.why}" for missing in cell.missing)
    runs = "; ".join(f"{count} {name}" for name, count in phase.runs.items()) if phase else ""
    numbers = [estimate.n, estimate.measured, estimate.mean, estimate.low, estimate.high, estimate.sd, estimate.method]
    classed = [phase.label, "yes" if phase.settled else "no"] if phase else ["", ""]
    axes = [value if isinstance(value, int | float) else plain(value) for value in (cell.y, cell.x)]
    return [*axes, *numbers, *cell.spread, missing, *classed, runs]


def runs_csv(table: StudyTable) -> str:
    """One row per declared run for a spreadsheet."""
    axes = list(dict.fromkeys(key for row in table.rows for key in row.condition.point))
    metrics = table.metrics()
    head = ["study", "stage", "run", "arm", "seed", "status", "last_step", "seconds", "identity"]
    rows: list[list[Any]] = []
    for row in table.rows:
        fixed = [table.study, row.stage, row.name, row.arm, row.seed, row.status, row.last_step, row.seconds]
        point = [row.condition.point.get(key) for key in axes]
        rows.append([*fixed, row.declared.identity, *point, *(row.final.get(name) for name in metrics)])
    return _csv([*head, *axes, *metrics], rows)


def _csv(head: Iterable[Any], rows: Iterable[Iterable[Any]]) -> str:
    """A table for a spreadsheet. Text that it would run as a formula is quoted."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([_safe(value) for value in row] for row in (head, *rows))
    return out.getvalue()


def _safe(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "" if value is None else "nan"
    if isinstance(value, bool | int | float):
        return value
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
