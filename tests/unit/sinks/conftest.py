"""A study on disk whose runs are written row by row, and trackers that misbehave, found by entry point."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from quadrat.core.verdicts import Status
from quadrat.journal.layout import RunFolder, StudyFolder
from quadrat.journal.process import ProcessId
from quadrat.journal.rewind import rewind
from quadrat.journal.seal import seal
from quadrat.journal.writer import RunWriter

GONE = ProcessId(pid=2**22 - 1, create_time=1.0, boot_id="another", host="elsewhere")


@dataclass
class Story:
    """One run that is being told: attempts begin, rows come, it ends or is lost."""

    folder: RunFolder
    writer: RunWriter
    attempt: int = 1

    def rows(self, *steps: int, scale: float = 1.0) -> Story:
        for step in steps:
            self.writer.metrics(step, {"train/loss": scale / step})
        return self

    def end(self, status: Status = Status.COMPLETED) -> Story:
        self.writer.finish(status)
        self.writer.close()
        seal(self.folder)
        return self

    def lose(self) -> Story:
        self.writer.close()
        return self

    def again(self, *, keep: int) -> Story:
        """The next attempt, from a checkpoint after ``keep`` rows."""
        lines = self.folder.metrics.read_bytes().splitlines(keepends=True)
        rewind(self.folder, len(b"".join(lines[:keep])), attempt=self.attempt)
        self.attempt += 1
        self.writer = begin(self.folder, self.attempt)
        return self


def begin(folder: RunFolder, attempt: int, *, process: ProcessId | None = None) -> RunWriter:
    writer = RunWriter(folder, attempt=attempt)
    told = (process or ProcessId.current()).as_dict()
    writer.event("started", process=told, resumed_from=None)
    stage = folder.path.parent.name if folder.path.parents[2].name == "results" else None
    writer.params({"attempt": attempt, "run": folder.name, "stage": stage, "arm": "plain", "seed_applied": 3})
    return writer


@dataclass(frozen=True)
class Study:
    """A study folder, and how to tell runs in it."""

    folder: StudyFolder

    def run(self, name: str = "L2_S0", *, config: str = "rate: 0.5\n", process: ProcessId | None = None) -> Story:
        run = RunFolder(self.folder.path / name)
        run.path.mkdir(parents=True)
        run.config.write_text(config, encoding="utf-8")
        return Story(run, begin(run, 1, process=process))


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """An empty study."""
    folder = StudyFolder(tmp_path, "demo")
    (folder.path / ".mirror").mkdir(parents=True)
    return Study(folder)


@pytest.fixture
def lost() -> ProcessId:
    """A process that is not alive."""
    return GONE


@pytest.fixture
def told() -> Callable[..., list[dict]]:
    """What the tracker ``plain`` was told of a run: first the facts, then rows, then the ending."""

    def read(study: Study, name: str = "L2_S0", sink: str = "plain") -> list[dict]:
        path = study.folder.path / f".{sink}" / f"{name.replace('/', '__')}.ndjson"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    return read


@pytest.fixture
def steps(told: Callable[..., list[dict]]) -> Callable[..., list[int]]:
    """The steps that arrived."""
    return lambda *words, **more: [line["step"] for line in told(*words, **more) if "step" in line]


MISBEHAVING = """
import os, time
from quadrat.testing.sinks import FileTracker
from quadrat.sinks.base import Tracker


class Bad(Tracker):
    @property
    def destination(self):
        return "nowhere"

    def resume(self, run, mark):
        return None


class Hanging(Bad):
    def open(self, run):
        time.sleep(600)


class Raising(Bad):
    def open(self, run):
        raise ConnectionError("no route to https://me:secret@example.org\\nand more")


class Dying(Bad):
    def open(self, run):
        os._exit(7)


class Needing(Raising):
    def __init__(self, home, *, patience):
        import a_package_that_is_not_there
"""


@pytest.fixture
def plug_ins(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PYTHONPATH with a distribution of trackers: plain, hanging, raising, dying, needing."""
    place = tmp_path_factory.mktemp("plug-ins")
    (place / "misbehaving.py").write_text(MISBEHAVING, encoding="utf-8")
    info = place / "misbehaving-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: misbehaving\nVersion: 1\n", encoding="utf-8")
    points = {"plain": "FileTracker", **{name: name.title() for name in ("hanging", "raising", "dying", "needing")}}
    lines = "".join(f"{name} = misbehaving:{member}\n" for name, member in points.items())
    (info / "entry_points.txt").write_text(f"[quadrat.sinks]\n{lines}", encoding="utf-8")
    return os.pathsep.join(filter(None, [str(place), os.environ.get("PYTHONPATH")]))


@pytest.fixture
def mirror_command() -> Callable[..., Sequence[str]]:
    """The command line of a mirror process."""

    def command(study: Study, *words: str) -> Sequence[str]:
        return [sys.executable, "-P", "-m", "quadrat.sinks.mirror", str(study.folder.path), *words]

    return command
