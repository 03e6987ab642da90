"""CSV: what pandas and spreadsheets get."""

from __future__ import annotations

import csv
import math
from datetime import UTC, datetime

import pytest

from quadrat.exports.csv_tables import CsvExporter, cell_text
from quadrat.testing.exports import FORMULA


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd", "'+cmd"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("\uff1d1", "'\uff1d1"),
        ("a=b", "a=b"),
        (-2, "-2"),
        (-0.5, "-0.5"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e-320, "1e-320"),
        (True, "true"),
        (None, ""),
        (datetime(2026, 1, 2, 3, 4, 5, 6000, tzinfo=UTC), "2026-01-02T03:04:05.006+00:00"),
        ("\ud800", "\\ud800"),
    ],
)
def test_a_cell(value, shown):
    assert cell_text(value) == shown


def test_both_tables(study, tmp_path, silent):
    made = CsvExporter().write(study, tmp_path / "out", tick=silent)
    runs = {row["run"]: row for row in read(tmp_path / "out/runs.csv")}
    assert set(runs) == {"fine", "nan", "failed"}
    assert [runs[name]["status"] for name in ("fine", "nan", "failed")] == ["completed", "completed", "failed"]
    assert runs["failed"]["error"] == "RuntimeError: the third run was told to fail"
    assert runs["fine"]["config.label"] == f"'{FORMULA}"
    assert runs["fine"]["config.note"] == "***"
    assert (runs["fine"]["config.rate"], runs["fine"]["config.model.depth"]) == ("0.1", "")
    assert made.masked == {"runs.csv": 3}
    metrics = {(row["run"], row["metric"]): row for row in read(tmp_path / "out/metrics.csv")}
    assert len(metrics) == 6
    lost = metrics["nan", "train/loss"]
    assert (lost["count"], lost["nonfinite"], lost["split"]) == ("3", "1", "train")
    assert (float(lost["first"]), float(lost["last"]), float(lost["mean"])) == (1.0, 1 / 3, (1 + 1 / 3) / 2)
    best = metrics["fine", "oracle/test_id/acc"]
    assert (best["split"], float(best["max"]), best["max_step"], best["last_step"]) == ("test_id", 0.1 * 3, "3", "3")


def test_a_last_value_that_is_no_number_says_so(study, tmp_path, silent):
    folder = next(run for run in study.runs() if run.name == "nan")
    folder.metrics_json.unlink()
    folder.metrics.write_text('{"step":1,"metrics":{"x":1.0}}\n{"step":2,"metrics":{"x":"NaN"}}\n')
    CsvExporter().write(study, tmp_path / "out", tick=silent)
    row = next(row for row in read(tmp_path / "out/metrics.csv") if row["run"] == "nan")
    assert (row["first"], row["last"], row["max"], row["nonfinite"]) == ("1.0", "NaN", "1.0", "1")
