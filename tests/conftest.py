"""Shared ground of the tests: a laboratory in a temporary folder and the real command line in a subprocess."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

TOY = """\
study: toy
question: Does the slope that the toy finds come near the slope it was given?
hypothesis: Twenty steps of gradient descent bring it within a tenth.
trainable: quadrat.testing.toy:train
config: {{steps: {steps}}}
axes: {{rate: [0.1, 0.5]}}
seeds: [0, 1, 2]
name: R{{rate}}_S{{seed}}
checkpoint: {{every: 5 steps, keep: [last]}}
primary: [test/gap]
baseline: {{rate: 0.1}}
workers: 2
{more}
"""


def pytest_configure() -> None:
    """Hear Ctrl-C again: a suite started in the background of a script is deaf to it, and so are its children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Lab:
    """A root folder with a study in it, and the command line to work on it."""

    root: Path

    def write(self, *, steps: int = 20, more: str = "", name: str = "toy.yaml") -> Path:
        """Write the toy study; return its path."""
        path = self.root / name
        path.write_text(TOY.format(steps=steps, more=more), encoding="utf-8")
        return path

    def start(self, *words: str, **options: object) -> subprocess.Popen[str]:
        """Start ``quadrat WORDS`` and come back at once."""
        return subprocess.Popen(
            [sys.executable, "-m", "quadrat", *words],
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"},
            **options,
        )

    def quadrat(self, *words: str, code: int | None = 0, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run ``quadrat WORDS`` to its end and hold its exit code against ``code``."""
        process = self.start(*words)
        out, err = process.communicate(timeout=timeout)
        if code is not None:
            assert process.returncode == code, f"exit {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def run_folder(self, name: str, study: str = "toy") -> Path:
        """The folder of one run."""
        return self.root / "results" / study / name


@pytest.fixture(scope="session")
def make_lab() -> Callable[[Path], Lab]:
    """Makes a folder a laboratory with the toy study written."""

    def make(folder: Path) -> Lab:
        (folder / "quadrat.toml").write_text("", encoding="utf-8")
        lab = Lab(folder)
        lab.write()
        return lab

    return make


@pytest.fixture
def lab(tmp_path: Path, make_lab: Callable[[Path], Lab]) -> Lab:
    """A laboratory with the toy study written."""
    return make_lab(tmp_path)


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Wait until something holds, at most 60 seconds."""

    def wait(holds: Callable[[], bool]) -> None:
        until = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < until, "it never came to hold"
            time.sleep(0.02)

    return wait
