"""Reading a run: complete, running, dead, moved, damaged."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quadrat.core.verdicts import Status
from quadrat.journal import reader
from quadrat.journal.layout import RunFolder
from quadrat.journal.process import ProcessId, create_time
from quadrat.journal.reader import Progress, RunView
from quadrat.journal.rewind import rewind
from quadrat.journal.seal import seal
from quadrat.journal.writer import RunWriter


def test_a_complete_run_says_everything(finished: RunFolder) -> None:
    view = RunView(finished)
    assert view.name == "L2_S0"
    assert view.path == finished.path
    assert view.stage is None
    assert view.status() is Status.COMPLETED
    assert view.config() == {"depth": 2, "rate": 0.001}
    assert [row["attempt"] for row in view.attempts()] == [1]
    assert view.point() == {"depth": 2}
    assert view.arm() == "plain"
    assert view.seed() == 0
    assert view.series()["train/loss"].values.tolist() == [1.0, 0.5, 1.0 / 3]
    assert view.series()["train/loss"].steps.tolist() == [10, 20, 30]
    assert view.final() == {"train/loss": 1.0 / 3, "val/acc": pytest.approx(0.3)}
    assert view.summary()["rows"] == 3
    assert [event["event"] for event in view.events()] == ["started", "note", "finished"]
    assert view.derived() == {"total_steps": 30, "parameter_count": 7}
    verdict = view.verdict()
    assert verdict is not None
    assert verdict["status"] == "completed"
    assert view.error() is None
    assert view.damage() == []
    progress = view.progress()
    assert (progress.step, progress.total, progress.cpu_s, progress.rss) == (30, 30, None, None)
    assert progress.heartbeat_age is not None
    assert 0 <= progress.heartbeat_age < 60


def test_an_empty_folder_is_a_pending_run(tmp_path: Path) -> None:
    view = RunView(RunFolder(tmp_path / "gone"))
    assert view.status() is Status.PENDING
    assert (view.config(), view.attempts(), view.series(), view.final(), view.events()) == ({}, [], {}, {}, [])
    assert (view.point(), view.arm(), view.seed(), view.derived(), view.stage) == ({}, None, None, {}, None)
    assert (view.verdict(), view.error(), view.damage()) == (None, None, [])
    assert view.progress() == Progress(step=0, total=None, heartbeat_age=None, cpu_s=None, rss=None)


def test_the_stage_is_as_recorded_or_as_its_place_says(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "results" / "demo" / "overfit" / "A_S0")
    run.path.mkdir(parents=True)
    assert RunView(run).stage == "overfit"
    run.params.write_text('{"attempt": 1, "stage": "generalize"}\n')
    assert RunView(run).stage == "generalize"
    run.params.write_text('{"attempt": 1, "stage": null}\n')
    assert RunView(run).stage is None


# Status


def started(folder: RunFolder, process: Any, *, age: float = 0.0, beat_age: float | None = None) -> RunView:
    rows: list[dict[str, Any]] = [{"event": "started", "time": _ago(age), "attempt": 1, "process": process}]
    if beat_age is not None:
        rows.append({"event": "heartbeat", "time": _ago(beat_age), "attempt": 1, "step": 3})
    folder.events.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))
    return RunView(folder)


def _ago(seconds: float) -> str:
    moment = datetime.now(UTC) - timedelta(seconds=seconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_a_living_process_is_running_however_old_its_sign_of_life(folder: RunFolder) -> None:
    assert started(folder, ProcessId.current().as_dict(), age=7200).status() is Status.RUNNING


def test_a_dead_process_is_lost_at_once(folder: RunFolder) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    began = create_time(child.pid)
    assert began is not None
    view = started(folder, replace(ProcessId.current(), pid=child.pid, create_time=began).as_dict())
    assert view.status() is Status.RUNNING
    child.kill()
    child.wait()
    child.communicate()
    assert view.status() is Status.LOST


def test_a_number_reused_by_a_stranger_is_lost(folder: RunFolder) -> None:
    me = ProcessId.current()
    assert started(folder, replace(me, create_time=me.create_time - 5).as_dict()).status() is Status.LOST


def test_on_another_host_the_sign_of_life_decides(folder: RunFolder) -> None:
    away = replace(ProcessId.current(), host="elsewhere", boot_id="b").as_dict()
    assert started(folder, away, age=7200, beat_age=5).status() is Status.RUNNING
    assert started(folder, away, age=7200, beat_age=61).status() is Status.LOST
    assert started(folder, away, age=7200, beat_age=-86400).status() is Status.LOST  # its clock is a day ahead
    assert started(folder, away, age=1).status() is Status.RUNNING


def test_after_a_restart_of_this_machine_it_is_lost(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    before = replace(ProcessId.current(), boot_id="00000000-0000-0000-0000-000000000000").as_dict()
    monkeypatch.setattr(reader, "boot_time", lambda: time.time() - 20)
    assert started(folder, before, age=120, beat_age=30).status() is Status.LOST
    # A machine of the same name that lives: its sign of life is younger than our start.
    assert started(folder, before, age=120, beat_age=10).status() is Status.RUNNING


@pytest.mark.parametrize("process", [None, 3, {}, {"pid": "x"}, {"pid": 1, "create_time": 1}])
def test_a_start_without_a_process_is_lost(folder: RunFolder, process: Any) -> None:
    assert started(folder, process).status() is Status.LOST


def test_the_last_start_counts(folder: RunFolder) -> None:
    me = ProcessId.current()
    dead = replace(me, create_time=me.create_time - 5)
    with RunWriter(folder, attempt=1) as writer:
        writer.event("started", process=dead.as_dict())
        writer.event("note", kind="k", data={"event": "started"})
    assert RunView(folder).status() is Status.LOST
    writer = RunWriter(folder, attempt=2)
    writer.event("started", process=me.as_dict())
    assert RunView(folder).status() is Status.RUNNING
    writer.close()
    assert RunView(folder).status() is Status.LOST  # this process lives on, but left the attempt unfinished


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.STOPPED, Status.FAILED, Status.PREEMPTED])
def test_a_sealed_verdict_is_the_status(folder: RunFolder, status: Status) -> None:
    with RunWriter(folder, attempt=1) as writer:
        writer.event("started", process=ProcessId.current().as_dict())
        writer.finish(status)
    assert RunView(folder).status() is Status.RUNNING  # not sealed yet, and the process lives
    seal(folder)
    assert RunView(folder).status() is status


def test_the_error_of_a_failed_run(folder: RunFolder) -> None:
    error = {"type": "ValueError", "message": "m", "traceback": "t", "where": "f:1"}
    with RunWriter(folder, attempt=1) as writer:
        writer.finish(Status.FAILED, error=error)
    assert RunView(folder).error() == error


# Values


def test_names_of_non_finite_numbers_are_floats(folder: RunFolder) -> None:
    with RunWriter(folder, attempt=1) as writer:
        writer.metrics(1, {"a": math.nan, "b": math.inf})
        running = RunView(folder).final()
        writer.finish(Status.COMPLETED)
    for final in (running, RunView(folder).final()):
        assert math.isnan(final["a"])
        assert final["b"] == math.inf


def test_a_running_run_has_sums_of_its_rows_so_far(folder: RunFolder) -> None:
    writer = RunWriter(folder, attempt=1)
    for step in range(5):
        writer.metrics(step, {"a": float(step)})
    view = RunView(folder)
    assert view.final() == {"a": 4.0}
    assert view.summary()["summary"]["a"]["mean"] == 2.0
    writer.close()


def test_derived_parameters_of_later_attempts_win(folder: RunFolder) -> None:
    with RunWriter(folder, attempt=1) as writer:
        writer.params({"attempt": 1, "derived": {"a": 1, "b": 1}})
        writer.event("note", kind="derived", data={"b": 2})
        writer.event("note", kind="other", data={"b": 3})
        writer.event("note", kind="derived", data={"c": 4})
    assert RunView(folder).derived() == {"a": 1, "b": 2, "c": 4}


def test_progress_reads_the_ends_of_the_files_only(folder: RunFolder) -> None:
    with RunWriter(folder, attempt=1) as writer:
        writer.event("note", kind="derived", data={"total_steps": 200_000})
        for step in range(100_000):
            writer.metrics(step, {"train/loss": 0.5, "train/accuracy": 0.25})
        for beat in range(3000):
            writer.event("heartbeat", step=beat, cpu_s=beat / 2, rss=1000 + beat)
    best = math.inf
    for _ in range(5):
        before = time.process_time()
        progress = RunView(folder).progress()
        best = min(best, time.process_time() - before)
    assert (progress.step, progress.total, progress.cpu_s, progress.rss) == (99_999, 200_000, 1499.5, 3999)
    assert best < 0.02  # reading all of it takes about 0.3 s


def test_progress_falls_back_on_the_heartbeat(folder: RunFolder) -> None:
    with RunWriter(folder, attempt=1) as writer:
        writer.metrics(5, {f"m{place}": 1.0 for place in range(10_000)})
        writer.event("heartbeat", step=5, cpu_s=1, rss=2)
    assert RunView(folder).progress().step == 5


# Elsewhere, read-only


def test_a_moved_run_reads_the_same(finished: RunFolder, tmp_path: Path) -> None:
    before = RunView(finished)
    moved = RunView(RunFolder(tmp_path / "usb" / "disk" / "L2_S0"))
    expected = (before.final(), before.point(), before.stage, before.events(), before.damage())
    shutil.move(finished.path, moved.path)
    assert moved.status() is Status.COMPLETED
    assert (moved.final(), moved.point(), moved.stage, moved.events(), moved.damage()) == expected
    assert str(tmp_path) not in "".join(path.read_text() for path in moved.path.rglob("*") if path.is_file()), (
        "a path of this machine is kept in the run"
    )


READS_ALL = """
import sys, os
from pathlib import Path
from quadrat.journal.layout import RunFolder
from quadrat.journal.reader import RunView
from quadrat.journal.seal import verify
os.setgroups([]); os.setgid(65534); os.setuid(65534)
folder = RunFolder(Path(sys.argv[1]))
try:
    (folder.path / "probe").touch()
