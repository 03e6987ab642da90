"""Files of metrics in the forms that programs write, read while they are being written."""

from __future__ import annotations

import math

import pytest

from quadrat.core.events import Metrics, Note
from quadrat.run.row_files import RowFile, found, last_values, numbers, step_of


def told(events):
    return [(event.step, dict(event.values)) for event in events if isinstance(event, Metrics)]


def test_lines_are_taken_once_as_they_come(tmp_path):
    path = tmp_path / "metrics.jsonl"
    file = RowFile(path)
    assert told(file.take()) == []
    path.write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "lo')
    assert told(file.take()) == [(1, {"loss": 0.5})]
    with path.open("a") as more:
        more.write('ss": 0.25}\n\n{"metrics": {"a": NaN, "b": "-Infinity"}, "step": 3}\nnot json\n[1]\n{"step": 4}')
    [(two, first), (three, second)] = told(file.take())
    assert (two, first, three) == (2, {"loss": 0.25}, 3)
    assert math.isnan(second["a"])
    assert second["b"] == -math.inf
    assert told(file.take(last=True)) == []


def test_a_last_line_without_its_end_counts_when_the_program_has_ended(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 0.5}')
    file = RowFile(path)
    assert told(file.take()) == []
    assert told(file.take(last=True)) == [(1, {"loss": 0.5})]
    assert told(file.take(last=True)) == []


def test_a_file_that_is_written_anew_gives_only_what_is_new(tmp_path):
    path = tmp_path / "metrics.csv"
    file = RowFile(path)
    path.write_text("epoch,loss,name\n1,0.5,first try\n2,0.25,second try\n")
    assert told(file.take()) == [(1, {"loss": 0.5}), (2, {"loss": 0.25})]
    path.write_text("epoch,loss\n1,0.5\n2,0.25\n3,1e-3\n")
    assert told(file.take()) == [(3, {"loss": 0.001})]


def test_rows_without_a_step_are_counted_and_odd_things_left_out(tmp_path):
    path = tmp_path / "m.ndjson"
    path.write_text('{"loss": 1, "ok": true, "who": "me", "time": 12.5, "list": [1]}\n{"loss": 2}\n')
    assert told(RowFile(path).take()) == [(1, {"loss": 1.0}), (2, {"loss": 2.0})]


def test_notes_and_errors_of_start_run(tmp_path):
    path = tmp_path / "relay.ndjson"
    path.write_text('{"note": "derived", "data": {"n": 1}}\n{"error": {"type": "E", "message": "m"}}\n')
    file = RowFile(path)
    assert list(file.take()) == [Note("derived", {"n": 1})]
    assert file.error == {"type": "E", "message": "m"}


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('{"test": {"acc": 0.5}, "epoch": 3}', [(3, {"test/acc": 0.5})]),
        ('{"acc": 0.5}', [(9, {"acc": 0.5})]),
        ('{"acc": "words"}', []),
        ("[1, 2]", []),
        ("{broken", []),
    ],
)
def test_a_whole_file_is_the_last_row(tmp_path, text, rows):
    (tmp_path / "metrics.json").write_text(text)
    assert told(last_values(tmp_path / "metrics.json", step=9)) == rows
    assert told(last_values(tmp_path / "gone.json", step=9)) == []


def test_steps_have_many_names():
    assert [step_of(row) for row in ({"global_step": "7"}, {"epoch": 2.0}, {"step": 2.5}, {"step": None}, {})] == [
        7,
        2,
        None,
        None,
        None,
    ]
    assert numbers({"step": 1, "x": "0.5", "y": "", "z": None, "w": 2**70}) == {"x": 0.5, "w": float(2**70)}


def test_patterns_name_files_below_the_folder_once(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("metrics.csv", "deep/metrics.csv", "deep/other.txt"):
        (tmp_path / name).write_text("")
    assert found(tmp_path, ["metrics.csv", "**/metrics.csv"]) == [
        tmp_path / "deep/metrics.csv",
        tmp_path / "metrics.csv",
    ]
    assert found(tmp_path, ["/etc/*", ""]) == []
