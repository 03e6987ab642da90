"""What a study took of the machine, as facts for page and record."""

from __future__ import annotations

import math
from typing import Any

from quadrat.analyze.table import StudyTable
from quadrat.analyze.usage import DeviceUse, usage


def runtime(table: StudyTable) -> dict[str, Any]:
    """The ``runtime`` part of the facts of a study."""
    rows = {row.declared.place: row for row in table.rows if math.isfinite(row.seconds)}
    took = usage(rows.values())
    return {
        "total_s": took.seconds,
        "per_run_s": {run: row.seconds for run, row in rows.items()},
        "rss_bytes": {run: peak for run, row in rows.items() if math.isfinite(peak := row.peak("rss"))},
        "processes": took.processes,
        "cpu_total_s": _measured(took.cpu_seconds),
        "rss_peak_bytes": _measured(took.peak_bytes),
        "gpu": _devices(took.devices),
    }


def _devices(found: DeviceUse | None) -> dict[str, float | None] | str | None:
    if found is None:
        return None
    told = {
        "percent": _measured(found.percent),
        "memory_bytes": _measured(found.memory),
        "watts": _measured(found.watts),
        "celsius": _measured(found.celsius),
    }
    return "unknown" if found.unknown and not any(told.values()) else told


def _measured(value: float) -> float | None:
    return value if math.isfinite(value) else None
