"""Faults of the machine: processes that are killed, disks that are full. Real signals, real limits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quadrat.core.verdicts import Status
from quadrat.journal.layout import RunFolder
from quadrat.journal.ndjson import read_rows
from quadrat.journal.reader import RunView
from quadrat.journal.seal import verify

Execute = Callable[..., subprocess.CompletedProcess[str]]

START = """
import os, resource, signal, sys
from pathlib import Path
from quadrat.core.verdicts import Status
from quadrat.journal.layout import RunFolder
from quadrat.journal.process import ProcessId
from quadrat.journal.seal import seal
from quadrat.journal.writer import RunWriter
folder = RunFolder(Path(sys.argv[1]))
count = int(sys.argv[2])
writer = RunWriter(folder, attempt=1)
writer.event("started", process=ProcessId.current().as_dict())
VALUES = {f"train/metric_{place}": 0.1 * place for place in range(10)}
"""

KILLED = (
    START
    + """
writer.start_pulse()
for step in range(count):
    writer.metrics(step, VALUES)
os.kill(os.getpid(), signal.SIGKILL)
"""
)


@pytest.mark.parametrize("count", [1, 3000, 2345])
def test_killed_right_after_the_last_row_no_row_is_lost(folder: RunFolder, execute: Execute, count: int) -> None:
    done = execute(KILLED, folder.path, count)
    assert done.returncode == -signal.SIGKILL, done.stderr
    rows = read_rows(folder.metrics)
    assert [row["step"] for row in rows.rows] == list(range(count))
    assert (rows.torn, rows.damaged) == (False, 0)
    assert RunView(folder).status() is Status.LOST


FOR_EVER = (
    START
    + """
writer.start_pulse()
step = 0
while True:
    writer.metrics(step, VALUES)
    step += 1
    sys.stdout.write(f"{step}\\n")
    sys.stdout.flush()
"""
)


def test_killed_at_any_moment_every_row_that_was_logged_is_there(folder: RunFolder) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FOR_EVER, folder.path, "0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("500"):
                break
        assert RunView(folder).status() is Status.RUNNING
        process.send_signal(signal.SIGKILL)
        told = [int(line) for line in process.stdout.read().splitlines() if line]
    rows = read_rows(folder.metrics)
    assert len(rows.rows) >= told[-2] if len(told) > 1 else 500
    assert [row["step"] for row in rows.rows] == list(range(len(rows.rows)))
    assert rows.damaged == 0
    assert RunView(folder).status() is Status.LOST


LIMITED = (
    START
    + """
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
writer.start_pulse()
for step in range(count):
    writer.metrics(step, VALUES)
full = folder.metrics.stat().st_size
whole = folder.metrics.read_bytes().endswith(b"\\n")
if sys.argv[3] == "recover":
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    writer.metrics(count, VALUES)
    writer.sync()
    writer.finish(Status.COMPLETED)
writer.close()
print(full, whole, writer.dropped)
if sys.argv[3] == "recover":
    seal(folder)
"""
)


def test_a_file_that_may_not_grow_costs_nothing_when_it_may_again(folder: RunFolder, execute: Execute) -> None:
    done = execute(LIMITED, folder.path, 1000, "recover")
    assert done.returncode == 0, done.stderr
    full, whole, dropped = done.stdout.split()
    assert int(full) <= 10_000
    assert (whole, dropped) == ("True", "0")
    rows = read_rows(folder.metrics)
    assert [row["step"] for row in rows.rows] == list(range(1001))
    assert (rows.torn, rows.damaged) == (False, 0)
    assert done.stderr.count("warning:") == 1
    assert "training goes on" in done.stderr
    assert len([row for row in read_rows(folder.events).rows if row["event"] == "warning"]) == 1
    assert RunView(folder).status() is Status.COMPLETED
    assert verify(folder) == []


WAITS = (
    START
    + """
import time
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
writer.start_pulse()
for step in range(count):
    writer.metrics(step, VALUES)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
until = time.monotonic() + 20
while folder.metrics.read_bytes().count(b"\\n") < count and time.monotonic() < until:
    time.sleep(0.05)
os.kill(os.getpid(), signal.SIGKILL)
"""
)


def test_the_pulse_writes_what_waits_without_another_row(folder: RunFolder, execute: Execute) -> None:
    execute(WAITS, folder.path, 100)
    assert [row["step"] for row in read_rows(folder.metrics).rows] == list(range(100))


THREADS = """
import resource, sys, threading, time
from pathlib import Path
from quadrat.journal.ndjson import Appender
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
appender = Appender(Path(sys.argv[1]))
sys.setswitchinterval(1e-6)
def work(who):
    for count in range(4000):
        appender.append(b'{"who":%d,"count":%d}\\n' % (who, count))
threads = [threading.Thread(target=work, args=(who,)) for who in range(6)]
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    resource.setrlimit(resource.RLIMIT_FSIZE, (appender.offset + 500, hard))
    time.sleep(0.002)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    time.sleep(0.002)
