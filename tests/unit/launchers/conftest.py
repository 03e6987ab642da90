from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import psutil
import pytest

from quadrat.core.spec import Job, Resources
from quadrat.launchers.pool import PoolHandle, PoolLauncher


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A folder for modules that the jobs of a test can import."""
    folder = tmp_path / "beside"
    folder.mkdir()
    return folder


@pytest.fixture
def make_job(tmp_path: Path, beside: Path) -> Callable[..., Job]:
    """A job whose entry is ``def go(folder)`` with the source given."""

    def make(
        name: str,
        source: str = "return 0",
        *,
        preload: tuple[str, ...] = (),
        resources: Resources | None = None,
    ) -> Job:
        body = "\n".join(f"    {line}" for line in dedent(source).strip().splitlines())
        (beside / f"entry_{name}.py").write_text(f"import os, signal, sys, time\ndef go(folder):\n{body}\n")
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        return Job(
            name=name,
            folder=folder,
            command=(),
            entry=f"entry_{name}:go",
            log=folder / "job.log",
            resources=resources or Resources(),
            preload=preload,
            python_path=(str(beside),),
        )

    return make


@pytest.fixture
def make_pool() -> Iterator[Callable[..., PoolLauncher]]:
    made: list[PoolLauncher] = []

    def make(*, slots: int = 2) -> PoolLauncher:
        made.append(PoolLauncher(slots=slots))
        return made[-1]

    yield make
    for pool in made:
        pool.close(grace=0.2)


@pytest.fixture
def outcome() -> Callable[..., int]:
    """Waits for a job of a pool and gives its exit code."""

    def wait(pool: PoolLauncher, handle: PoolHandle, *, within: float = 30.0) -> int:
        deadline = time.monotonic() + within
        while (code := handle.poll()) is None:
            assert time.monotonic() < deadline, f"{handle.name} has not ended within {within} s"
            pool.wait(0.5)
        return code

    return wait


@pytest.fixture
def process_of() -> Callable[..., int]:
    """Waits until a job of a pool is known to run and gives its process."""

    def wait(pool: PoolLauncher, handle: PoolHandle, *, within: float = 30.0) -> int:
        deadline = time.monotonic() + within
        while handle.pid is None:
            assert time.monotonic() < deadline, f"{handle.name} has not begun within {within} s"
            pool.wait(0.1)
        return handle.pid

    return wait


@pytest.fixture
def appears() -> Callable[..., str]:
    """Waits for a file with something in it and gives its text."""

    def wait(path: Path, *, within: float = 30.0) -> str:
        deadline = time.monotonic() + within
        while not (path.exists() and path.read_text()):
            assert time.monotonic() < deadline, f"{path} has not come within {within} s"
            time.sleep(0.005)
        return path.read_text()

    return wait


@pytest.fixture
def gone() -> Callable[..., float]:
    """Waits until none of the processes lives (a zombie does not) and gives the seconds it took."""

    def wait(*pids: int, within: float = 5.0) -> float:
        began = time.monotonic()
        while alive := [pid for pid in pids if _lives(pid)]:
            took = time.monotonic() - began
            assert took < within, f"{[psutil.Process(pid).cmdline() for pid in alive]} still live after {took:.1f} s"
            time.sleep(0.01)
        return time.monotonic() - began

    def _lives(pid: int) -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        return False

    return wait


@pytest.fixture
def open_files() -> Callable[[], int]:
    return lambda: len(os.listdir("/proc/self/fd"))  # noqa: PTH208
