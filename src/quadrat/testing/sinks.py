"""Contract cases for sinks: what every one of them owes, whoever wrote it.

Use, in a test module of the package that ships the sink::

    from quadrat.testing.sinks import SinkCases

    class TestMySink(SinkCases):
        def make(self):
            return MySink()

pytest collects the cases with the class. A sink may be slow or useless; it may never raise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from quadrat.sinks.base import RunProgress, Sink, Snapshot


def story(*, planned: int = 12, failing: int = 2) -> list[Snapshot]:
    """The snapshots of a study from its first moment to its last, the first ``failing`` runs failed."""
    shots: list[Snapshot] = []
    for ended in range(planned + 1):
        failed = min(ended, failing)
        left = planned - ended
        running = tuple(
            RunProgress(f"L{number}_S42", step=10 * ended, total=100, fraction=0.1, metric="train/loss 0.41")
            for number in range(min(2, left))
        )
        shots.append(Snapshot("story", planned, ended - failed, failed, 0, running, left, 2.0 * ended, 2.0 * left))
    return shots


def awkward() -> list[Snapshot]:
    """Snapshots at the edges: nothing known, nothing planned, more done than planned, odd numbers and texts."""
    unknown = RunProgress("no-total", step=3)
    odd = RunProgress("a[bold]b", step=-1, total=0, fraction=float("nan"), metric="\x1b[2J\u2603 [red] \n two")
    return [
        Snapshot("nothing", 0, 0, 0, 0, (), 0, 0.0),
        Snapshot("unknown", 3, 0, 0, 0, (unknown, unknown), 3, 0.0),
        Snapshot("odd [/bold]", 1, 5, 5, 5, (odd,), -14, -1.0, float("inf")),
        Snapshot("odd [/bold]", 1, 0, 0, 0, (), 1, float("nan"), float("nan")),
    ]


class SinkCases(ABC):
    """Subclass it, name the subclass ``Test...`` and say how the sink is made."""

    @abstractmethod
    def make(self) -> Sink:
        """A fresh sink; the case closes it."""

    def test_a_whole_story(self) -> None:
        """From the first moment of a study to its account."""
        sink = self.make()
        sink.start("story", 12)
        for shot in story():
            sink.update(shot)
        sink.message("something to read")
        sink.close("12 planned = 10 completed + 2 failed")

    def test_closed_twice_or_without_a_start(self) -> None:
        """An early failure of the study may close before anything began."""
        sink = self.make()
        sink.close(None)
        sink.close("again")

    def test_update_and_message_without_a_start(self) -> None:
        """A warning may come before the study begins."""
        sink = self.make()
        sink.message("early")
        sink.update(story()[3])
        sink.close()

    def test_started_again_for_the_next_stage(self) -> None:
        """A study of two stages starts twice."""
        sink = self.make()
        for name in ("overfit", "generalize"):
            sink.start(name, 12)
            for shot in story():
                sink.update(shot)
        sink.close()

    def test_awkward_snapshots_and_texts(self) -> None:
        """Odd numbers, markup, escape sequences, broken Unicode: shown somehow, never raised."""
        sink = self.make()
        sink.start("awkward [/x] \x1b[31m", 0)
        for shot in awkward():
            sink.update(shot)
        sink.message("[/nonsense] \x1b]0;title\x07 \udcff \u2603")
        sink.close("[/nonsense]\n\n")

    def test_late_calls_after_close(self) -> None:
        """A straggler after the end is no error."""
        sink = self.make()
        sink.start("story", 12)
        sink.close()
        sink.update(story()[5])
        sink.message("late")
        sink.close()
