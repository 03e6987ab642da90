"""The worker: carries out one work order from start to seal. ``python -m quadrat.run.worker JOBFOLDER``."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from quadrat.core.errors import QuadratError, StoreError, UsageError
from quadrat.core.verdicts import Status
from quadrat.journal.layout import RunFolder
from quadrat.run import order, packed, ranks
from quadrat.run.attempt import Attempt, Ready, seal_what_ended
from quadrat.run.loop import Ending, describe
from quadrat.run.stopping import Stop, listening

EXIT: Final = {
    Status.COMPLETED: 0,
    Status.FAILED: 1,
    Status.STOPPED: 4,
    Status.PREEMPTED: 75,
}
TOO_LARGE: Final = 76
"""The pack did not fit into memory; in smaller packs its members can go on."""

WORST_FIRST: Final = (75, 1, 4)
"""Which code speaks for a job whose runs ended differently."""


def work(job: Path) -> int:
    """Do what the job folder says; return the exit code. Never raises for what science does.

    Exit codes: 0 completed, 1 failed, 4 stopped by a rule, 5 the store could not be read or written, 75
    preempted, 76 a pack that does not fit into memory.
    """
    try:
        return _work(job.resolve())
    except packed.PackTooLarge as error:
        print(error.paragraph(), file=sys.stderr, flush=True)
        return TOO_LARGE
    except QuadratError as error:
        print(error.paragraph(), file=sys.stderr, flush=True)
        return error.exit_code
    except OSError as error:
        problem = StoreError(f"the run could not be written: {error}.", where=job.name, remedy="free some space.")
        print(problem.paragraph(), file=sys.stderr, flush=True)
        return problem.exit_code


def _work(job: Path) -> int:
    ranks.take_device()
    if ranks.rank():
        return ranks.follow(job)
    ranks.lead(job)
    stop = Stop()
    with listening(stop):
        results, codes = job.parents[3] / "results", list[int]()
        attempts: list[Attempt] = []
        for told in order.read(job):
            ended = seal_what_ended(RunFolder(results / told.spec.path))
            if ended is None:
                attempts.append(Attempt(told, job, stop=stop))
            else:
                codes.append(EXIT[ended])
        try:
            return _worst([*codes, *_carry_out(attempts, job)])
        finally:
            for attempt in attempts:
                attempt.leave()


def _worst(codes: Sequence[int]) -> int:
    return next((code for code in WORST_FIRST if code in codes), 0)


def _carry_out(attempts: Sequence[Attempt], job: Path) -> list[int]:
    """Make every attempt ready, train those that start at one step together, and close them all."""
    codes: list[int] = []
    together: dict[tuple[int, bool], list[tuple[Attempt, Ready]]] = {}
    for attempt in attempts:
        try:
            ready = attempt.make_ready()
        except Exception as error:  # what fails before science begins is a failed run like any other
            codes.append(EXIT[attempt.close(Ending(Status.FAILED, 0, error=describe(error)))])
            continue
        together.setdefault((ready.from_step, ready.context.compile), []).append((attempt, ready))
    for (step, _), members in sorted(together.items()):
        ranks.let_begin(job, members[0][1].context, rows=members[0][0].writer.metrics_offset)
        endings = [ranks.blame(job, ending) for ending in _train(members, from_step=step)]
        codes += [EXIT[attempt.close(ending)] for (attempt, _), ending in zip(members, endings, strict=True)]
    return codes


def _train(members: Sequence[tuple[Attempt, Ready]], *, from_step: int) -> list[Ending]:
    readies = [ready for _, ready in members]
    first = readies[0]
    if len(readies) == 1:
        return [first.loop.drive(first.trainable.train(first.config, first.context), from_step=from_step)]
    if first.trainable.train_pack is None:
        raise UsageError(
            f"{first.trainable.name} trains no packs.",
            where=members[0][0].told.spec.study,
            remedy="pack: off",
        )
    rows = first.trainable.train_pack([ready.config for ready in readies], [ready.context for ready in readies])
    return packed.drive(rows, [ready.loop for ready in readies], from_step=from_step)


def main() -> None:
    """Run as a program: the job folder is the one argument."""
    began = time.monotonic()
    job = Path(sys.argv[1])
    code = work(job)
    print(f"worker ended with code {code} after {time.monotonic() - began:.1f} s", flush=True)
    raise SystemExit(code if ranks.rank() else ranks.leave(job.resolve(), code))


if __name__ == "__main__":
    main()
