"""Contract cases for sinks: what every one of them owes, whoever wrote it.

Use, in a test module of the package that ships the sink::

    from quadrat.testing.sinks import SinkCases

    class TestMySink(SinkCases):
        def make(self):
            return MySink()

pytest collects the cases with the class. A sink may be slow or useless; it may never raise.

``TrackerCases`` is the same for trackers. A tracker may raise; what it has taken in must come out again, once.
"""

from __future__ import annotations

import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

from quadrat.sinks.base import Ending, Row, RunFacts, RunProgress, Sink, Snapshot, Tracker


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


def facts(name: str = "L2_S0", *, stage: str | None = None, **config: object) -> RunFacts:
    """A run as a tracker is told of it; runs of different names or stages have different tokens."""
    token = f"{sum(map(ord, f'{stage}/{name}')):04x}{len(name):04x}{len(stage or ''):08x}"
    return RunFacts("story", name, stage, "plain", 0, token, 1.7e9, {"rate": 0.5, "model": {"depth": 2}, **config})


def rows(count: int = 6, *, metric: str = "train/loss") -> list[Row]:
    """Rows of one metric whose values every number format holds exactly."""
    return [Row(10 * place, {metric: 2.0**-place}, 1.7e9 + place) for place in range(1, count + 1)]


def ended(status: str = "completed") -> Ending:
    """How the run of ``rows()`` ended."""
    return Ending(status, 1.7e9 + 60, {"train/loss": 2.0**-6, "min/train/loss": 2.0**-6, "max/train/loss": 0.5})


