"""The built-in sinks keep the contract that is asked of everybody's."""

from __future__ import annotations

import io

from quadrat.core.registry import load
from quadrat.sinks.base import Sink
from quadrat.sinks.console import ConsoleSink
from quadrat.sinks.fanout import FanoutSink
from quadrat.testing.sinks import SinkCases


class TestConsoleAsInstalled(SinkCases):
    def make(self) -> Sink:
        return load("sinks", "console")()


class TestConsoleOnATerminal(SinkCases):
    def make(self) -> Sink:
        return ConsoleSink(stream=io.StringIO(), force_terminal=True)


class TestConsoleThatKnowsAsciiOnly(SinkCases):
    def make(self) -> Sink:
        return ConsoleSink(stream=io.TextIOWrapper(io.BytesIO(), encoding="ascii"), force_terminal=True)


class TestConsoleInAPipe(SinkCases):
    def make(self) -> Sink:
        return ConsoleSink(stream=io.StringIO(), force_terminal=False)


class TestFanout(SinkCases):
    def make(self) -> Sink:
        return FanoutSink([ConsoleSink(stream=io.StringIO(), force_terminal=False) for _ in range(2)])


class TestFanoutOfNone(SinkCases):
    def make(self) -> Sink:
        return FanoutSink([])
