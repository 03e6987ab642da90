"""Event files by the package's own writer, cut off, restarted, and with what is no scalar."""

from __future__ import annotations

import shutil

import pytest

from quadrat.core.verdicts import Status
from quadrat.imports.tensorboard import TensorBoardImporter

pytest.importorskip("tensorboard", reason="the package tensorboard is not installed")


def read(path):
    importer = TensorBoardImporter()
    return {run.name: run for run in importer.read(path, importer.sources(path), tell=print)}


def test_old_and_new_scalars_are_one_row_a_step_with_their_times(foreign):
    runs = read(foreign("tensorboard"))
    assert set(runs) == {"old", "deep/er/new"}
    rows = [(row.step, dict(row.values), row.time) for row in runs["old"].series()]
    assert rows[0] == (0, {"train/loss": 1.0, "val/acc": 0.0}, 1.7e9)
    assert rows[3] == (3, {"train/loss": 0.25, "val/acc": 0.75}, 1.7e9 + 3)
    assert len(rows) == 4
    assert runs["old"].status is None
    assert any("4 images" in note for note in runs["old"].notes)


def test_parameters_and_ending_come_from_the_hparams_plugin(foreign):
    run = read(foreign("tensorboard"))["deep/er/new"]
    assert run.params == {"rate": 0.1, "depth": 2, "amp": True, "optimizer": "adam"}
    assert (run.status, run.started, run.ended) == (Status.FAILED, 1.7e9, 1.7e9 + 9)


def test_a_record_that_was_cut_off_is_left_out_and_said(foreign, tmp_path):
    shutil.copytree(foreign("tensorboard") / "old", tmp_path / "old")
    (file,) = (tmp_path / "old").iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    run = read(tmp_path / "old")["old"]
    assert run.status is Status.LOST
    assert "cut off or damaged" in run.notes[0]
    assert len(list(run.series())) == 4, "the last record was an image"


def test_a_damaged_record_ends_its_file_and_is_said(foreign, tmp_path):
    shutil.copytree(foreign("tensorboard") / "old", tmp_path / "old")
    (file,) = (tmp_path / "old").iterdir()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(bytes(data))
    run = read(tmp_path / "old")["old"]
    assert "cut off or damaged" in run.notes[0]
    assert 0 < len(list(run.series())) < 4


def test_a_restart_takes_back_what_stood_behind_its_step(tmp_path):
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    for suffix, begin, values in (("a", 0, (1.0, 2.0, 3.0)), ("b", 2, (30.0, 40.0))):
        writer = EventFileWriter(str(tmp_path / "run"), filename_suffix=f".{suffix}")
        if begin:
            writer.add_event(Event(wall_time=2.0, step=begin, session_log=SessionLog(status=SessionLog.START)))
        for step, value in enumerate(values, begin):
            summary = Summary(value=[Summary.Value(tag="x", simple_value=value)])
            writer.add_event(Event(wall_time=2.0, step=step, summary=summary))
        writer.close()
    run = read(tmp_path / "run")["run"]
    assert [(row.step, row.values["x"]) for row in run.series()] == [(0, 1.0), (1, 2.0), (2, 30.0), (3, 40.0)]
    assert "1 values were taken back" in " ".join(run.notes)
