from __future__ import annotations

import io
import os
import signal
import time
from pathlib import Path

import pytest

from quadrat.conduct.mirroring import MirroringSink, mirrored
from quadrat.core.verdicts import Status
from quadrat.journal.layout import RunFolder, StudyFolder
from quadrat.journal.process import ProcessId
from quadrat.journal.seal import seal
from quadrat.journal.writer import RunWriter
from quadrat.sinks.base import Sink
from quadrat.sinks.console import ConsoleSink
from quadrat.study.load import load_study
from quadrat.testing.sinks import SinkCases, story

PLUG_IN = """
from quadrat.testing.sinks import FileTracker
from quadrat.sinks.base import Tracker

class Raising(Tracker):
    destination = "nowhere"
    def open(self, run):
        raise OSError("no such luck")
    def resume(self, run, mark):
        return None
"""


@pytest.fixture
def plug_ins(tmp_path_factory, monkeypatch):
    """Two more trackers, for this process and for those it starts."""
    place = tmp_path_factory.mktemp("plug-ins")
    (place / "two_trackers.py").write_text(PLUG_IN, encoding="utf-8")
    info = place / "two_trackers-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: two_trackers\nVersion: 1\n", encoding="utf-8")
    points = "[quadrat.sinks]\nplain = two_trackers:FileTracker\nraising = two_trackers:Raising\n"
    (info / "entry_points.txt").write_text(points, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(place), os.environ.get("PYTHONPATH")])))
    monkeypatch.syspath_prepend(str(place))
    return place


@pytest.fixture
def folder(tmp_path: Path, plug_ins) -> StudyFolder:
    """A study with one run that is completed."""
    study = StudyFolder(tmp_path, "demo")
    run = RunFolder(study.path / "S0")
    run.path.mkdir(parents=True)
    run.config.write_text("{}\n")
    with RunWriter(run, attempt=1) as writer:
        writer.event("started", process=ProcessId.current().as_dict(), resumed_from=None)
        writer.params({"attempt": 1, "run": "S0"})
        writer.metrics(1, {"x": 1.0})
        writer.finish(Status.COMPLETED)
    seal(run)
    return study


class Heard:
    """A console that nobody looks at but the test."""

    def __init__(self, folder: StudyFolder, *names: str) -> None:
        self.stream = io.StringIO()
        self.sink = MirroringSink(ConsoleSink(stream=self.stream, force_terminal=False), folder, names=names)

    @property
    def about_mirrors(self) -> list[str]:
        return [line for line in self.stream.getvalue().splitlines() if "quadrat.sinks.mirror" in line]

    @property
    def pid(self) -> int:
        assert self.sink._process is not None
        return self.sink._process.pid


def arrived(folder: StudyFolder) -> bool:
    return (folder.path / ".plain/S0.ndjson").exists()


def test_a_mirror_runs_from_start_to_close_and_says_nothing(folder):
    heard = Heard(folder, "plain")
    heard.sink.start("demo", 1)
    pid = heard.pid
    heard.sink.start("demo", 1)
    assert heard.pid == pid, "the second stage has the same mirror"
    heard.sink.close("1 planned = 1 completed")
    assert arrived(folder)
    assert heard.about_mirrors == []
    assert heard.stream.getvalue().splitlines()[-1] == "1 planned = 1 completed"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_the_mirror_says_is_heard_while_the_study_runs(folder, eventually):
    heard = Heard(folder, "raising", "plain")
    heard.sink.start("demo", 1)

    def has_been_said():
        heard.sink.update(story()[3])
        return bool(heard.about_mirrors)

    eventually(has_been_said)
    heard.sink.close("the account")
    (line,) = heard.about_mirrors
    assert line.startswith("sink raising: it failed with OSError: no such luck. Runs are not touched by this")
    assert arrived(folder)


def test_a_mirror_that_dies_is_worth_one_line(folder, eventually):
    heard = Heard(folder, "plain")
    heard.sink.start("demo", 1)
    os.kill(heard.pid, signal.SIGKILL)

    def has_been_said():
        heard.sink.update(story()[3])
        return bool(heard.about_mirrors)

    eventually(has_been_said)
    heard.sink.update(story()[4])
    heard.sink.close("the account")
    (line,) = heard.about_mirrors
    assert line.startswith("the mirror of plain ended early (exit -9, see ")
    assert heard.stream.getvalue().endswith("the account\n")


def test_a_mirror_that_hangs_is_ended(folder, monkeypatch):
    monkeypatch.setattr("quadrat.conduct.mirroring.FINISH_SECONDS", 0.2)
    monkeypatch.setattr("quadrat.conduct.mirroring.MARGIN_SECONDS", 0.2)
    heard = Heard(folder, "plain")
    heard.sink.start("demo", 1)
    pid = heard.pid
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    heard.sink.close("the account")
    took = time.monotonic() - began
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    assert took < 3
    assert len(heard.about_mirrors) == 1


def test_a_mirror_that_cannot_be_started_is_worth_one_line(folder, monkeypatch):
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    heard = Heard(folder, "plain")
    heard.sink.start("demo", 1)
    heard.sink.update(story()[3])
    heard.sink.close("the account")
    (line,) = heard.about_mirrors
    assert "could not be started (No such file or directory)" in line


@pytest.mark.parametrize(
    ("sinks", "names"),
    [
        ("[]", None),
        ("[console]", None),
        ("[unheard]", None),
        ("[console, plain, unheard, plain, raising]", ("plain", "raising")),
    ],
)
def test_only_a_study_that_names_trackers_has_a_mirror(tmp_path, make_lab, folder, sinks, names):
    lab = make_lab(tmp_path)
    study = load_study(lab.write(more=f"sinks: {sinks}"), root=lab.root)
    console = ConsoleSink(stream=io.StringIO())
    sink = mirrored(console, study, folder=folder)
    assert (sink._names if isinstance(sink, MirroringSink) else None) == names
    assert (sink is console) == (names is None)


class TestAsASink(SinkCases):
    @pytest.fixture(autouse=True)
    def _place(self, folder):
        self.folder = folder

    def make(self) -> Sink:
        return Heard(self.folder, "plain").sink
