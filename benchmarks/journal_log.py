"""What a log call costs the training thread, whether a killed process loses rows, how fast runs are read back.

    python benchmarks/journal_log.py [--calls 10000] [--rounds 5] [--kills 20] [--runs 1000] [--steps 1000]

The bars: a row of 10 floats through ``RunWriter.metrics`` takes at most 6 us (median) and 60 us (99th
percentile) of the caller's time with the pulse running, and ``kill -9`` right after the last call returned
loses no row, 20 times of 20. Beside it, in turn in the same process: the floor (orjson and one write, nothing
else) and the standard library (json and a flushed line). Times are wall time as the caller feels them, so load
from others shows in the tails; the floor suffers from it alike.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import orjson

from quadrat.core.verdicts import Status
from quadrat.journal.layout import RunFolder
from quadrat.journal.ndjson import encode_metrics, read_rows
from quadrat.journal.reader import RunView
from quadrat.journal.writer import RunWriter

NAMES = [f"train/metric_{place}" for place in range(10)]
MEDIAN_BAR_US, TAIL_BAR_US = 6.0, 60.0

Log = Callable[[int, dict[str, float]], object]


@contextmanager
def floor(folder: Path) -> Iterator[Log]:
    descriptor = os.open(folder / "floor.ndjson", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    dumps, write, line = orjson.dumps, os.write, orjson.OPT_APPEND_NEWLINE
    yield lambda step, values: write(descriptor, dumps({"step": step, "metrics": values}, option=line))
    os.close(descriptor)


@contextmanager
def stdlib(folder: Path) -> Iterator[Log]:
    with (folder / "stdlib.ndjson").open("a") as file:

        def log(step: int, values: dict[str, float]) -> None:
            file.write(json.dumps({"step": step, "metrics": values}) + "\n")
            file.flush()

        yield log


@contextmanager
def journal(folder: Path) -> Iterator[Log]:
    path = folder / "run"
    path.mkdir(exist_ok=True)
    with RunWriter(RunFolder(path), attempt=1) as writer:
        writer.start_pulse()
        yield writer.metrics
        writer.finish(Status.COMPLETED)


@contextmanager
def journal_numpy(folder: Path) -> Iterator[Log]:
    """The same with float32 scalars, which must be converted one by one."""
    path = folder / "run32"
    path.mkdir(exist_ok=True)
    with RunWriter(RunFolder(path), attempt=1) as writer:
        writer.start_pulse()
        yield writer.metrics


def time_calls(log: Log, rows: list[dict[str, float]], pause: float) -> np.ndarray:
    clock, taken = time.perf_counter_ns, np.empty(len(rows))
    for step, values in enumerate(rows):
        start = clock()
        log(step, values)
        taken[step] = clock() - start
        if pause:
            time.sleep(pause)
    return taken / 1000


def show(name: str, rounds: list[np.ndarray]) -> tuple[float, float]:
    medians = [float(np.median(taken)) for taken in rounds]
    tails = [float(np.percentile(taken, 99)) for taken in rounds]
    median, tail = statistics.median(medians), statistics.median(tails)
    spread = f"[{min(medians):.2f}-{max(medians):.2f}]"
    print(f"| {name} | {len(rounds)} | {median:.2f} {spread} | {tail:.1f} [{min(tails):.1f}-{max(tails):.1f}] |")
    return median, tail


def log_calls(calls: int, rounds: int) -> bool:
    members = {
        "floor: orjson + one write": (floor, False, 0.0),
        "**RunWriter.metrics, pulse running**": (journal, False, 0.0),
        "the same, float32 scalars of numpy": (journal_numpy, True, 0.0),
        "json + flushed line": (stdlib, False, 0.0),
        "floor, a row each millisecond": (floor, False, 0.001),
        "RunWriter.metrics, a row each millisecond": (journal, False, 0.001),
    }
    taken: dict[str, list[np.ndarray]] = {name: [] for name in members}
    for _ in range(rounds):
        for name, (member, narrow, pause) in members.items():
            count = calls // 5 if pause else calls
            table = np.random.default_rng(0).random((count, len(NAMES)))
            numbers = list(table.astype(np.float32)) if narrow else table.tolist()
            rows = [dict(zip(NAMES, line, strict=True)) for line in numbers]
            with tempfile.TemporaryDirectory(dir=".") as folder, member(Path(folder)) as log:
                taken[name].append(time_calls(log, rows, pause))
    print("\n| 10 scalars a call | rounds | median us | p99 us |\n| --- | --- | --- | --- |")
    results = {name: show(name, rounds_) for name, rounds_ in taken.items()}
    median, tail = results["**RunWriter.metrics, pulse running**"]
    good = median <= MEDIAN_BAR_US and tail <= TAIL_BAR_US
    print(f"\nbar {MEDIAN_BAR_US:g} us median, {TAIL_BAR_US:g} us p99: {'met' if good else 'NOT MET'}")
    return good


DIES = """
import os, random, signal, sys, time
from pathlib import Path
from quadrat.journal.layout import RunFolder
from quadrat.journal.process import ProcessId
from quadrat.journal.writer import RunWriter
writer = RunWriter(RunFolder(Path(sys.argv[1])), attempt=1)
writer.event("started", process=ProcessId.current().as_dict())
writer.start_pulse()
pause, values = float(sys.argv[3]), {f"train/metric_{place}": random.random() for place in range(10)}
for step in range(int(sys.argv[2])):
    writer.metrics(step, values)
    if pause:
        time.sleep(pause)
