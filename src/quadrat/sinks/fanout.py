"""Several sinks as one; a sink that fails is let go, and the study never notices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

from quadrat.sinks.base import Sink, Snapshot


@final
class FanoutSink:
    """Passes every call on to each of ``sinks``.

    A sink that raises gets no further call; the others are told so once, in one line.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = list(sinks)

    def start(self, study_name: str, planned: int) -> None:
        """A study begins."""
        self._each(lambda sink: sink.start(study_name, planned))

    def update(self, snapshot: Snapshot) -> None:
        """How it stands."""
        self._each(lambda sink: sink.update(snapshot))

    def message(self, text: str) -> None:
        """Something a person should read."""
        self._each(lambda sink: sink.message(text))

    def close(self, summary: str | None = None) -> None:
        """The study is over."""
        self._each(lambda sink: sink.close(summary))

    def _each(self, call: Callable[[Sink], None]) -> None:
        for sink in list(self._sinks):
            if sink not in self._sinks:
                continue  # let go by a warning further down
            try:
                call(sink)
            except Exception as trouble:
                self._sinks.remove(sink)
                name = type(sink).__name__
                # Ends: each round of this has one sink fewer.
                self.message(f"sink {name} failed and is switched off for this study: {trouble!r}")
