"""The pulse: it beats, and it can do the run no harm."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from quadrat.core.verdicts import Status
from quadrat.journal import pulse as pulse_module
from quadrat.journal.layout import RunFolder
from quadrat.journal.ndjson import read_rows
from quadrat.journal.pulse import Pulse
from quadrat.journal.writer import RunWriter

Eventually = Callable[[Callable[[], bool]], None]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse_module, "BEAT_SECONDS", 0.01)


@pytest.mark.usefixtures("quick")
def test_what_the_calls_raise_does_not_end_the_pulse(eventually: Eventually) -> None:
    beats: list[float] = []

    def beat() -> None:
        beats.append(time.monotonic())
        raise OSError("disk full")

    def flush() -> None:
        raise ValueError

    pulse = Pulse(beat, flush)
    pulse.start()
    eventually(lambda: len(beats) > 5)
    assert pulse.stop()
    count = len(beats)
    time.sleep(0.05)
    assert len(beats) == count


@pytest.mark.usefixtures("quick")
def test_flushes_are_every_other_beat(eventually: Eventually) -> None:
    calls: list[str] = []
    pulse = Pulse(lambda: calls.append("beat"), lambda: calls.append("flush"))
    pulse.start()
    eventually(lambda: len(calls) >= 6)
    pulse.stop()
    assert calls[:6] == ["beat", "beat", "flush"] * 2


@pytest.mark.usefixtures("quick")
def test_a_disk_that_hangs_does_not_hang_the_run(monkeypatch: pytest.MonkeyPatch, eventually: Eventually) -> None:
    monkeypatch.setattr(pulse_module, "_PATIENCE_SECONDS", 0.05)
    inside, release = threading.Event(), threading.Event()

    def beat() -> None:
        inside.set()
        release.wait()

    pulse = Pulse(beat, lambda: None)
    pulse.start()
    eventually(inside.is_set)
    before = time.monotonic()
    assert not pulse.stop()
    assert time.monotonic() - before < 2
    release.set()


def test_stop_before_start_is_fine() -> None:
    assert Pulse(lambda: None, lambda: None).stop()


def test_a_heartbeat_a_second_with_what_the_process_uses(folder: RunFolder, eventually: Eventually) -> None:
    with RunWriter(folder, attempt=1) as writer:
        writer.metrics(41, {"a": 1.0})
        writer.start_pulse()
        writer.start_pulse()
        eventually(lambda: len(read_rows(folder.events).rows) >= 2)
        writer.finish(Status.COMPLETED)
    *beats, finished = read_rows(folder.events).rows
    assert finished["event"] == "finished"
    assert {row["event"] for row in beats} == {"heartbeat"}
    assert beats[0]["step"] == 41
    assert 0 < beats[0]["cpu_s"] < 10_000
    assert 1 << 20 < beats[0]["rss"] < 1 << 40
    seconds = [float(row["time"][17:23]) for row in beats[:2]]
    assert 0.9 < (seconds[1] - seconds[0]) % 60 < 5
    assert not any(thread.name == "quadrat-pulse" for thread in threading.enumerate())


def test_no_descriptor_stays_open(folder: RunFolder) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with RunWriter(folder, attempt=1) as writer:
            writer.start_pulse()
            writer.stop_pulse()
            writer.start_pulse()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def _in_child(path: Path) -> None:
    with RunWriter(RunFolder(path), attempt=1) as writer:
        writer.start_pulse()
        time.sleep(1.3)
        writer.finish(Status.COMPLETED)


def test_it_beats_in_a_forked_process(folder: RunFolder) -> None:
    child = multiprocessing.get_context("fork").Process(target=_in_child, args=(folder.path,))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert [row["event"] for row in read_rows(folder.events).rows] == ["heartbeat", "finished"]
