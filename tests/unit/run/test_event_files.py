"""TensorBoard's event files, read while they are being written."""

from __future__ import annotations

import pytest

from quadrat.core.events import Metrics, Note
from quadrat.run.event_files import EVENTS, EventFile, is_events
from quadrat.run.row_files import found


@pytest.fixture
def writer():
    """Makes a writer of old-style scalars for a folder: the form that torch and most others write."""
    pytest.importorskip("tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    def make(folder):
        file = EventFileWriter(str(folder))

        def write(step, **values):
            for tag, value in values.items():
                summary = Summary(value=[Summary.Value(tag=tag.replace("__", "/"), simple_value=value)])
                file.add_event(Event(step=step, summary=summary))
            file.flush()

        return write

    return make


def told(events):
    return [(event.step, dict(event.values)) for event in events if isinstance(event, Metrics)]


def test_scalars_of_one_step_are_one_row_whenever_one_looks(writer, tmp_path):
    write = writer(tmp_path)
    write(1, train__loss=0.5)
    (path,) = found(tmp_path, EVENTS)
    assert is_events(path)
    file = EventFile(path)
    assert told(file.take()) == []  # more of step 1 may come
    write(1, train__acc=0.25)
    write(2, train__loss=float("nan"))
    assert told(file.take()) == [(1, {"train/loss": 0.5, "train/acc": 0.25})]
    write(2, train__loss=0.125)
    (first, second) = told(file.take(last=True))
    assert (first[0], str(first[1]["train/loss"]), second) == (2, "nan", (2, {"train/loss": 0.125}))
    assert told(file.take(last=True)) == []


def test_a_folder_that_tells_the_part_is_part_of_the_name(writer, tmp_path):
    writer(tmp_path / "logs" / "validation")(3, epoch_loss=0.5)
    (path,) = found(tmp_path, EVENTS)
    assert told(EventFile(path).take(last=True)) == [(3, {"validation/epoch_loss": 0.5})]


def test_newer_forms_are_read_and_other_kinds_are_left_out(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    from tensorboard.util.tensor_util import make_tensor_proto

    def about(plugin):
        return SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=plugin))

    file = EventFileWriter(str(tmp_path))
    number = Summary.Value(tag="loss", metadata=about("scalars"), tensor=make_tensor_proto(0.5))
    text = Summary.Value(tag="words", metadata=about("text"), tensor=make_tensor_proto(["hello"]))
    file.add_event(Event(step=7, summary=Summary(value=[number, text])))
    file.close()
    (path,) = found(tmp_path, EVENTS)
    assert told(EventFile(path).take(last=True)) == [(7, {"loss": 0.5})]


def test_a_damaged_file_and_a_missing_package_stop_nothing(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    path = tmp_path / "events.out.tfevents.1.host"
    path.write_bytes(b"no such records at all, only words")
    assert list(EventFile(path).take(last=True)) == []
    monkeypatch.setitem(__import__("sys").modules, "tensorboard.backend.event_processing.event_file_loader", None)
    file = EventFile(path)
    (note,) = file.take()
    assert isinstance(note, Note)
    assert "tensorboard is not installed" in note.data["why"]
    assert list(file.take(last=True)) == []
