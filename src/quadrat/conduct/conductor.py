"""The conductor: makes what a study declares true on disk. Does only what is missing, stops when asked."""

from __future__ import annotations

import signal
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any, Final, final

from quadrat.conduct import preflight
from quadrat.conduct.costs import pace
from quadrat.conduct.forecast import SWEEP, forecast, try_one
from quadrat.conduct.gates import View, by_queue, news, write_gates
from quadrat.conduct.jobs import Launch, Task, capture_once, write_tasks
from quadrat.conduct.mirroring import mirrored
from quadrat.conduct.overriding import Override
from quadrat.conduct.packing import Packing, pack
from quadrat.conduct.progress import Tally, snapshot
from quadrat.conduct.surveying import Survey, statuses_of, survey, with_retries
from quadrat.core.spec import RunSpec
from quadrat.core.verdicts import Status
from quadrat.journal.atomic import read_json, write_json
from quadrat.journal.layout import StudyFolder
from quadrat.journal.lock import study_lock
from quadrat.journal.reader import RunView
from quadrat.launchers.base import Handle, Launcher
from quadrat.sinks.base import Sink
from quadrat.study.plan import Plan, make_plan

POLL_SECONDS: Final = 0.25
SHOW_SECONDS: Final = 0.5
PREEMPTED_CODE: Final = 75
TOO_LARGE: Final = 76
NOTHING: Final = View({}, (), frozenset(), {})


