"""A study at work, seen through its journal alone."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time

import pytest

from quadrat.analyze.heartbeats import Vitals
from quadrat.analyze.live import LiveStudy, forecast
from quadrat.analyze.run_watch import Working
from quadrat.core.verdicts import Status
from quadrat.journal.atomic import write_json
from quadrat.journal.lock import note_conductor, study_lock
from quadrat.journal.process import ProcessId
from quadrat.journal.reader import RunView

TEST = "test_id/exact_match"


def places(items):
    return [item.place for item in items]


def test_the_account_is_that_of_the_table(sums):
    picture = LiveStudy(sums.folder).picture()
    assert picture.coverage.text == "9 planned = 6 completed + 1 failed + 1 stopped + 1 missing"
    assert (picture.ended, picture.at_work, picture.conductor, picture.eta) == (8, False, None, None)


def test_what_did_not_complete_is_there_with_its_reason_the_latest_first(sums):
    os.utime(sums.folder.path / "head_S0/manifest.json", (1, 1))
    found = {item.place: item for item in LiveStudy(sums.folder).picture().troubled}
    assert list(found) == ["head_S1", "head_S0"]
    assert found["head_S0"].reason == "ValueError: bad <b>shape</b>"
    assert found["head_S1"].reason == "nonfinite_loss at step 8: train/loss = NaN"


def test_a_run_at_work_shows_step_total_metric_and_process(bench):
    bench.declare([("a", 0), ("a", 1)])
    writer = bench.open("a_S0")
    writer.metrics(5, {"weight": 1.0, "train/loss": 0.25})
    live = LiveStudy(bench.folder)
    (run,) = live.picture().running
    assert (run.place, run.step, run.total, run.metric) == ("a_S0", 5, 20, ("train/loss", 0.25))
    assert (run.pid, run.vitals.rss) == (os.getpid(), 2**20)
    writer.metrics(6, {TEST: 0.5})
    writer.metrics(7, {"train/loss": 0.125})
    (run,) = live.picture().running
    assert (run.step, run.metric) == (7, (TEST, 0.5))
    assert live.picture().at_work
    writer.close()


def test_every_change_of_status_is_seen(bench):
    bench.declare([("a", 0)])
    live = LiveStudy(bench.folder)
    seen = [live.picture().coverage.counts]
    writer = bench.open("a_S0")
    seen.append(live.picture().coverage.counts)
    writer.close()
    seen.append(live.picture().coverage.counts)
    (bench.folder.path / "a_S0").rename(bench.folder.path / ".aside")
    seen.append(live.picture().coverage.counts)
    bench.run("a_S0")
    seen.append(live.picture().coverage.counts)
    wanted = (Status.PENDING, Status.RUNNING, Status.LOST, Status.PENDING, Status.COMPLETED)
    assert seen == [{status: 1} for status in wanted]


def test_a_process_that_dies_without_a_word_is_seen(bench):
    bench.declare([("a", 0)])
    bench.open("a_S0")
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    theirs = ProcessId.current().as_dict() | {"pid": process.pid, "create_time": _created(process.pid)}
    _rewrite_process(bench.folder.path / "a_S0/events.ndjson", theirs)
    live = LiveStudy(bench.folder)
    assert live.picture().coverage.counts == {Status.RUNNING: 1}
    process.kill()
    process.communicate()
    picture = live.picture()
    assert picture.coverage.counts == {Status.LOST: 1}
    assert "train.log" in picture.troubled[0].reason


def test_a_run_on_another_machine_is_believed_while_it_beats(bench):
    bench.declare([("a", 0)])
    writer = bench.open("a_S0")
    theirs = ProcessId.current().as_dict() | {"host": "elsewhere", "boot_id": "other"}
    path = bench.folder.path / "a_S0/events.ndjson"
    _rewrite_process(path, theirs)
    live = LiveStudy(bench.folder)
    assert [live.picture().running[0].host for _ in range(2)] == ["elsewhere"] * 2
    rows = [{**json.loads(line), "time": "2020-01-01T00:00:00Z"} for line in path.read_text().splitlines()]
    path.write_text("".join(f"{json.dumps(row, separators=(',', ':'))}\n" for row in rows))
    assert live.picture().coverage.counts == {Status.LOST: 1}
    writer.close()


def test_looking_again_reads_no_ended_run_again(sums, monkeypatch):
    live = LiveStudy(sums.folder)
    first = live.picture()
    asked = []
    monkeypatch.setattr(RunView, "status", lambda view: asked.append(view.name))
    assert live.picture() == first
    assert asked == []


def test_the_conductor_is_told_while_it_lives(bench):
    bench.declare([("a", 0)])
    live = LiveStudy(bench.folder)
    with study_lock(bench.folder):
        picture = live.picture()
        assert (picture.conductor, picture.at_work) == (ProcessId.current(), True)
        assert 0 <= picture.seconds < 60
    assert live.picture().at_work is False


def test_a_conductor_elsewhere_is_believed_for_a_while_only(bench):
    bench.declare([("a", 0)])
    note_conductor(bench.folder, dataclasses.replace(ProcessId.current(), host="elsewhere", boot_id="other"))
    assert LiveStudy(bench.folder).picture().at_work
    os.utime(bench.folder.conductor_json, (time.time() - 3600,) * 2)
    assert not LiveStudy(bench.folder).picture().at_work


def test_what_failed_before_the_conductor_began_is_still_to_come(sums):
    writer = sums.open("head_S2")
    failed = sums.folder.path / "head_S0/manifest.json"
    with study_lock(sums.folder):
        now = time.time()
        os.utime(failed, (now + 5,) * 2)
        time.sleep(0.3)  # longer than the runs of this study took, so the one at work is as good as done
        assert LiveStudy(sums.folder).picture().eta == 0.0
        os.utime(failed, (now - 3600,) * 2)
        assert LiveStudy(sums.folder).picture().eta > 0.0
    writer.close()


def test_without_a_declaration_what_lies_there_is_shown(sums):
    sums.folder.lock_json.unlink()
    assert LiveStudy(sums.folder).picture().coverage.planned == 8


def test_a_declaration_that_names_another_folder_is_not_followed(sums):
    lock = json.loads(sums.folder.lock_json.read_text())
    lock["declared"][0]["name"] = "../../secret"
    write_json(sums.folder.lock_json, lock)
    outside = sums.root / "secret"
    (sums.folder.path / "head_S1").rename(outside)
    picture = LiveStudy(sums.folder).picture()
    assert picture.coverage.counts[Status.PENDING] == 3
    assert places(picture.troubled) == ["head_S0"]


def working(*, seconds, rest):
    return Working("x", 1, 10, None, Vitals(), pid=1, host="h", seconds=seconds, rest=rest)


def test_nothing_is_forecast_before_anything_is_known():
    assert forecast([], waiting=4, durations=[10.0]) is None
    assert forecast([working(seconds=5.0, rest=None)], waiting=4, durations=[]) is None


def test_the_forecast_is_work_left_over_runs_side_by_side():
    two = [working(seconds=5.0, rest=5.0), working(seconds=0.0, rest=None)]
    assert forecast(two, waiting=4, durations=[10.0, 20.0]) == pytest.approx((4 * 15 + 5 + 15) / 2)
    assert forecast(two[:1], waiting=3, durations=[]) == pytest.approx(3 * 10 + 5)


def test_the_longest_run_is_waited_for():
    assert forecast([working(seconds=5.0, rest=1.0), working(seconds=5.0, rest=60.0)], waiting=0, durations=[]) == 60.0


def _created(pid):
    from quadrat.journal.process import create_time

    return create_time(pid)


def _rewrite_process(path, process):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[0]["process"] = process
    path.write_text("".join(f"{json.dumps(row, separators=(',', ':'))}\n" for row in rows))