@final
class FileTracker(Tracker):
    """A tracker for trying mirrors: one file for each run, one line for each row, a last line for the ending."""

    def __init__(self, home: Path, *, patience: float = 5.0) -> None:
        super().__init__(home, patience=patience)

    @property
    def destination(self) -> str:
        """Always files."""
        return "files"

    def path(self, run: RunFacts) -> Path:
        """The file of ``run``."""
        return self.home / f"{run.path.replace('/', '__')}.ndjson"

    def open(self, run: RunFacts) -> FileTrack:
        """Begin the file with what is known of the run."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.path(run).write_text(json.dumps({"config": run.config, "token": run.token}) + "\n", encoding="utf-8")
        return FileTrack(self.path(run))

    def resume(self, run: RunFacts, mark: Mapping[str, Any]) -> FileTrack | None:
        """Cut the file to what it held at the mark."""
        size, path = mark.get("bytes"), self.path(run)
        if mark.get("file") != path.name or not path.is_file() or not isinstance(size, int):
            return None
        os.truncate(path, size)
        return FileTrack(path)


@final
class FileTrack:
    """The file of one run."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self, rows: Sequence[Row]) -> None:
        """A line for each row."""
        self._add(*({"step": row.step, "values": dict(row.values), "time": row.time} for row in rows))

    def mark(self) -> dict[str, Any]:
        """How long the file is."""
        return {"file": self._path.name, "bytes": self._path.stat().st_size}

    def close(self, ending: Ending | None) -> None:
        """A line for how it ended."""
        if ending is not None:
            self._add({"status": ending.status, "summary": dict(ending.summary), "time": ending.time})

    def _add(self, *lines: Mapping[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)


class TrackerCases(ABC):
    """Subclass it, name the subclass ``Test...``, say how the tracker is made and how its files are read back."""

    @abstractmethod
    def make(self, home: Path) -> Tracker:
        """A fresh tracker that keeps its files in ``home``; none of an earlier one's memory."""

    @abstractmethod
    def read(self, home: Path, run: RunFacts) -> Mapping[str, Sequence[tuple[int, float]]]:
        """Step and value of every metric of ``run``, in order, by the means of those who look at the tracker."""

    def test_rows_arrive_once_and_in_order(self, tmp_path: Path) -> None:
        """In several helpings, as a mirror sends them."""
        run, sent = facts(), rows()
        track = self.make(tmp_path / "home").open(run)
        track.rows(sent[:2])
        track.rows(sent[2:])
        track.close(ended())
        assert self.read(tmp_path / "home", run) == {"train/loss": _series(sent)}

    def test_numbers_that_are_not_finite_arrive(self, tmp_path: Path) -> None:
        """The row on which a run lost its way is the one that people look for."""
        run = facts()
        track = self.make(tmp_path / "home").open(run)
        track.rows([Row(step, {"x": value}, 1.7e9) for step, value in enumerate((1.0, math.nan, math.inf, -math.inf))])
        track.close(ended("failed"))
        values = [value for _, value in self.read(tmp_path / "home", run)["x"]]
        assert math.isnan(values.pop(1))
        assert values == [1.0, math.inf, -math.inf]

    def test_taken_in_again_is_replaced_not_doubled(self, tmp_path: Path) -> None:
        """By the same tracker, as after a resume, and by a later one, as when everything is sent again."""
        run, home = facts(), tmp_path / "home"
        tracker = self.make(home)
        stale = tracker.open(run)
        stale.rows(rows(metric="stale"))
        stale.close(None)
        for each in (tracker, self.make(home)):
            track = each.open(run)
            track.rows(rows())
            track.close(ended())
            assert self.read(home, run) == {"train/loss": _series(rows())}

    def test_goes_on_at_its_mark_or_says_that_it_cannot(self, tmp_path: Path) -> None:
        """Rows that a mirror sent after the mark, before it was killed, come again and count once."""
        run, sent, home = facts(), rows(), tmp_path / "home"
        track = self.make(home).open(run)
        track.rows(sent[:2])
        mark = track.mark()
        track.rows(sent[2:4])
        later = self.make(home)
        track = later.resume(run, mark) if mark is not None else None
        if track is None:
            track = later.open(run)
            track.rows(sent[:2])
        track.rows(sent[2:])
        track.close(ended())
        assert self.read(home, run) == {"train/loss": _series(sent)}

    def test_a_mark_that_means_nothing_is_refused(self, tmp_path: Path) -> None:
        """A mark is read from a file that anybody may have edited."""
        outside = tmp_path / "outside"
        outside.write_bytes(b"not yours")
        tracker = self.make(tmp_path / "home")
        tracker.open(facts()).close(None)
        for mark in ({}, {"file": "gone", "bytes": 1}, {"file": "../../outside", "bytes": 1}, {"file": None}):
            assert tracker.resume(facts(), mark) is None
        assert outside.read_bytes() == b"not yours"

    def test_awkward_names_values_and_configs(self, tmp_path: Path) -> None:
        """Whatever a study may call things and put into its config."""
        config: dict[str, Any] = {
            "none": None,
            "list": [1, "two", None],
            "empty": {},
            "big": 2**70,
            "nan": math.nan,
            "\u2603": "\u2603\n",
        }
        run = facts("A=1.0+b_S0", **config)
        names = ["a b", "deep/er/than.usual", "\u2603", "x" * 300, "%s{}[0]"]
        track = self.make(tmp_path / "home").open(run)
        track.rows([Row(1, dict.fromkeys(names, 0.5), 1.7e9), Row(2, {"huge": 1e300}, 1.7e9), Row(3, {}, 1.7e9)])
        track.close(ended())
        found = self.read(tmp_path / "home", run)
        assert {name: found[name] for name in names} == {name: [(1, 0.5)] for name in names}

    def test_without_rows_and_without_an_end(self, tmp_path: Path) -> None:
        """A run may fail before its first row, and a mirror may end before its run."""
        tracker, home = self.make(tmp_path / "home"), tmp_path / "home"
        tracker.open(facts("empty")).close(ended("failed"))
        tracker.open(facts("unknown")).close(None)
        left = tracker.open(facts("left"))
        left.rows(rows())
        left.close(None)
        assert self.read(home, facts("empty")) == {}
        assert self.read(home, facts("left")) == {"train/loss": _series(rows())}

    def test_many_at_once_stay_apart(self, tmp_path: Path) -> None:
        """A pack writes many runs at once, and two stages may use one name."""
        runs = [facts(f"S{number}", stage=stage) for stage in (None, "first", "second") for number in range(4)]
        tracker = self.make(tmp_path / "home")
        tracks = [tracker.open(run) for run in runs]
        for row in rows():
            for number, track in enumerate(tracks):
                track.rows([Row(row.step, {"x": row.values["train/loss"] + number}, row.time)])
        for track in tracks:
            track.close(ended())
        for number, run in enumerate(runs):
            wanted = [(row.step, row.values["train/loss"] + number) for row in rows()]
            assert self.read(tmp_path / "home", run) == {"x": wanted}

    def test_writes_in_its_home_only(self, tmp_path: Path) -> None:
        """Beside it lie the runs, and they are sealed."""
        track = self.make(tmp_path / "home").open(facts())
        track.rows(rows())
        track.close(ended())
        assert [path.name for path in tmp_path.iterdir()] == ["home"]

    def test_a_destination_stays_the_same(self, tmp_path: Path) -> None:
        """Another one would mean that everything has to be sent again."""
        assert self.make(tmp_path / "a").destination == self.make(tmp_path / "b").destination != ""


def _series(sent: Sequence[Row]) -> list[tuple[int, float]]:
    return [(row.step, value) for row in sent for value in row.values.values()]
