"""The writer of a run: what it writes, and that it never hurts the run."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from quadrat.core.verdicts import Status
from quadrat.journal.atomic import read_json
from quadrat.journal.layout import RunFolder
from quadrat.journal.ndjson import read_rows
from quadrat.journal.summary import summarize
from quadrat.journal.writer import RunWriter, now


def events(folder: RunFolder, kind: str | None = None) -> list[dict[str, Any]]:
    return [row for row in read_rows(folder.events).rows if kind is None or row["event"] == kind]


def test_rows_of_metrics_hold_no_clock_and_no_host(folder: RunFolder) -> None:
    with RunWriter(folder, attempt=1) as writer:
        writer.metrics(0, {"train/loss": 0.5})
        writer.metrics(1, {"train/loss": math.nan})
        assert writer.last_step == 1
        assert writer.metrics_offset == folder.metrics.stat().st_size
    assert folder.metrics.read_bytes() == (
        b'{"step":0,"metrics":{"train/loss":0.5}}\n{"step":1,"metrics":{"train/loss":"NaN"}}\n'
    )


def test_every_row_is_in_the_file_when_the_call_has_returned(folder: RunFolder) -> None:
    with RunWriter(folder, attempt=1) as writer:
        for step in range(20):
            writer.metrics(step, {"a": 1.0})
            assert len(read_rows(folder.metrics).rows) == step + 1
            writer.event("note", kind="k", data={})
            assert len(events(folder)) == step + 1


def test_an_event_has_its_kind_the_time_and_the_attempt_first(folder: RunFolder) -> None:
    with RunWriter(folder, attempt=3) as writer:
        writer.event("note", kind="derived", data={"k_max": np.int64(4), "path": Path("a/b")})
        writer.event("odd", event="x", time="y", attempt="z", thing=object())
    note, odd, left = events(folder)
    assert list(note) == ["event", "time", "attempt", "kind", "data"]
    assert (note["event"], note["attempt"], note["kind"]) == ("note", 3, "derived")
    assert note["data"] == {"k_max": 4, "path": "a/b"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", note["time"])
    assert (odd["event"], odd["event_"], odd["time_"], odd["attempt_"]) == ("odd", "x", "y", "z")
    assert "object" in odd["thing"]
    assert left["event"] == "left"


def test_the_time_is_utc_to_the_millisecond() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", now())


def test_an_event_that_cannot_be_written_as_data_does_not_raise(folder: RunFolder) -> None:
    cycle: dict[str, Any] = {}
    cycle["again"] = cycle
    deep: list[Any] = []
    for _ in range(500):
        deep = [deep]
    with RunWriter(folder, attempt=1) as writer:
        writer.event("note", kind="cycle", data=cycle)
        writer.event("note", kind="deep", data=deep)
        writer.event("note", kind="after", data={})
    assert events(folder)[-2]["kind"] == "after"
    assert read_rows(folder.events).damaged == 0


STRANGE: list[Any] = [None, "high", [1.0, 2.0], {}, object(), 10**400, np.zeros(3), torch.zeros(2), 1j, b"x"]


@pytest.mark.parametrize("value", STRANGE, ids=lambda value: type(value).__name__)
def test_a_refused_value_is_named_once_and_the_row_goes_on(folder: RunFolder, value: Any) -> None:
    with RunWriter(folder, attempt=1) as writer:
        for step in range(5):
            writer.metrics(step, {"good": 1.0, "odd/one": value})
    assert [row["metrics"] for row in read_rows(folder.metrics).rows] == [{"good": 1.0}] * 5
    warnings = events(folder, "warning")
    assert len(warnings) == 1
    assert warnings[0]["key"] == "odd/one"
    assert type(value).__name__ in warnings[0]["what"]


def test_a_metric_that_changes_to_text_keeps_what_it_had(folder: RunFolder) -> None:
    with RunWriter(folder, attempt=1) as writer:
        writer.metrics(1, {"a": 1.0})
        writer.metrics(2, {"a": "diverged"})  # pyright: ignore[reportArgumentType]
        writer.metrics(3, {"a": 3.0})
    assert [row["metrics"] for row in read_rows(folder.metrics).rows] == [{"a": 1.0}, {}, {"a": 3.0}]
    assert "diverged" in events(folder, "warning")[0]["what"]


def test_scalars_of_numpy_and_torch_are_numbers(folder: RunFolder) -> None:
    with RunWriter(folder, attempt=1) as writer:
        writer.metrics(np.int64(4), {"a": np.float32(0.5), "b": torch.tensor(2.0), "c": True})  # pyright: ignore
        assert writer.last_step == 4
    assert folder.metrics.read_bytes() == b'{"step":4,"metrics":{"a":0.5,"b":2.0,"c":1}}\n'


@pytest.mark.parametrize("step", [None, "x", 1.5, math.nan, 2**64])
def test_a_row_with_a_bad_step_is_left_out_with_a_warning(folder: RunFolder, step: Any) -> None:
    with RunWriter(folder, attempt=1) as writer:
        writer.metrics(step, {"a": 1.0})
        writer.metrics(step, {"a": 1.0})
        assert writer.last_step == 0
    assert folder.metrics.read_bytes() == b""
    assert len(events(folder, "warning")) == 1


def test_warnings_about_names_come_to_an_end(folder: RunFolder) -> None:
    with RunWriter(folder, attempt=1) as writer:
        for place in range(300):
            writer.metrics(place, {f"bad/{place}": None})  # pyright: ignore
    assert len(events(folder, "warning")) == 101


def test_params_are_one_row_an_attempt(folder: RunFolder) -> None:
    for attempt in (1, 2):
        with RunWriter(folder, attempt=attempt) as writer:
            writer.params({"attempt": attempt, "point": {"rate": 0.1}})
    assert read_rows(folder.params).rows == [
        {"attempt": 1, "point": {"rate": 0.1}},
        {"attempt": 2, "point": {"rate": 0.1}},
    ]
    with RunWriter(folder, attempt=3) as writer, pytest.raises(TypeError):
        writer.params({"attempt": object()})
    assert len(read_rows(folder.params).rows) == 2


def test_finish_leaves_all_that_a_reader_needs(folder: RunFolder) -> None:
    rule = {"rule": "nonfinite_loss", "level": "fail"}
    with RunWriter(folder, attempt=1) as writer:
        writer.metrics(10, {"a": 1.0})
        writer.metrics(20, {"a": 3.0})
        writer.finish(Status.STOPPED, diagnosis=rule, health={"rules": [rule]})
    assert read_json(folder.metrics_json) == summarize(read_rows(folder.metrics).rows)
    assert read_json(folder.metrics_json)["summary"]["a"]["mean"] == 2.0
    assert read_json(folder.health) == {"schema": 1, "rules": [rule]}
    assert read_json(folder.verdict) == {
        "schema": 1,
        "status": "stopped",
        "step": 20,
        "diagnosis": rule,
        "error": None,
        "gates": [],
    }
    assert [(row["event"], row["status"], row["step"]) for row in events(folder)] == [("finished", "stopped", 20)]


def test_finish_of_a_run_that_measured_nothing(folder: RunFolder) -> None:
    error = {"type": "ValueError", "message": "m", "traceback": "t", "where": "f:1"}
    with RunWriter(folder, attempt=1) as writer:
        writer.finish(Status.FAILED, step=7, error=error)
    verdict = read_json(folder.verdict)
    assert (verdict["status"], verdict["step"], verdict["error"]) == ("failed", 7, error)
    assert read_json(folder.health) == {"schema": 1, "rules": []}
    assert read_json(folder.metrics_json)["rows"] == 0


def test_equal_rows_give_equal_files(tmp_path: Path) -> None:
    made: list[bytes] = []
    for name in ("one", "two"):
        path = tmp_path / name
        path.mkdir()
        with RunWriter(RunFolder(path), attempt=1) as writer:
            for step in range(50):
                writer.metrics(step, {"a": math.sin(step), "b": step / 7})
            writer.finish(Status.COMPLETED)
        made.append((path / "metrics.ndjson").read_bytes() + (path / "metrics.json").read_bytes())
    assert made[0] == made[1]


def test_a_folder_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RunWriter(RunFolder(tmp_path / "gone"), attempt=1)


def test_files_taken_away_under_a_live_run_cost_the_files_only(
    folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    with RunWriter(folder, attempt=1) as writer:
        writer.metrics(1, {"a": 1.0})
        for path in (folder.metrics, folder.events):
            path.unlink()
        folder.path.rmdir()
        for step in range(2, 50):
            writer.metrics(step, {"a": 1.0})
            writer.sync()
        with pytest.raises(OSError, match="metrics"):
            writer.finish(Status.COMPLETED)
    assert capsys.readouterr().err.count("warning:") == 1


def test_json_of_every_line_is_strict(folder: RunFolder) -> None:
    with RunWriter(folder, attempt=1) as writer:
        writer.metrics(1, {"a": math.inf, "b": -0.0, "c": 5e-324})
        writer.event("heartbeat", rss=math.nan)
    for path in (folder.metrics, folder.events):
        for line in path.read_text().splitlines():
            json.loads(line, parse_constant=pytest.fail)