os.kill(os.getpid(), signal.SIGKILL)
"""


def kill(tries: int) -> bool:
    good = True
    for words, rows, pause in (("at full speed", 3000, 0.0), ("10 ms apart", 100, 0.01)):
        kept = 0
        for _ in range(tries):
            with tempfile.TemporaryDirectory(dir=".") as folder:
                done = subprocess.run([sys.executable, "-c", DIES, folder, str(rows), str(pause)], check=False)
                found = read_rows(RunFolder(Path(folder)).metrics)
                whole = [row["step"] for row in found.rows] == list(range(rows)) and not found.torn
                lost = RunView(RunFolder(Path(folder))).status() is Status.LOST
                kept += done.returncode == -signal.SIGKILL and whole and lost and not found.damaged
        print(f"kill -9 after the last of {rows} rows {words}: no row lost and seen as lost, {kept} of {tries}")
        good = good and kept == tries
    return good


def read_back(runs: int, steps: int) -> None:
    root = Path(tempfile.mkdtemp(dir="."))
    try:
        generator = random.Random(0)
        lines = b"".join(encode_metrics(step, {n: generator.random() for n in NAMES}) for step in range(steps))
        folders = [RunFolder(root / f"run{place}") for place in range(runs)]
        for folder in folders:
            folder.path.mkdir()
            folder.metrics.write_bytes(lines)
        with RunWriter(folders[0], attempt=1) as writer:
            start = time.process_time()
            writer.finish(Status.COMPLETED)
            print(f"\nfinish of a run of {steps} rows: {1000 * (time.process_time() - start):.1f} ms of CPU")
        for folder in folders[1:]:
            shutil.copy(folders[0].metrics_json, folder.metrics_json)
        print(f"\n| {runs} runs x {steps} steps x 10 metrics, warm | CPU s | wall s |\n| --- | --- | --- |")
        for words, question in (
            ("series() of each", lambda view: view.series()),
            ("final() of each, from metrics.json", lambda view: view.final()),
            ("progress() of each", lambda view: view.progress()),
        ):
            wall, cpu = time.perf_counter(), time.process_time()
            for folder in folders:
                question(RunView(folder))
            print(f"| {words} | {time.process_time() - cpu:.2f} | {time.perf_counter() - wall:.2f} |")
    finally:
        shutil.rmtree(root)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, number in (("calls", 10_000), ("rounds", 5), ("kills", 20), ("runs", 1000), ("steps", 1000)):
        parser.add_argument(f"--{name}", type=int, default=number)
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}")
    good = log_calls(asked.calls, asked.rounds)
    print()
    good = kill(asked.kills) and good
    read_back(asked.runs, asked.steps)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
