"""The packed loop: every member ends in its own way, and nobody takes another along."""

from __future__ import annotations

import pytest

from quadrat.core.events import Artifact, Metrics
from quadrat.core.verdicts import Status
from quadrat.health.monitor import Monitor
from quadrat.journal.layout import RunFolder
from quadrat.journal.writer import RunWriter
from quadrat.run.loop import Loop
from quadrat.run.order import Keep
from quadrat.run.packed import PackTooLarge, drive
from quadrat.run.saving import Saver
from quadrat.run.stopping import Stop

NAN = {"id": "nan", "metric": "loss", "fail": "nonfinite", "action": "stop"}
MADE = {"config_sha256": "c", "code_sha256": "k", "data_sha256": None}


@pytest.fixture
def loops(tmp_path):
    """Three members' loops."""
    writers = []
    found = []
    for name in "abc":
        (tmp_path / name).mkdir()
        folder = RunFolder(tmp_path / name)
        writers.append(RunWriter(folder, attempt=1))
        saver = Saver(folder.checkpoints, Keep(), made_with=MADE)
        found.append(Loop(folder.path, writers[-1], saver, Monitor([NAN]), Stop()))
    yield found
    for writer in writers:
        writer.close()


def _rows(tmp_path, name):
    return (tmp_path / name / "metrics.ndjson").read_text().count("\n")


def _pack(steps, *, losses=lambda step, place: 1.0, heard=None):
    for step in range(1, steps + 1):
        stopped = yield [Metrics(step, {"loss": losses(step, place)}) for place in range(3)]
        if heard is not None:
            heard.append(stopped)


def test_all_go_to_the_end(loops, tmp_path):
    endings = drive(_pack(4), loops, from_step=0)
    assert [(ending.status, ending.step) for ending in endings] == [(Status.COMPLETED, 4)] * 3
    assert [_rows(tmp_path, name) for name in "abc"] == [4, 4, 4]


def test_a_stopped_member_is_told_of_and_heard_no_more(loops, tmp_path):
    heard = []
    sick = lambda step, place: float("nan") if (step, place) == (2, 1) else 1.0  # noqa: E731
    endings = drive(_pack(4, losses=sick, heard=heard), loops, from_step=0)
    assert [ending.status for ending in endings] == [Status.COMPLETED, Status.STOPPED, Status.COMPLETED]
    assert heard == [frozenset(), frozenset({1}), frozenset({1}), frozenset({1})]
    assert [_rows(tmp_path, name) for name in "abc"] == [4, 2, 4]


def test_when_all_are_stopped_the_generator_is_closed(loops):
    closed = []

    def endless():
        try:
            while True:
                yield [Metrics(1, {"loss": float("nan")})] * 3
        finally:
            closed.append(True)

    assert {ending.status for ending in drive(endless(), loops, from_step=0)} == {Status.STOPPED}
    assert closed == [True]


def test_what_one_member_cannot_write_fails_it_alone(loops):
    def rows():
        yield [Artifact("../x", "no"), None, Artifact("x", "yes")]
        yield [Metrics(1, {"loss": 1.0})] * 3

    statuses = [ending.status for ending in drive(rows(), loops, from_step=0)]
    assert statuses == [Status.FAILED, Status.COMPLETED, Status.COMPLETED]


def test_an_exception_of_the_generator_fails_those_still_at_work(loops):
    def broken():
        yield [Metrics(1, {"loss": float("nan") if place == 0 else 1.0}) for place in range(3)]
        raise ValueError("shapes differ")

    endings = drive(broken(), loops, from_step=0)
    assert [ending.status for ending in endings] == [Status.STOPPED, Status.FAILED, Status.FAILED]
    assert endings[1].error["message"] == "shapes differ"


def test_out_of_memory_is_told_apart(loops):
    def large():
        yield [Metrics(1, {"loss": 1.0})] * 3
        raise MemoryError("no room")

    with pytest.raises(PackTooLarge, match="3 runs"):
        drive(large(), loops, from_step=0)


def test_a_row_of_the_wrong_length_is_a_failure_not_a_mix_up(loops):
    endings = drive((row for row in [[Metrics(1, {"loss": 1.0})] * 2]), loops, from_step=0)
    assert Status.COMPLETED not in {ending.status for ending in endings}
