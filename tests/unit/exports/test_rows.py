"""The rows of codex_ml."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from quadrat.analyze.declaration import Declared
from quadrat.analyze.rows import Row
from quadrat.core.errors import UsageError
from quadrat.core.verdicts import Status
from quadrat.exports.rows import Clock, RowsExporter, parted


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_params_say_what_each_attempt_was(study, tmp_path, silent):
    RowsExporter().write(study, tmp_path / "out", tick=silent)
    rows = {row["run_id"]: row for row in lines(tmp_path / "out/params.ndjson")}
    assert set(rows) == {"small/fine", "small/nan", "small/failed"}
    for row in rows.values():
        assert row["$schema"] == "https://codexml.ai/schemas/run_params.schema.json"
        assert row["schema_version"] == "v1"
        assert isinstance(row["timestamp"], float)
        assert all(isinstance(word, str) for word in row["cli"]["argv"])
        assert row["config"]["note"] == "***"
    assert rows["small/failed"]["derived"]["seed"] == 2
    assert rows["small/failed"]["metadata"]["status"] == "failed"


def test_metrics_are_one_row_a_value(study, tmp_path, silent):
    RowsExporter().write(study, tmp_path / "out", tick=silent)
    text = (tmp_path / "out/metrics.ndjson").read_text()
    rows = lines(tmp_path / "out/metrics.ndjson")
    assert len(rows) == 2 * (3 + 3 + 1)
    order = ["$schema", "schema_version", "timestamp", "run_id", "step", "split", "metric", "value", "dataset", "tags"]
    assert {tuple(row) for row in rows} == {tuple(order)}
    lost = [row for row in rows if row["value"] is None]
    assert [(row["run_id"], row["step"], row["tags"]["nonfinite"]) for row in lost] == [("small/nan", 2, "nan")]
    assert "NaN" not in text
    assert {(row["split"], row["metric"]) for row in rows} == {("train", "loss"), ("test_id", "oracle/acc")}
    assert {row["tags"]["name"] for row in rows} == {"train/loss", "oracle/test_id/acc"}
    assert {row["dataset"] for row in rows} == {"small-0123456789ab"}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("train/loss", ("train", "loss")),
        ("all.lm_loss", ("all", "lm_loss")),
        ("oracle/test_id/acc", ("test_id", "oracle/acc")),
        ("acc/test", ("test", "acc")),
        ("grad/norm", ("", "grad/norm")),
        ("train", ("", "train")),
    ],
)
def test_a_name_in_two_parts(name, wanted):
    assert parted(name) == wanted


def event(kind, second, **told):
    return {"event": kind, "time": f"2026-01-01T00:00:{second:02d}.000Z", **told}


def test_the_clock_goes_evenly_between_events_and_forgets_what_was_cut():
    zero = datetime.fromisoformat("2026-01-01T00:00:00Z").timestamp()
    events = [
        event("started", 0),
        event("heartbeat", 10, step=100),
        event("heartbeat", 20, step=300),
        event("started", 30),
        event("heartbeat", 40, step=200),
        event("heartbeat", 50, step=400),
    ]
    declared = Declared(name="a", stage=None, arm=None, point={}, seed=0, identity=None)
    clock = Clock(Row(declared=declared, status=Status.COMPLETED, events=tuple(events)))
    assert [clock.at(step) - zero for step in (0, 50, 100, 150, 200, 300, 400, 999)] == [0, 5, 10, 25, 40, 45, 50, 50]


def test_damaged_lines_are_left_out_and_said(study, tmp_path, silent):
    folder = next(run for run in study.runs() if run.name == "fine")
    folder.metrics.write_bytes(b'{"step":1,"metrics":{"x":1}}\nnot json\n{"step":2,"met')
    made = RowsExporter().write(study, tmp_path / "out", tick=silent)
    assert made.notes == ("small/fine: 1 damaged lines left out, torn at its end.",)


def test_a_study_that_has_not_begun_has_no_rows(study, tmp_path, silent):
    for run in study.runs():
        run.path.rename(tmp_path / run.name)
    with pytest.raises(UsageError, match="has begun"):
        RowsExporter().write(study, tmp_path / "out", tick=silent)
