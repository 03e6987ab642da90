"""The conductor: makes what a study declares true on disk. Does only what is missing, stops when asked."""

from __future__ import annotations

import signal
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final, final

from quadrat.conduct import declare, preflight
from quadrat.conduct.costs import pace
from quadrat.conduct.forecast import SWEEP, forecast, try_one
from quadrat.conduct.jobs import Launch, Task, capture_once, write_tasks
from quadrat.conduct.mirroring import mirrored
from quadrat.conduct.packing import Packing, pack
from quadrat.conduct.progress import Tally, snapshot
from quadrat.core.spec import RunSpec
from quadrat.core.verdicts import Status
from quadrat.journal.atomic import write_json
from quadrat.journal.layout import StudyFolder
from quadrat.journal.lock import study_lock
from quadrat.journal.reader import RunView
from quadrat.launchers.base import Handle, Launcher
from quadrat.sinks.base import Sink
from quadrat.study.load import Study
from quadrat.study.plan import Plan, make_plan

POLL_SECONDS: Final = 0.25
SHOW_SECONDS: Final = 0.5
PREEMPTED_CODE: Final = 75
TOO_LARGE: Final = 76


@final
@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call of ``conduct`` ended. ``signal`` is the one that stopped it, if any."""

    plan: Plan
    statuses: dict[str, Status]
    started: int
    signal: int | None = None

    @property
    def exit_code(self) -> int:
        """The documented exit code: 130 / 143 when stopped, 1 with failures, 4 with runs stopped by a rule."""
        if self.signal is not None:
            return 128 + self.signal
        found = set(self.statuses.values())
        if found & {Status.FAILED, Status.LOST}:
            return 1
        if Status.PREEMPTED in found:
            return PREEMPTED_CODE
        return 4 if Status.STOPPED in found else 0


@final
@dataclass(slots=True)
class _Asked:
    """The signals received so far."""

    first: int | None = None
    again: bool = False


@final
@dataclass(frozen=True, slots=True)
class _Running:
    """A task at work since a moment of the monotonic clock."""

    task: Task
    handle: Handle
    since: float


@final
@dataclass(slots=True)
class _Stage:
    """The moving parts of one launch."""

    launch: Launch
    folder: StudyFolder
    statuses: dict[str, Status]
    waiting: list[Task]
    running: list[_Running] = field(default_factory=list[_Running])
    durations: list[float] = field(default_factory=list[float])
    began: float = field(default_factory=time.monotonic)
    started: int = 0


def statuses_of(study: Study, folder: StudyFolder) -> dict[str, Status]:
    """The status of every declared run, from the journal."""
    return {spec.path: RunView(folder.run_folder(spec)).status() for spec in study.runs}


def survey(launch: Launch) -> Plan:
    """What is declared, what is done and what is still to do, with nothing written."""
    folder = StudyFolder(launch.root, launch.study.name)
    return make_plan(launch.study.runs, statuses_of(launch.study, folder))


def startable(study: Study, plan: Plan) -> tuple[RunSpec, ...]:
    """What of the plan may start: stages that need another wait until its gate is judged."""
    waiting = {stage.name for stage in study.file.stages if stage.needs}
    return tuple(spec for spec in plan.todo if spec.stage not in waiting)


def prepare(launch: Launch, *, slots: int = 1) -> list[Task]:
    """Write the jobs still to do, for a person or a script to start one by one; return them."""
    folder = StudyFolder(launch.root, launch.study.name)
    new = declare.amended(declare.read(folder.lock_json), declare.declaration(launch.study))
    preflight.writable(folder)
    with study_lock(folder):
        todo = startable(launch.study, survey(launch))
        write_json(folder.lock_json, new)
        return _write(launch, folder, pack(launch.study, todo, slots=slots))


def conduct(launch: Launch, *, launcher: Launcher, sink: Sink) -> Outcome:
    """Run what is still to do. Safe to kill at any moment and to call again.

    Raises:
        UsageError: another conductor works on this study, or a run of the same name means something else.
        StoreError: the folder cannot be written or has no room.
    """
    study = launch.study
    folder = StudyFolder(launch.root, study.name)
    new = declare.amended(declare.read(folder.lock_json), declare.declaration(study))
    plan = make_plan(study.runs, statuses_of(study, folder))
    if not startable(study, plan) and not plan.running and declare.read(folder.lock_json) == new:
        return Outcome(plan, statuses_of(study, folder), started=0)
    preflight.writable(folder)
    with study_lock(folder), _signals() as asked:
        # Once more under the lock: a conductor that has just left may have finished the rest.
        statuses = statuses_of(study, folder)
        plan = make_plan(study.runs, statuses)
        todo = startable(study, plan)
        preflight.rules_can_fire(launch)
        preflight.same_code(launch, folder, todo=todo)
        write_json(folder.lock_json, new)
        packing = pack(study, todo, slots=launcher.slots)
        stage = _Stage(launch, folder, statuses, _write(launch, folder, packing))
        sink = mirrored(sink, study, folder=folder)
        sink.start(study.name, len(study.runs))
        for remark in (*preflight.remarks(study), *packing.remarks):
            sink.message(remark)
        try:
            _look_ahead(stage, todo, launcher=launcher, sink=sink, asked=asked)
            _play(stage, launcher, sink, asked)
        finally:
            launcher.close()
            sink.close(make_plan(study.runs, statuses_of(study, folder)).account())
    return Outcome(plan, statuses_of(study, folder), started=stage.started, signal=asked.first)


def _look_ahead(stage: _Stage, todo: Sequence[RunSpec], *, launcher: Launcher, sink: Sink, asked: _Asked) -> None:
    """Before a sweep: one run alone, and the forecast for all of them."""
    study = stage.launch.study
    if not stage.launch.canary or not todo or (len(todo) < SWEEP and study.file.compile != "auto"):
        return
    song = try_one(stage.launch, stage.folder, spec=todo[0], launcher=launcher, go_on=lambda: asked.first is None)
    if song is None:
        return
    seen = forecast(stage.launch, todo, song=song, slots=launcher.slots)
    sink.message(f"forecast: {seen.text()}")
    seen.check(study.name)
    if study.file.compile == "auto":
        at = pace(study, todo[0], song=song)
        batches = [task.specs for task in stage.waiting]
        stage.waiting = write_tasks(stage.launch, stage.folder, batches=batches, pace=at)
        chosen = sum(task.compiled for task in stage.waiting)
        sink.message(f"compile: auto: {chosen} of {len(batches)} jobs are long enough for torch.compile to pay")


def _write(launch: Launch, folder: StudyFolder, packing: Packing) -> list[Task]:
    if not packing.batches:
        return []
    capture_once(folder, launch.root)
    return write_tasks(launch, folder, batches=packing.batches)


def _play(stage: _Stage, launcher: Launcher, sink: Sink, asked: _Asked) -> None:
    shown = stopped = False
    last_shown = 0.0
    while stage.running or (stage.waiting and asked.first is None):
        if asked.first is not None and not stopped:
            stopped = True
            sink.message("stopping: each run goes on to its next checkpoint; once more to stop at once")
            for at_work in stage.running:
                at_work.handle.terminate()
        if asked.again:
            for at_work in stage.running:
                at_work.handle.kill()
        while stage.waiting and asked.first is None and len(stage.running) < launcher.slots:
            task = stage.waiting.pop(0)
            stage.started += len(task.specs)
            stage.running.append(_Running(task, launcher.submit(task.job), time.monotonic()))
        _reap(stage, sink, asked)
        if not shown or time.monotonic() - last_shown > SHOW_SECONDS:
            shown, last_shown = True, time.monotonic()
            _show(stage, launcher, sink)
        if stage.running:
            launcher.wait(POLL_SECONDS)
    _show(stage, launcher, sink)


def _reap(stage: _Stage, sink: Sink, asked: _Asked) -> None:
    still: list[_Running] = []
    for at_work in stage.running:
        code = at_work.handle.poll()
        if code is None:
            still.append(at_work)
            continue
        if code == PREEMPTED_CODE and at_work.handle.pid is None:
            # The job ran in this very process, so the signal was meant for the study as well.
            asked.first = asked.first or signal.SIGINT
        stage.durations.append(time.monotonic() - at_work.since)
        if asked.first is None and _is_too_large(at_work.task, code):
            _split(stage, at_work.task, sink)
            continue
        for spec in at_work.task.specs:
            view = RunView(stage.folder.run_folder(spec))
            stage.statuses[spec.path] = view.status()
            if stage.statuses[spec.path] is not Status.COMPLETED:
                sink.message(_obituary(spec, view, code))
    stage.running = still


def _is_too_large(task: Task, code: int) -> bool:
    """Whether a pack ended for lack of memory: it said so, or the system killed it."""
    return len(task.specs) > 1 and code in (TOO_LARGE, -signal.SIGKILL)


def _split(stage: _Stage, task: Task, sink: Sink) -> None:
    half = (len(task.specs) + 1) // 2
    sink.message(f"pack {task.name} did not fit into memory; its {len(task.specs)} runs go on in two packs")
    halves = write_tasks(stage.launch, stage.folder, batches=[task.specs[:half], task.specs[half:]])
    stage.waiting[:0] = halves


def _obituary(spec: RunSpec, view: RunView, code: int) -> str:
    status = view.status()
    error, verdict = view.error(), view.verdict()
    reason = f": {error['type']}: {error['message']}" if error else ""
    if status is Status.STOPPED and verdict and verdict.get("diagnosis"):
        found: dict[str, Any] = verdict["diagnosis"]
        reason = f" by {found['rule']} at step {found['step']}: {found['metric']} = {found['value']}"
    if status is Status.LOST:
        reason = f": the process ended with code {code} and left no verdict; see train.log"
    return f"{spec.name} {status}{reason}"


def _show(stage: _Stage, launcher: Launcher, sink: Sink) -> None:
    now = time.monotonic()
    tally = Tally(stage.statuses, stage.durations, launcher.slots)
    running = [(at_work.task, now - at_work.since) for at_work in stage.running]
    sink.update(snapshot(stage.folder, tally, running=running, waiting=len(stage.waiting), elapsed=now - stage.began))


@contextmanager
def _signals() -> Generator[_Asked]:
    asked = _Asked()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        asked.again = asked.first is not None
        asked.first = asked.first or number

    watched = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, on_signal) for number in watched}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
