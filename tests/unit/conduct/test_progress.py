"""The picture of a running study, and when it will be done."""

from __future__ import annotations

import pytest

from quadrat.conduct.jobs import Task
from quadrat.conduct.placing import slots_for
from quadrat.conduct.progress import Tally, snapshot
from quadrat.core.spec import Job
from quadrat.core.verdicts import Status
from quadrat.journal.layout import StudyFolder
from quadrat.study.load import load_study


@pytest.fixture
def study(make_lab, tmp_path):
    return load_study(make_lab(tmp_path).root / "toy.yaml")


def _snapshot(study, tmp_path, statuses, paces=(), running=(), waiting=0.0):
    standing = {spec.path: Status.PENDING for spec in study.runs} | statuses
    tasks = [(Task((spec,), Job(spec.name, tmp_path, (), "m:f", tmp_path)), age) for spec, age in running]
    tally = Tally(standing, paces, slots=2)
    return snapshot(StudyFolder(tmp_path, "toy"), tally, running=tasks, waiting=waiting, elapsed=10.0)


def test_the_numbers_add_up(study, tmp_path):
    paths = [spec.path for spec in study.runs]
    seen = _snapshot(study, tmp_path, {paths[0]: Status.COMPLETED, paths[1]: Status.FAILED, paths[2]: Status.STOPPED})
    assert (seen.completed, seen.failed, seen.stopped, seen.left, seen.planned) == (1, 1, 1, 3, 6)


def test_nothing_is_forecast_before_anything_is_known(study, tmp_path):
    assert _snapshot(study, tmp_path, {}).eta_s is None


def test_the_forecast_is_work_left_over_slots(study, tmp_path):
    paths = [spec.path for spec in study.runs]
    done = {paths[0]: Status.COMPLETED, paths[1]: Status.COMPLETED}
    assert _snapshot(study, tmp_path, done, paces=[10.0, 20.0], waiting=4.0).eta_s == pytest.approx(4 * 15 / 2)
    running = [(study.runs[2], 5.0), (study.runs[3], 0.0)]
    assert _snapshot(study, tmp_path, done, [10.0, 20.0], running, waiting=2).eta_s == pytest.approx(
        (2 * 15 + 10 + 15) / 2
    )


def test_costly_tasks_count_for_more(study, tmp_path):
    large = Task((study.runs[0],), Job("large", tmp_path, (), "m:f", tmp_path), cost=6.0)
    tally = Tally({spec.path: Status.PENDING for spec in study.runs}, [10.0], slots=1)
    seen = snapshot(StudyFolder(tmp_path, "toy"), tally, running=[(large, 15.0)], waiting=2.0, elapsed=20.0)
    assert seen.eta_s == pytest.approx(2 * 10 + 6 * 10 - 15)


def test_slots_are_what_was_asked_for(study):
    assert slots_for(study, 3) == 3
    assert slots_for(study, None) == 2
