"""The loop: every way a generator can end, and nothing a trainable yields can take it down."""

from __future__ import annotations

import json

import pytest

from quadrat.core.events import Artifact, Checkpoint, Metrics, Note
from quadrat.core.verdicts import Status
from quadrat.health.monitor import Monitor
from quadrat.journal.layout import RunFolder
from quadrat.journal.writer import RunWriter
from quadrat.run.loop import Loop
from quadrat.run.order import Keep
from quadrat.run.saving import Saver, listing
from quadrat.run.stopping import Stop

STOP_AT_NAN = {"id": "nan", "metric": "loss", "fail": "nonfinite", "action": "stop"}
MADE = {"config_sha256": "c", "code_sha256": "k", "data_sha256": None}


@pytest.fixture
def bench(tmp_path):
    """A loop on a fresh run folder; ``drive`` returns the ending, ``rows`` and ``events`` what was written."""

    class Bench:
        stop = Stop(grace=0.0)

        def drive(self, generator, *, rules=(), keep=None):
            folder = RunFolder(tmp_path)
            with RunWriter(folder, attempt=1) as writer:
                saver = Saver(folder.checkpoints, keep or Keep(2, "steps"), made_with=MADE)
                return Loop(tmp_path, writer, saver, Monitor(rules), self.stop).drive(generator)

        def rows(self):
            return [json.loads(line) for line in (tmp_path / "metrics.ndjson").read_text().splitlines()]

        def events(self, kind):
            rows = [json.loads(line) for line in (tmp_path / "events.ndjson").read_text().splitlines()]
            return [row for row in rows if row["event"] == kind]

        def saved(self):
            return [path.name for path in listing(tmp_path / "checkpoints")]

    return Bench()


def _steps(n, *, loss=0.5, closed=None):
    try:
        for step in range(1, n + 1):
            yield Metrics(step, {"loss": loss})
            yield Checkpoint(step, lambda step=step: {"step": step}, epoch=step)
    finally:
        if closed is not None:
            closed.append(True)


def test_a_generator_that_ends_is_completed(bench):
    ending = bench.drive(_steps(5))
    assert (ending.status, ending.step) == (Status.COMPLETED, 5)
    assert [row["step"] for row in bench.rows()] == [1, 2, 3, 4, 5]
    assert bench.saved() == ["step-00000002", "step-00000004"]


def test_an_exception_is_a_failed_run_with_its_traceback(bench):
    def broken():
        yield Metrics(1, {"loss": 1.0})
        raise ValueError("the encoder has no gradient")

    ending = bench.drive(broken())
    assert ending.status is Status.FAILED
    assert ending.error["type"] == "ValueError"
    assert "the encoder has no gradient" in ending.error["traceback"]
    assert ending.step == 1


@pytest.mark.parametrize("error", [SystemExit(3), MemoryError("no room"), StopIteration()])
def test_no_exception_of_science_gets_out(bench, error):
    def broken():
        yield Note("x")
        raise error

    assert bench.drive(broken()).status is Status.FAILED


def test_a_rule_closes_the_generator_and_names_itself(bench):
    closed = []
    ending = bench.drive(_steps(5, loss=float("nan"), closed=closed), rules=[STOP_AT_NAN])
    assert ending.status is Status.STOPPED
    assert ending.diagnosis.rule == "nan"
    assert ending.step == 1
    assert closed == [True]
    assert bench.events("diagnosed")[0]["rule"] == "nan"
    assert bench.rows() == [{"step": 1, "metrics": {"loss": "NaN"}}]


def test_asked_to_stop_it_saves_at_the_next_offer_and_ends(bench):
    bench.stop = Stop(grace=60)
    closed = []

    def asked():
        yield from _until_asked(bench.stop)
        yield from _steps(5, closed=closed)

    ending = bench.drive(asked(), keep=Keep(1000, "steps"))
    assert (ending.status, ending.step) == (Status.PREEMPTED, 1)
    assert bench.saved() == ["step-00000001"]
    assert closed == [True]


def _until_asked(stop):
    yield Note("x")
    stop.ask(15)


def test_without_an_offer_it_ends_when_the_grace_is_over(bench):
    def never_offers():
        for step in range(1, 100):
            if step == 3:
                bench.stop.ask(15)
            yield Metrics(step, {"loss": 1.0})

    ending = bench.drive(never_offers())
    assert ending.status is Status.PREEMPTED
    assert ending.step < 10
    assert bench.saved() == []


def test_something_else_than_an_event_is_a_failure_that_says_so(bench):
    ending = bench.drive(iter([Metrics(1, {"loss": 1.0}), {"loss": 2.0}]))
    assert ending.status is Status.FAILED
    assert "Metrics, Checkpoint, Artifact or Note" in ending.error["message"]


def test_artifacts_and_notes_are_written_down(bench, tmp_path):
    bench.drive(iter([Note("derived", {"parameter_count": 7}), Artifact("a.txt", "hello")]))
    assert bench.events("note")[0]["data"] == {"parameter_count": 7}
    assert bench.events("artifact")[0] | {"time": 0, "attempt": 0} == {
        "event": "artifact", "name": "a.txt", "bytes": 5, "time": 0, "attempt": 0,
    }  # fmt: skip
    assert (tmp_path / "artifacts/a.txt").read_text() == "hello"


def test_a_checkpoint_that_cannot_be_written_costs_no_run(bench, tmp_path):
    (tmp_path / "checkpoints").write_text("a file is in the way")
    ending = bench.drive(_steps(3))
    assert ending.status is Status.COMPLETED
    assert "not saved" in bench.events("warning")[0]["what"]


def test_rules_see_what_the_journal_keeps(bench):
    """A float32 must be judged as the number that is written, or a replay would find something else."""
    import numpy as np

    rule = {"id": "low", "metric": "loss", "fail": "<= 0.1", "action": "stop"}
    ending = bench.drive(iter([Metrics(1, {"loss": np.float32(0.1)})]), rules=[rule])
    assert ending.status is Status.COMPLETED
    assert bench.rows()[0]["metrics"]["loss"] > 0.1
