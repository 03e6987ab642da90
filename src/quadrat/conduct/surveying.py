"""What is declared, what is done, and what may start now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

from quadrat.conduct import declare
from quadrat.conduct.gates import Stages, View, by_queue, stamp
from quadrat.conduct.jobs import Launch
from quadrat.conduct.overriding import Override, entries
from quadrat.core.spec import RunSpec
from quadrat.core.verdicts import Status
from quadrat.journal.layout import RunFolder, StudyFolder
from quadrat.journal.reader import RunView
from quadrat.study.load import Study
from quadrat.study.plan import Plan, make_plan


@final
@dataclass(frozen=True, slots=True)
class Survey:
    """A study and its journal at one moment.

    Attributes:
        stages: for looking again later.
        view: how every point stands.
        told: the status of every run there could be, as the journal has it.
        plan: the declared runs, sorted by what is left to do.
        lock: what ``study.lock.json`` should say.
        old_lock: what it says; None when there is none.
    """

    stages: Stages
    view: View
    told: Mapping[str, Status]
    plan: Plan
    lock: Mapping[str, Any]
    old_lock: Mapping[str, Any] | None

    @property
    def startable(self) -> tuple[RunSpec, ...]:
        """The runs that may start now, queued arms first."""
        ready = [spec for spec in self.plan.todo if spec.path in self.view.open]
        return tuple(sorted(ready, key=by_queue(self.stages.study)))

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing to start, to wait for or to write down."""
        return not self.startable and not self.plan.running and self.lock == self.old_lock


def statuses_of(stages: Stages) -> dict[str, Status]:
    """The status of every run there could be, from the journal; runs that nobody began are pending."""
    return {spec.path: RunView(stages.folder.run_folder(spec)).status() for spec in stages.declared}


def survey(launch: Launch, *, overrides: Sequence[Override] = ()) -> Survey:
    """Look at a study, with nothing written.

    Raises:
        UsageError: a run of the same name means something else; an override names what the study does not have.
    """
    study, folder = launch.study, StudyFolder(launch.root, launch.study.name)
    old = declare.read(folder.lock_json)
    lock = declare.amended(old, declare.declaration(study, retries=declare.due(old, study)))
    stages = Stages(study, folder, overrides=lock.get("overrides", ()), others=_others(folder, study, lock))
    told = statuses_of(stages)
    todo = {path for path, status in told.items() if not (status.is_final or status is Status.RUNNING)}
    view = stages.look(told, todo=todo)
    if overrides:
        made = entries(overrides, view)
        if made:
            lock = {**lock, "overrides": [*lock.get("overrides", ()), *made]}
            stages = replace(stages, overrides=lock["overrides"])
            view = stages.look(told, todo=todo)
    lock = with_retries(lock, view)
    return Survey(stages, view, told, make_plan(view.runs, view.statuses(told)), lock, old)


def with_retries(lock: Mapping[str, Any], view: View) -> dict[str, Any]:
    """The lock with the retries that have become due, and when and why they did."""
    known = {run["path"] for run in lock["declared"]}
    fresh = [spec for spec in view.runs if spec.path not in known]
    if not fresh:
        return dict(lock)
    begun: list[dict[str, Any]] = []
    for standing in view.standings.values():
        before = view.standings.get((standing.track.before or "", standing.key))
        is_new = any(spec.stage == standing.track.name for spec in fresh)
        if before is not None and is_new and before.has_ended and not before.is_passed:
            why = f"{before.track.name}: {before.verdict.outcome}, {before.verdict.measured}"
            begun.append({"time": stamp(), "stage": standing.track.name, "arm": standing.label, "why": why})
    said = {(entry["stage"], entry["arm"]) for entry in lock.get("ladder", ())}
    begun = [entry for entry in begun if (entry["stage"], entry["arm"]) not in said]
    return {
        **lock,
        "declared": [*lock["declared"], *declare.rows(fresh)],
        "ladder": [*lock.get("ladder", ()), *begun],
    }


def _others(folder: StudyFolder, study: Study, lock: Mapping[str, Any]) -> tuple[tuple[Mapping[str, Any], Status], ...]:
    """Runs that an earlier launch declared and this one does not ask for. A gate counts them all the same."""
    known = {spec.path for spec in (*study.runs, *study.retries)}
    left = [run for run in lock["declared"] if run["path"] not in known and run["stage"] is not None]
    return tuple((run, RunView(RunFolder(folder.path.parent / run["path"])).status()) for run in left)
