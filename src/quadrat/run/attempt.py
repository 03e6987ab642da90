"""One attempt at one run: its folder made ready, its row written, its end told and sealed.

How it is driven lies elsewhere: alone (``loop``) or with others of one shape (``packed``).
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from quadrat.core.context import Context
from quadrat.core.errors import StoreError
from quadrat.core.verdicts import Status
from quadrat.health.monitor import Monitor
from quadrat.journal.atomic import read_json, write_bytes, write_json, write_text
from quadrat.journal.config_yaml import dump_yaml
from quadrat.journal.layout import RunFolder
from quadrat.journal.ndjson import read_rows
from quadrat.journal.process import ProcessId
from quadrat.journal.seal import seal
from quadrat.journal.writer import RunWriter, now
from quadrat.launchers.entry import put_on_path
from quadrat.run import capture, resume, vitals
from quadrat.run.data import Data, data_of
from quadrat.run.loop import Ending, Loop, describe
from quadrat.run.order import WorkOrder
from quadrat.run.saving import Saver
from quadrat.run.stopping import Stop
from quadrat.study.identity import content_hash
from quadrat.study.trainable import Trainable, code_sha256, resolve
from quadrat.tensor import rng, seeding


@final
@dataclass(frozen=True, slots=True)
class Ready:
    """What the science is given, and the loop that takes what it yields."""

    trainable: Trainable
    config: Any
    context: Context
    loop: Loop
    from_step: int


def seal_what_ended(folder: RunFolder) -> Status | None:
    """Seal a run whose worker was killed between its verdict and its seal; None when there is more to do.

    Only what came to its end by itself: a failed run is tried again, a preempted one goes on.
    """
    if folder.manifest.exists() or not folder.verdict.exists():
        return None
    status = Status(read_json(folder.verdict)["status"])
    if status not in (Status.COMPLETED, Status.STOPPED):
        return None
    writer = RunWriter(folder, attempt=int(read_rows(folder.params).rows[-1]["attempt"]))
    writer.finish_late()
    writer.close()
    seal(folder)
    return status


@final
class Attempt:
    """An attempt from its first event to its seal.

    Raises:
        OSError, StoreError: the run's folder cannot be written or set back to its last checkpoint.
    """

    def __init__(self, told: WorkOrder, job: Path, *, stop: Stop) -> None:
        self.told = told
        self._job = job
        self._root = job.parents[3]
        self._stop = stop
        self.folder = RunFolder(self._root / "results" / told.spec.path)
        self.folder.path.mkdir(parents=True, exist_ok=True)
        self.beginning = resume.begin(self.folder)
        self.writer = RunWriter(self.folder, attempt=self.beginning.attempt)
        self.watch = Monitor.replay(told.rules, self.beginning.kept)
        process = ProcessId.current().as_dict()
        self.writer.event("started", process=process, resumed_from=self.beginning.resumed_from)
        self.writer.start_pulse(vitals.for_run(told.resources.gpus))
        for remark in self.beginning.remarks:
            self.writer.event("warning", what=remark)

    def make_ready(self) -> Ready:
        """Find the trainable, provide its data, seed everything, write the attempt's row.

        Raises:
            QuadratError: refused, as for a checkpoint made with other code or data.
            Exception: whatever importing the trainable or building its data raises.
        """
        told, saved = self.told, self.beginning.saved
        put_on_path(told.python_path)
        trainable = resolve(told.spec.trainable)
        config = trainable.config_class.model_validate(dict(told.spec.config))
        write_text(self.folder.config, dump_yaml(told.spec.config))
        self._write_captured()
        data = self._provide(trainable, config)
        row = self._row(trainable, data)
        self.writer.params(row)
        if row["drift"] and not told.allow_drift:
            raise resume.refuse(row["drift"], run=told.spec.path)
        scratch = self._job / "scratch" / told.spec.name
        scratch.mkdir(parents=True, exist_ok=True)
        context = Context(
            seed=told.spec.seed,
            device=row["device"],
            data=data.folder if data else None,
            scratch=scratch,
            state=saved.state if saved else None,
            compile=row["compiled"],
        )
        if saved is not None:
            rng.restore(saved.rng)
        loop = Loop(self.folder.path, self.writer, self._saver(row), self.watch, self._stop)
        return Ready(trainable, config, context, loop, saved.step if saved else 0)

    def close(self, ending: Ending) -> Status:
        """Write down how it ended and seal the run."""
        shutil.rmtree(self._job / "scratch" / self.told.spec.name, ignore_errors=True)
        self.writer.sync()  # what waits for room on the disk has its last chance
        gone = self.writer.dropped + self.writer.waiting
        if gone:
            lost = StoreError(
                f"{gone} rows could not be written, so the run's numbers are not whole.",
                where=self.told.spec.path,
                remedy="free some space and run again; it goes on from the last checkpoint.",
            )
            ending = Ending(Status.FAILED, ending.step, error=describe(lost))
        if ending.error is not None:
            print(ending.error["traceback"], file=sys.stderr, flush=True)
        self.writer.finish(
            ending.status,
            step=ending.step,
            diagnosis=ending.diagnosis.as_dict() if ending.diagnosis else None,
            error=ending.error,
            health={"rules": self.watch.report()},
        )
        self.writer.close()
        seal(self.folder)
        return ending.status

    def leave(self) -> None:
        """Let go without an ending: the run counts as lost and can be taken up again."""
        self.writer.close()

    def _saver(self, row: dict[str, Any]) -> Saver:
        origin = {key: row[key] for key in resume.DRIFTING}
        saver = Saver(self.folder.checkpoints, self.told.keep, made_with=origin)
        for kept in self.beginning.kept:
            saver.observe(kept["metrics"])
        if self.beginning.saved is not None:
            saver.begin_at(self.beginning.saved.step, self.beginning.saved.epoch)
        return saver

    def _write_captured(self) -> None:
        folder = self.folder
        if self.told.captured is not None:
            source = self._root / self.told.captured
            for target in (folder.env, folder.git, folder.git_diff):
                write_bytes(target, (source / target.name).read_bytes())
            return
        capture.write(folder.path, self._root)

    def _provide(self, trainable: Trainable, config: Any) -> Data | None:
        data = data_of(trainable, config, spec=self.told.spec, root=self._root)
        if data is not None:
            write_json(self.folder.data, data.manifest)
        return data

    def _row(self, trainable: Trainable, data: Data | None) -> dict[str, Any]:
        told = self.told
        applied = seeding.apply(told.spec.seed)
        pinned = seeding.pin(told.resources.threads)
        row: dict[str, Any] = {
            "schema": 1,
            "attempt": self.beginning.attempt,
            "study": told.spec.study,
            "stage": told.spec.stage,
            "arm": told.spec.point.arm,
            "run": told.spec.name,
            "trainable": told.spec.trainable,
            "point": dict(told.spec.point.values),
            "identity": told.spec.identity,
            "config_sha256": content_hash(told.spec.config),
            "code_sha256": code_sha256(trainable),
            "data_sha256": data.sha256 if data else None,
            "seed_requested": told.spec.seed,
            "seed_applied": applied,
            "resumed_from": self.beginning.resumed_from,
            "argv": list(told.argv),
            "threads": told.resources.threads,
            "compiled": told.compile if self.beginning.compiled is None else self.beginning.compiled,
            "device": seeding.default_device(told.resources.gpus),
            "determinism": {**pinned, **capture.variables()},
            "time": now(),
        }
        return {**row, "drift": resume.drift(self.beginning.saved, row)}
