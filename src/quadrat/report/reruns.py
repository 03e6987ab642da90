"""Field 30 of the record: what came of making runs again, kept beside the evidence so that a clone can show it.

``quadrat rerun`` writes a ``rerun.json`` for each try under ``results/<study>/.reruns/``. The evidence keeps one line
of each in ``reruns.json``; lines whose results are not at hand any more stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from quadrat.analyze.rerun import FOLDER, REPORT
from quadrat.journal.atomic import read_mapping, write_json

KEPT: Final = "reruns.json"
_TOLD: Final = ("run", "ran", "level", "expected", "conclusion")


def keep_reruns(root: Path, study: str, *, folder: Path) -> None:
    """Add what was made again since to the evidence folder of a study."""
    before = kept_reruns(folder) or []
    found = [
        {key: report.get(key) for key in _TOLD}
        for path in sorted((root / "results" / study / FOLDER).rglob(REPORT))
        if (report := read_mapping(path)).get("level")
    ]
    lines = {_key(line): line for line in (*before, *found)}
    ordered = [lines[key] for key in sorted(lines)]
    if ordered != before:
        write_json(folder / KEPT, {"schema": 1, "study": study, "reruns": ordered})


def kept_reruns(folder: Path) -> list[Mapping[str, Any]] | None:
    """The lines that an evidence folder keeps; None when nothing was made again."""
    held = read_mapping(folder / KEPT).get("reruns")
    return [line for line in held if isinstance(line, dict)] or None if isinstance(held, list) else None


def _key(line: Mapping[str, Any]) -> tuple[str, str]:
    return str(line.get("run")), str(line.get("ran"))
