"""The worker: carries out one work order from start to seal. ``python -m quadrat.run.worker JOBFOLDER``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

from quadrat.core.errors import QuadratError, StoreError
from quadrat.core.verdicts import Status
from quadrat.run import order
from quadrat.run.attempt import Attempt
from quadrat.run.loop import Ending, describe
from quadrat.run.stopping import Stop, listening

EXIT: Final = {
    Status.COMPLETED: 0,
    Status.FAILED: 1,
    Status.STOPPED: 4,
    Status.PREEMPTED: 75,
}


def work(job: Path) -> int:
    """Do what the job folder says; return the exit code. Never raises for what science does.

    Exit codes: 0 completed, 1 failed, 4 stopped by a rule, 5 the store could not be read or written, 75
    preempted.
    """
    try:
        return _work(job.resolve())
    except QuadratError as error:
        print(error.paragraph(), file=sys.stderr, flush=True)
        return error.exit_code
    except OSError as error:
        problem = StoreError(f"the run could not be written: {error}.", where=job.name, remedy="free some space.")
        print(problem.paragraph(), file=sys.stderr, flush=True)
        return problem.exit_code


def _work(job: Path) -> int:
    told, stop = order.read(job), Stop()
    with listening(stop):
        attempt = Attempt(told, job, stop=stop)
        try:
            return EXIT[attempt.close(_drive(attempt))]
        finally:
            attempt.leave()


def _drive(attempt: Attempt) -> Ending:
    try:
        ready = attempt.make_ready()
    except Exception as error:  # what fails before science begins is a failed run like any other
        return Ending(Status.FAILED, 0, error=describe(error))
    return ready.loop.drive(ready.trainable.train(ready.config, ready.context), from_step=ready.from_step)


def main() -> None:
    """Run as a program: the job folder is the one argument."""
    began = time.monotonic()
    code = work(Path(sys.argv[1]))
    print(f"worker ended with code {code} after {time.monotonic() - began:.1f} s", flush=True)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
