"""Parquet: the tables with their types, read back by pyarrow."""

from __future__ import annotations

import math
import sys

import pytest

from quadrat.core.errors import UsageError
from quadrat.exports.parquet import ParquetExporter
from quadrat.testing.exports import FORMULA


def test_types_values_and_what_study_it_is(study, tmp_path, silent):
    pq = pytest.importorskip("pyarrow.parquet", reason="the package pyarrow is not installed")
    ParquetExporter().write(study, tmp_path / "out", tick=silent)
    runs, metrics = (pq.read_table(tmp_path / f"out/{name}.parquet") for name in ("runs", "metrics"))
    told = {field.name: str(field.type) for field in runs.schema}
    assert (told["seed"], told["started"], told["config.rate"]) == ("int64", "timestamp[ms, tz=UTC]", "double")
    assert told["config.model.depth"] == "int64"
    assert runs.schema.metadata[b"quadrat.study"] == b"small"
    cells = {row["run"]: row for row in runs.to_pylist()}
    assert cells["fine"]["config.label"] == FORMULA
    assert {row["config.note"] for row in cells.values()} == {"***"}
    assert cells["fine"]["config.model.depth"] is None
    assert cells["failed"]["started"].tzinfo is not None
    rows = {(row["run"], row["metric"]): row for row in metrics.to_pylist()}
    assert rows["nan", "train/loss"]["last"] == 1 / 3
    assert {str(field.type) for field in metrics.schema if field.name in ("first", "mean")} == {"double"}


def test_a_number_that_is_none_is_not_missing(study, tmp_path, silent):
    pq = pytest.importorskip("pyarrow.parquet", reason="the package pyarrow is not installed")
    folder = next(run for run in study.runs() if run.name == "nan")
    folder.metrics_json.unlink()
    folder.metrics.write_text('{"step":1,"metrics":{"x":"NaN"}}\n')
    ParquetExporter().write(study, tmp_path / "out", tick=silent)
    row = next(row for row in pq.read_table(tmp_path / "out/metrics.parquet").to_pylist() if row["run"] == "nan")
    assert math.isnan(row["last"])
    assert row["max"] is None


def test_without_the_package_one_paragraph_says_what_to_install(study, tmp_path, silent, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError) as told:
        ParquetExporter().write(study, tmp_path / "out", tick=silent)
    assert "pip install 'quadrat[parquet]'" in told.value.paragraph()
    assert not (tmp_path / "out").exists()
