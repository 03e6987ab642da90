from __future__ import annotations

import io

import pytest

from quadrat.sinks.base import Snapshot
from quadrat.sinks.console import ConsoleSink
from quadrat.sinks.fanout import FanoutSink

SHOT = Snapshot("study", 2, 0, 1, 0, (), 1, 5.0)


class FullSink:
    """A sink that works until its disk is full."""

    def __init__(self, *, room: int) -> None:
        self.room = room
        self.calls: list[str] = []

    def _take(self, call: str) -> None:
        self.calls.append(call)
        if len(self.calls) > self.room:
            raise OSError(28, "No space left on device")

    def start(self, study_name, planned):
        self._take("start")

    def update(self, snapshot):
        self._take("update")

    def message(self, text):
        self._take("message")

    def close(self, summary=None):
        self._take("close")


@pytest.fixture
def console():
    stream = io.StringIO()
    return ConsoleSink(stream=stream, force_terminal=False), stream


def drive(sink) -> None:
    sink.start("study", 2)
    sink.update(SHOT)
    sink.message("note")
    sink.close("end")


def test_every_sink_is_told_everything():
    sinks = [FullSink(room=9), FullSink(room=9)]
    drive(FanoutSink(sinks))
    assert [sink.calls for sink in sinks] == [["start", "update", "message", "close"]] * 2


@pytest.mark.parametrize("first", [True, False])
def test_a_sink_that_fails_is_let_go_with_one_warning(console, first):
    screen, stream = console
    broken = FullSink(room=1)
    drive(FanoutSink([broken, screen] if first else [screen, broken]))
    assert broken.calls == ["start", "update"]
    text = stream.getvalue()
    assert text.count("FullSink failed") == 1
    assert "No space left" in text
    assert text.splitlines()[-2:] == ["note", "end"]
    assert "study: 1 of 2 ended" in text


def test_sinks_that_all_fail_leave_silence():
    sinks = [FullSink(room=0), FullSink(room=0), FullSink(room=1)]
    drive(FanoutSink(sinks))
    assert [len(sink.calls) for sink in sinks] == [1, 1, 2]


def test_an_interrupt_is_not_a_failure_of_a_sink():
    class Interrupted(FullSink):
        def update(self, snapshot):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive(FanoutSink([Interrupted(room=9)]))
