from __future__ import annotations

from quadrat.core.spec import Point, RunSpec
from quadrat.core.verdicts import Status
from quadrat.study.plan import make_plan


def spec(name: str, stage: str | None = None) -> RunSpec:
    return RunSpec("s", stage, name, "m:f", {}, 0, Point({}), name)


def test_every_status_has_its_heap_and_every_run_is_in_one():
    runs = [spec(status.value) for status in Status] + [spec("new")]
    plan = make_plan(runs, {f"s/{status.value}": status for status in Status})
    assert [run.name for run in plan.todo] == ["pending", "failed", "lost", "preempted", "new"]
    assert [run.name for run in plan.done] == ["completed", "stopped", "skipped"]
    assert [run.name for run in plan.running] == ["running"]
    assert plan.total == len(plan.todo) + len(plan.done) + len(plan.running) == 9


def test_the_account_adds_up():
    runs = [spec(f"r{i}") for i in range(5)]
    plan = make_plan(runs, {"s/r0": Status.COMPLETED, "s/r1": Status.COMPLETED, "s/r2": Status.FAILED})
    assert plan.account() == "5 planned = 2 pending + 2 completed + 1 failed"
    assert sum(plan.counts.values()) == plan.total


def test_runs_of_the_same_name_in_two_stages_are_two():
    plan = make_plan([spec("r", "a"), spec("r", "b")], {"s/a/r": Status.COMPLETED})
    assert [run.path for run in plan.todo] == ["s/b/r"]


def test_what_is_on_disk_and_not_planned_is_counted():
    plan = make_plan([spec("r")], {"s/old": Status.COMPLETED})
    assert plan.undeclared == ("s/old",)
    assert plan.account() == "1 planned = 1 pending; 1 on disk not planned"


def test_no_runs():
    assert make_plan([], {}).account() == "0 planned"
