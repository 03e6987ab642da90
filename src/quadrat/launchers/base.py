"""What a launcher is: it is given jobs and says how each one ended. It never sees what a job computes."""

from __future__ import annotations

from typing import Protocol

from quadrat.core.spec import Job


class Handle(Protocol):
    """One job that was submitted.

    ``terminate`` and ``kill`` may be called at any time, any number of times; on a job that has ended they
    do nothing.
    """

    @property
    def name(self) -> str:
        """The job's name."""
        ...

    @property
    def pid(self) -> int | None:
        """The process of the job, once it runs in a process of its own."""
        ...

    def poll(self) -> int | None:
        """The exit code when the job has ended, None before; never waits.

        A job that died by signal *n* has the code ``-n``, as in ``subprocess``.
        """
        ...

    def terminate(self) -> None:
        """Ask the job to stop (SIGTERM to its main process, which may still save its work)."""
        ...

    def kill(self) -> None:
        """End the job and all that it started, now (SIGKILL)."""
        ...


class Launcher(Protocol):
    """A place where jobs run."""

    @property
    def slots(self) -> int:
        """How many jobs may run at the same time. More may be submitted; they wait their turn."""
        ...

    def submit(self, job: Job) -> Handle:
        """Start ``job``, or queue it when every slot is taken.

        A job that cannot run is not an error here: it ends with an exit code and says why in ``job.log``.

        Raises:
            UsageError: the launcher can never run such a job, or is closed.
        """
        ...

    def wait(self, timeout: float) -> None:
        """Sleep until a job may have ended, at most ``timeout`` seconds: what to do between two polls."""
        ...

    def close(self) -> None:
        """End whatever still runs, within seconds, and leave no process behind. May be called twice."""
        ...
