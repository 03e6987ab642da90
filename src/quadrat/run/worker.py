"""The worker: carries out one work order from start to seal. ``python -m quadrat.run.worker JOBFOLDER``."""

from __future__ import annotations

import functools
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, final

from quadrat.core.context import Context
from quadrat.core.errors import QuadratError, StoreError
from quadrat.core.verdicts import Status
from quadrat.health.monitor import Monitor
from quadrat.journal.atomic import write_bytes, write_json, write_text
from quadrat.journal.config_yaml import dump_yaml
from quadrat.journal.layout import RunFolder
from quadrat.journal.process import ProcessId
from quadrat.journal.seal import seal
from quadrat.journal.writer import RunWriter
from quadrat.run import capture, order, resume
from quadrat.run.data import Data, provide, source_sha256
from quadrat.run.loop import Ending, Loop, describe
from quadrat.run.saving import Saver
from quadrat.run.stopping import Stop, listening
from quadrat.study.identity import content_hash
from quadrat.study.trainable import Trainable, code_sha256, resolve
from quadrat.tensor import rng, seeding

EXIT: Final = {
    Status.COMPLETED: 0,
    Status.FAILED: 1,
    Status.STOPPED: 4,
    Status.PREEMPTED: 75,
}


@final
@dataclass(frozen=True, slots=True)
class Bench:
    """What one attempt works with, once everything is in place."""

    order: order.WorkOrder
    folder: RunFolder
    trainable: Trainable
    config: Any
    data: Data | None
    scratch: Path