appender.sync()
appender.close()
print(appender.offset, appender.error is not None)
"""


def test_threads_lose_and_double_nothing_while_room_comes_and_goes(tmp_path: Path, execute: Execute) -> None:
    done = execute(THREADS, tmp_path / "rows")
    assert done.stdout.split() == [str((tmp_path / "rows").stat().st_size), "True"], done.stderr
    rows = read_rows(tmp_path / "rows")
    assert (rows.torn, rows.damaged) == (False, 0)
    for who in range(6):
        assert [row["count"] for row in rows.rows if row["who"] == who] == list(range(4000))


def test_rows_that_never_found_room_are_counted(folder: RunFolder, execute: Execute) -> None:
    done = execute(LIMITED, folder.path, 200, "stay full")
    assert done.returncode == 0, done.stderr
    dropped = int(done.stdout.split()[2])
    rows = read_rows(folder.metrics)
    assert (rows.torn, rows.damaged) == (False, 0)
    assert len(rows.rows) + dropped == 200
    assert done.stderr.count("warning:") == 1


def test_a_backlog_beyond_its_limit_is_counted_and_kept_in_the_verdict(folder: RunFolder, execute: Execute) -> None:
    done = execute(LIMITED, folder.path, 60_000, "recover")
    assert done.returncode == 0, done.stderr
    dropped = int(done.stdout.split()[2])
    rows = read_rows(folder.metrics)
    assert dropped > 0
    assert len(rows.rows) + dropped == 60_001
    assert rows.damaged == 0
    assert len(rows.rows) * 300 > 8 << 20
    assert RunView(folder).damage() == [f"metrics.ndjson: {dropped} rows were lost when they could not be written"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(["mount", *options], capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk can only be mounted by root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


FULL_DISK = (
    START
    + """
import time
writer.start_pulse()
ballast = folder.path.parent / "ballast"
with ballast.open("wb", buffering=0) as file:
    try:
        while file.write(b"x" * 4096):
            pass
    except OSError:
        pass
slowest = 0.0
for step in range(count):
    before = time.perf_counter()
    writer.metrics(step, VALUES)
    slowest = max(slowest, time.perf_counter() - before)
failed = ""
try:
    writer.finish(Status.COMPLETED)
except OSError as error:
    failed = error.strerror
ballast.unlink()
writer.metrics(count, VALUES)
writer.finish(Status.COMPLETED)
seal(folder)
print(failed, slowest < 1.0, writer.dropped, sep=";")
"""
)


def test_on_a_full_disk_training_goes_on_and_the_rows_follow(small_disk: Path, execute: Execute) -> None:
    folder = RunFolder(small_disk / "run")
    folder.path.mkdir()
    done = execute(FULL_DISK, folder.path, 500)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "No space left on device;True;0"
    rows = read_rows(folder.metrics)
    assert [row["step"] for row in rows.rows] == list(range(501))
    assert (rows.torn, rows.damaged) == (False, 0)
    assert done.stderr.count("warning:") == 1
    assert RunView(folder).status() is Status.COMPLETED
    assert verify(folder) == []
    assert not list(folder.path.glob(".quadrat-*"))


WITHOUT_DISK = """
import json, sys
from pathlib import Path
from quadrat.journal.ndjson import Appender
path = Path(sys.argv[1])
told = []
appender = Appender(path, on_trouble=told.append)
for place in range(200):
    appender.append(b'{"place":%d}\\n' % place)
appender.sync()
print(json.dumps({"told": told, "waiting": appender.waiting, "error": str(appender.error)}))
appender.close()
"""


def traced(path: Path, rule: str) -> tuple[dict[str, Any], int]:
    """Run the little writer while the system is made to fail as ``rule`` says."""
    command = ["strace", "-f", "-o", "/dev/null", "-P", str(path), "-e", f"inject={rule}"]
    done = subprocess.run(
        [*command, sys.executable, "-c", WITHOUT_DISK, str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0 and "ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    return json.loads(done.stdout) if done.stdout else {}, done.returncode


@pytest.mark.skipif(not any(Path(place, "strace").exists() for place in os.get_exec_path()), reason="needs strace")
def test_a_disk_that_fails_to_flush_is_told_once_and_raises_nothing(tmp_path: Path) -> None:
    said, code = traced(tmp_path / "rows", "fdatasync:error=EIO")
    assert code == 0
    assert len(said["told"]) == 1
    assert "Input/output error" in said["told"][0]
    assert len(read_rows(tmp_path / "rows").rows) == 200


@pytest.mark.skipif(not any(Path(place, "strace").exists() for place in os.get_exec_path()), reason="needs strace")
def test_one_write_that_fails_costs_no_row(tmp_path: Path) -> None:
    said, code = traced(tmp_path / "rows", "write:error=ENOSPC:when=50")
    assert code == 0
    assert len(said["told"]) == 1
    assert said["waiting"] == 0
    assert [row["place"] for row in read_rows(tmp_path / "rows").rows] == list(range(200))