except PermissionError:
    pass
else:
    raise SystemExit("the folder was writable")
view = RunView(folder)
assert view.damage() == [] and verify(folder) == []
print(view.status(), view.progress().step, len(view.series()))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_run_that_may_not_be_written_is_read(finished: RunFolder, tmp_path: Path) -> None:
    # pytest's folders are private, so a copy is read; the program must import before it gives up its rights.
    public = Path(f"/tmp/quadrat-readonly-{os.getpid()}")
    try:
        shutil.copytree(finished.path, public)
        for path in [public, *public.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        # Interpreters and packages may lie where another user cannot read: imports come first in the program.
        code = READS_ALL.replace(
            "os.setgroups", "import ruamel.yaml, psutil; RunView(RunFolder(Path('/x'))).config(); os.setgroups"
        )
        done = subprocess.run([sys.executable, "-c", code, public], capture_output=True, text=True, check=False)
        assert (done.stdout, done.stderr) == ("completed 30 2\n", "")
    finally:
        shutil.rmtree(public, ignore_errors=True)


# Damage


def all_answers(view: RunView) -> list[Any]:
    questions: list[Callable[[], Any]] = [
        view.status,
        view.config,
        view.attempts,
        view.point,
        view.arm,
        view.seed,
        view.series,
        view.final,
        view.summary,
        view.events,
        view.derived,
        view.verdict,
        view.error,
        view.progress,
        view.damage,
    ]
    return [*[question() for question in questions], view.stage, view.name]


NAMES = (
    "config.yaml",
    "params.ndjson",
    "metrics.ndjson",
    "events.ndjson",
    "metrics.json",
    "verdict.json",
    "manifest.json",
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["binary", "link", "folder", "wrong shape", "locked pipe"])
def test_any_damaged_file_is_named_and_nothing_is_raised(finished: RunFolder, name: str, kind: str) -> None:
    path = finished.path / name
    path.unlink()
    match kind:
        case "binary":
            path.write_bytes(bytes(range(256)) * 50 + b"\n\x00\n")
        case "link":
            path.symlink_to("/etc/hostname")
        case "folder":
            path.mkdir()
        case "locked pipe":
            os.mkfifo(path)
        case _:
            path.write_text('[3, {"a": null}]\n')
    view = RunView(finished)
    answers = all_answers(view)
    assert socket.gethostname() not in str(answers[:2])
    # A config that is a list is an empty config; every other damage is named with its file.
    named = [line for line in view.damage() if line.startswith(name)]
    assert named or (name == "config.yaml" and kind == "wrong shape")


def test_torn_and_damaged_rows_are_counted_by_line(finished: RunFolder) -> None:
    lines = finished.metrics.read_bytes().splitlines(keepends=True)
    finished.metrics.write_bytes(lines[0] + b'{"step":1{"step":2}\n' + b"".join(lines[1:]) + b"\0" * 512)
    view = RunView(finished)
    assert view.damage() == [
        "metrics.ndjson: 1 damaged lines (line 2)",
        "metrics.ndjson: torn at its end, after 3 good rows",
    ]
    assert len(view.series()["train/loss"]) == 3


def test_rows_that_are_no_metrics_are_counted(finished: RunFolder) -> None:
    with finished.metrics.open("ab") as file:
        file.write(b'{"step":"x","metrics":{}}\n{"step":99,"metrics":{"train/loss":"high","val/acc":1.0}}\n')
    view = RunView(finished)
    assert view.damage() == ["metrics.ndjson: 2 rows or values are no metrics"]
    assert view.series()["val/acc"].steps.tolist() == [10, 20, 30, 99]
    assert view.series()["train/loss"].steps.tolist() == [10, 20, 30]


def test_a_sealed_run_without_a_readable_verdict_is_lost(finished: RunFolder) -> None:
    finished.verdict.write_text('{"status": "wonderful"}')
    assert RunView(finished).status() is Status.LOST
    assert "verdict.json: the run is sealed but names no known status" in RunView(finished).damage()
    rewind(finished, 0, attempt=1)
    assert (finished.attempts / "1" / "verdict.json").exists()


def test_rows_that_were_lost_on_a_full_disk_are_damage(finished: RunFolder) -> None:
    verdict = json.loads(finished.verdict.read_text())
    finished.verdict.write_text(json.dumps({**verdict, "lost_rows": 12}))
    assert RunView(finished).damage() == ["metrics.ndjson: 12 rows were lost when they could not be written"]


def test_random_damage_never_raises(finished: RunFolder, tmp_path: Path) -> None:
    generator = random.Random(1)
    for trial in range(60):
        copy = RunFolder(tmp_path / f"copy{trial}")
        shutil.copytree(finished.path, copy.path)
        for _ in range(generator.randint(1, 6)):
            path = copy.path / generator.choice(NAMES)
            data = bytearray(path.read_bytes())
            place = generator.randrange(len(data) + 1)
            match generator.randrange(3):
                case 0:
                    del data[place:]
                case 1:
                    data[place:place] = generator.randbytes(8)
                case _:
                    data[place : place + 1] = generator.choice([b"\n", b"\0", b"{", b'"', b"9", b"-"])
            path.write_bytes(data)
        all_answers(RunView(copy))