def work(job: Path) -> int:
    """Do what the job folder says; return the exit code. Never raises for what science does.

    Exit codes: 0 completed, 1 failed, 2 refused before it began, 4 stopped by a rule, 5 the store could not be
    written, 75 preempted.
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
    told = order.read(job)
    folder = RunFolder(job.parents[3] / "results" / told.spec.path)
    folder.path.mkdir(parents=True, exist_ok=True)
    stop = Stop()
    with listening(stop):
        beginning = resume.begin(folder)
        with RunWriter(folder, attempt=beginning.attempt) as writer:
            status = _attempt(told, beginning, writer, job=job, stop=stop)
    seal(folder)
    return EXIT[status]


def _attempt(told: order.WorkOrder, beginning: resume.Beginning, writer: RunWriter, *, job: Path, stop: Stop) -> Status:
    writer.event("started", process=ProcessId.current().as_dict(), resumed_from=beginning.resumed_from)
    writer.start_pulse()
    for remark in beginning.remarks:
        writer.event("warning", what=remark)
    watch = Monitor.replay(told.rules, beginning.kept)
    try:
        bench = _prepare(told, writer.folder, job)
        row = _attempt_row(bench, beginning)
        writer.params(row)
        changes = row["drift"]
        if changes and not told.allow_drift:
            raise resume.refuse(changes, run=told.spec.path)
        ending = _drive(bench, beginning, watch, writer=writer, made_with=row, stop=stop)
    except Exception as error:  # what fails before science begins is a failed run like any other
        ending = Ending(Status.FAILED, 0, error=describe(error))
    finally:
        shutil.rmtree(job / "scratch", ignore_errors=True)
    if writer.dropped:
        lost = StoreError(
            f"{writer.dropped} rows could not be written, so the run's numbers are not whole.",
            where=told.spec.path,
            remedy="free some space and run again; it goes on from the last checkpoint.",
        )
        ending = Ending(Status.FAILED, ending.step, error=describe(lost))
    if ending.error is not None:
        print(ending.error["traceback"], file=sys.stderr, flush=True)
    diagnosis = ending.diagnosis.as_dict() if ending.diagnosis else None
    writer.finish(
        ending.status, step=ending.step, diagnosis=diagnosis, error=ending.error, health={"rules": watch.report()}
    )
    return ending.status


def _prepare(told: order.WorkOrder, folder: RunFolder, job: Path) -> Bench:
    for entry in reversed(told.python_path):
        if entry not in sys.path:
            sys.path.insert(0, entry)
    trainable = resolve(told.spec.trainable)
    config = trainable.config_class.model_validate(dict(told.spec.config))
    write_text(folder.config, dump_yaml(told.spec.config))
    _captured(told, folder, job.parents[3])
    data = _provide(trainable, config, told, root=job.parents[3])
    if data is not None:
        write_json(folder.data, data.manifest)
    scratch = job / "scratch"
    scratch.mkdir(exist_ok=True)
    return Bench(told, folder, trainable, config, data, scratch)


def _captured(told: order.WorkOrder, folder: RunFolder, root: Path) -> None:
    if told.captured is not None:
        source = root / told.captured
        for target in (folder.env, folder.git, folder.git_diff):
            write_bytes(target, (source / target.name).read_bytes())
        return
    facts, patch = capture.code(root)
    write_json(folder.env, capture.environment())
    write_json(folder.git, facts)
    write_bytes(folder.git_diff, patch)


def _provide(trainable: Trainable, config: Any, told: order.WorkOrder, *, root: Path) -> Data | None:
    if trainable.build_data is None:
        return None
    # A config that keeps its data keys under `data` shares one folder among arms that differ elsewhere.
    about = told.spec.config.get("data", told.spec.config)
    key = content_hash({"data": about, "code": source_sha256(trainable.build_data)})[:12]
    parts = told.spec.trainable.partition(":")[0].split(".")
    build = functools.partial(trainable.build_data, config)
    return provide(build, root=root, name=parts[-2] if len(parts) > 1 else parts[0], key=key)


def _attempt_row(bench: Bench, beginning: resume.Beginning) -> dict[str, Any]:
    told = bench.order
    applied = seeding.apply(told.spec.seed)
    pinned = seeding.pin(told.resources.threads)
    row: dict[str, Any] = {
        "schema": 1,
        "attempt": beginning.attempt,
        "study": told.spec.study,
        "stage": told.spec.stage,
        "arm": told.spec.point.arm,
        "run": told.spec.name,
        "trainable": told.spec.trainable,
        "point": dict(told.spec.point.values),
        "identity": told.spec.identity,
        "config_sha256": content_hash(told.spec.config),
        "code_sha256": code_sha256(bench.trainable),
        "data_sha256": bench.data.sha256 if bench.data else None,
        "seed_requested": told.spec.seed,
        "seed_applied": applied,
        "resumed_from": beginning.resumed_from,
        "argv": list(told.argv),
        "threads": told.resources.threads,
        "device": seeding.default_device(told.resources.gpus),
        "determinism": {**pinned, **capture.variables()},
        "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    return {**row, "drift": resume.drift(beginning.saved, row)}


def _drive(
    bench: Bench,
    beginning: resume.Beginning,
    watch: Monitor,
    *,
    writer: RunWriter,
    made_with: Mapping[str, Any],
    stop: Stop,
) -> Ending:
    told, saved = bench.order, beginning.saved
    origin = {key: made_with[key] for key in resume.DRIFTING}
    saver = Saver(bench.folder.checkpoints, told.keep, made_with=origin)
    for kept in beginning.kept:
        saver.observe(kept["metrics"])
    if saved is not None:
        saver.begin_at(saved.step, saved.epoch)
        rng.restore(saved.rng)
    context = Context(
        seed=told.spec.seed,
        device=seeding.default_device(told.resources.gpus),
        data=bench.data.folder if bench.data else None,
        scratch=bench.scratch,
        state=saved.state if saved else None,
    )
    events = bench.trainable.train(bench.config, context)
    loop = Loop(bench.folder.path, writer, saver, watch, stop)
    return loop.drive(events, from_step=saved.step if saved else 0)


def main() -> None:
    """Run as a program: the job folder is the one argument."""
    began = time.monotonic()
    code = work(Path(sys.argv[1]))
    print(f"worker ended with code {code} after {time.monotonic() - began:.1f} s", flush=True)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