@final
@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call of ``conduct`` ended. ``signal`` is the one that stopped it, if any; ``unmet`` names missed gates."""

    plan: Plan
    statuses: dict[str, Status]
    started: int
    signal: int | None = None
    unmet: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """The documented code: 130 / 143 when stopped, 1 with failures, 3 for a gate, 4 for a run a rule stopped."""
        if self.signal is not None:
            return 128 + self.signal
        found = set(self.statuses.values())
        if found & {Status.FAILED, Status.LOST}:
            return 1
        if Status.PREEMPTED in found:
            return PREEMPTED_CODE
        if self.unmet:
            return 3
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
    seen: Survey
    view: View
    statuses: dict[str, Status]
    waiting: list[Task]
    given: set[str]
    running: list[_Running] = field(default_factory=list[_Running])
    paces: list[float] = field(default_factory=list[float])
    began: float = field(default_factory=time.monotonic)
    started: int = 0


def prepare(launch: Launch, *, slots: int = 1) -> list[Task]:
    """Write the jobs still to do, for a person or a script to start one by one; return them."""
    folder = StudyFolder(launch.root, launch.study.name)
    survey(launch)
    preflight.writable(folder)
    with study_lock(folder):
        seen = survey(launch)
        write_json(folder.lock_json, seen.lock)
        return _write(launch, folder, _in_turn(launch, seen.startable, slots=slots))


def conduct(launch: Launch, *, launcher: Launcher, sink: Sink, overrides: Sequence[Override] = ()) -> Outcome:
    """Run what is still to do. Safe to kill at any moment and to call again.

    Args:
        launch: the study and where it runs.
        launcher: what starts the jobs.
        sink: who is told.
        overrides: gates that a person lets points through.

    Raises:
        UsageError: another conductor works on this study, a run of the same name means something else, or an override
            names what the study does not have.
        StoreError: the folder cannot be written or has no room.
    """
    folder = StudyFolder(launch.root, launch.study.name)
    seen = survey(launch, overrides=overrides)
    if seen.is_settled:
        return _outcome(seen, started=0)
    preflight.writable(folder)
    with study_lock(folder), _signals() as asked:
        # Once more under the lock: a conductor that has just left may have finished the rest.
        seen = survey(launch, overrides=overrides)
        todo = seen.startable
        preflight.rules_can_fire(launch)
        preflight.same_code(launch, folder, todo=seen.plan.todo)
        write_json(folder.lock_json, seen.lock)
        write_gates(folder, seen.view)
        packing = _in_turn(launch, todo, slots=launcher.slots)
        tasks = _write(launch, folder, packing)
        stage = _Stage(launch, folder, seen, seen.view, dict(seen.plan.statuses), tasks, given={s.path for s in todo})
        sink = mirrored(sink, launch.study, folder=folder)
        sink.start(launch.study.name, seen.plan.total)
        for remark in (*preflight.remarks(launch.study), *packing.remarks, *news(NOTHING, seen.view)):
            sink.message(remark)
        try:
            _look_ahead(stage, todo, launcher=launcher, sink=sink, asked=asked)
            _play(stage, launcher, sink, asked)
        finally:
            launcher.close()
            sink.close(_after(seen).plan.account())
    return _outcome(_after(seen), started=stage.started, signal=asked.first)


def _after(seen: Survey) -> Survey:
    """The same study now."""
    told = statuses_of(seen.stages)
    view = seen.stages.look(told)
    return replace(seen, told=told, view=view, plan=make_plan(view.runs, view.statuses(told)))


def _outcome(seen: Survey, *, started: int, signal: int | None = None) -> Outcome:
    unmet = tuple(f"{missed.track.name} [{missed.label}]" for missed in seen.view.unmet)
    return Outcome(seen.plan, dict(seen.plan.statuses), started=started, signal=signal, unmet=unmet)


def _in_turn(launch: Launch, todo: Sequence[RunSpec], *, slots: int) -> Packing:
    """The runs packed into jobs, those of queued arms first."""
    alone = launch.study.resources.processes > 1
    packing = Packing([(spec,) for spec in todo], ()) if alone else pack(launch.study, todo, slots=slots)
    turn = by_queue(launch.study)
    return replace(packing, batches=sorted(packing.batches, key=lambda batch: min(map(turn, batch))))


def _look_ahead(stage: _Stage, todo: Sequence[RunSpec], *, launcher: Launcher, sink: Sink, asked: _Asked) -> None:
    """Before a sweep: one run alone, and the forecast for all of them."""
    study = stage.launch.study
    if study.resources.processes > 1:
        return  # the canary sings alone
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
        if _reap(stage, sink, asked) and asked.first is None:
            _go_on(stage, launcher, sink)
        if not shown or time.monotonic() - last_shown > SHOW_SECONDS:
            shown, last_shown = True, time.monotonic()
            _show(stage, launcher, sink)
        if stage.running:
            launcher.wait(POLL_SECONDS)
    _show(stage, launcher, sink)


def _go_on(stage: _Stage, launcher: Launcher, sink: Sink) -> None:
    """Judge the gates whose runs have all ended, and make ready what they let through."""
    if not stage.view.standings:
        return
    ahead = {path for task in (*stage.waiting, *(r.task for r in stage.running)) for path in _paths(task)}
    view = stage.seen.stages.look(stage.statuses, todo=ahead)
    stage.statuses = view.statuses(stage.statuses)
    fresh = [spec for spec in view.runs if spec.path in view.open and spec.path not in stage.given | ahead]
    fresh = [spec for spec in fresh if not stage.statuses[spec.path].is_final]
    lines = news(stage.view, view)
    stage.view = view
    if not fresh and not lines:
        return
    lock = with_retries(read_json(stage.folder.lock_json), view)
    write_json(stage.folder.lock_json, lock)
    write_gates(stage.folder, view)
    for line in lines:
        sink.message(line)
    stage.given |= {spec.path for spec in fresh}
    packing = _in_turn(stage.launch, fresh, slots=launcher.slots)
    stage.waiting += write_tasks(stage.launch, stage.folder, batches=packing.batches)
    turn = by_queue(stage.launch.study)
    stage.waiting.sort(key=lambda task: min(map(turn, task.specs)))


def _paths(task: Task) -> list[str]:
    return [spec.path for spec in task.specs]


def _reap(stage: _Stage, sink: Sink, asked: _Asked) -> bool:
    """Take in what has ended; whether anything has."""
    still: list[_Running] = []
    for at_work in stage.running:
        code = at_work.handle.poll()
        if code is None:
            still.append(at_work)
            continue
        if code == PREEMPTED_CODE and at_work.handle.pid is None:
            # The job ran in this very process, so the signal was meant for the study as well.
            asked.first = asked.first or signal.SIGINT
        stage.paces.append((time.monotonic() - at_work.since) / at_work.task.cost)
        if asked.first is None and _is_too_large(at_work.task, code):
            _split(stage, at_work.task, sink)
            continue
        for spec in at_work.task.specs:
            view = RunView(stage.folder.run_folder(spec))
            stage.statuses[spec.path] = view.status()
            if stage.statuses[spec.path] is not Status.COMPLETED:
                sink.message(_obituary(spec, view, code))
    ended = len(still) < len(stage.running)
    stage.running = still
    return ended


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
    tally = Tally(stage.statuses, stage.paces, launcher.slots)
    running = [(at_work.task, now - at_work.since) for at_work in stage.running]
    waiting = sum(task.cost for task in stage.waiting)
    sink.update(snapshot(stage.folder, tally, running=running, waiting=waiting, elapsed=now - stage.began))


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
