"""Fixtures for the journal's tests: a run folder, a complete run, programs that die."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from quadrat.core.verdicts import Status
from quadrat.journal.layout import RunFolder
from quadrat.journal.process import ProcessId
from quadrat.journal.seal import seal
from quadrat.journal.writer import RunWriter

Execute = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """An empty run folder in its place under ``results/``."""
    path = tmp_path / "results" / "demo" / "L2_S0"
    path.mkdir(parents=True)
    return RunFolder(path)


@pytest.fixture
def finished(folder: RunFolder) -> RunFolder:
    """A complete, sealed run of three rows."""
    write_run(folder, rows=3)
    return folder


def write_run(folder: RunFolder, *, rows: int, status: Status = Status.COMPLETED) -> None:
    folder.config.write_text("depth: 2\nrate: 0.001\n")
    (folder.path / "artifacts").mkdir(exist_ok=True)
    (folder.path / "artifacts" / "answers.jsonl").write_text('{"a": 1}\n')
    with RunWriter(folder, attempt=1) as writer:
        writer.event("started", process=ProcessId.current().as_dict(), resumed_from=None)
        writer.params(
            {
                "schema": 1,
                "attempt": 1,
                "study": "demo",
                "stage": None,
                "arm": "plain",
                "run": folder.name,
                "point": {"depth": 2},
                "seed_requested": 0,
                "seed_applied": 0,
            }
        )
        writer.event("note", kind="derived", data={"total_steps": 30, "parameter_count": 7})
        for step in range(1, rows + 1):
            writer.metrics(step * 10, {"train/loss": 1.0 / step, "val/acc": 0.1 * step})
        writer.finish(status)
    seal(folder)


@pytest.fixture
def execute(tmp_path: Path) -> Execute:
    """Run a program in a process of its own; the result holds its output and how it ended."""

    def run(code: str, *arguments: object, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=False,
        )

    return run
