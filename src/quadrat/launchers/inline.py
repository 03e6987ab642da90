"""The launcher for looking closely: each job runs in this very process, one after the other."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import final

from quadrat.core.errors import UsageError
from quadrat.core.spec import Job
from quadrat.launchers.entry import add_to_log, put_on_path, run_entry


@final
@dataclass(frozen=True, slots=True)
class InlineHandle:
    """A job that has ended before anyone could hold its handle."""

    name: str
    code: int
    pid: None = None

    def poll(self) -> int | None:
        """The exit code."""
        return self.code

    def terminate(self) -> None:
        """Nothing: the job has ended."""

    def kill(self) -> None:
        """Nothing: the job has ended."""


@final
class InlineLauncher:
    """Runs a job's entry inside ``submit``: for debuggers, profilers, tests and places without processes.

    Standard output and error stay where they are, so that a person sees the prints and a debugger can ask
    questions; ``job.log`` receives only what would otherwise be lost, the traceback of a job that failed.
    Ctrl-C reaches the job like any other code. Numerical libraries are already loaded in this process, so
    ``resources.threads`` is the worker's to apply, and a crash of the interpreter takes everything along.
    However many ``slots`` are asked for, it offers one.
    """

    def __init__(self, *, slots: int = 1) -> None:
        if slots < 1:
            raise UsageError(f"a launcher needs at least one slot, not {slots}.", remedy="slots=1.")
        self.slots = 1
        self._closed = False

    def submit(self, job: Job) -> InlineHandle:
        """Run ``job`` to its end."""
        if self._closed:
            raise UsageError(f"job {job.name!r} was given to a launcher that is closed.")
        kept = list(sys.path)
        put_on_path(job.python_path)
        try:
            code = run_entry(job.entry, job.folder, complain=lambda text: add_to_log(job.log, text))
        finally:
            sys.path[:] = kept
        return InlineHandle(job.name, code)

    def wait(self, timeout: float) -> None:
        """Nothing to wait for: every job has ended."""

    def close(self) -> None:
        """Take no more jobs."""
        self._closed = True
