"""A loop of one's own is kept like any other run, and nothing that goes wrong on the way reaches the loop."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import time

import pytest

import quadrat
from quadrat.core.errors import StoreError, UsageError
from quadrat.journal.layout import RunFolder, StudyFolder
from quadrat.journal.reader import RunView
from quadrat.journal.seal import verify


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Begins runs of the study ``mine`` below a temporary root."""
    monkeypatch.delenv("QUADRAT_RELAY", raising=False)
    monkeypatch.delenv("RANK", raising=False)

    begun = []

    def begin(name="one", **more):
        begun.append(quadrat.start_run(**{"study": "mine", "name": name, "root": tmp_path, **more}))
        return begun[-1]

    yield begin
    for run in begun:
        run.finish()


@pytest.fixture
def view(tmp_path):
    """Looks at a run of the study ``mine``."""
    return lambda name="one": RunView(RunFolder(tmp_path / "results/mine" / name))


def rows(view):
    return [json.loads(line) for line in view.folder.metrics.read_text().splitlines()]


def warnings(view):
    return [event["what"] for event in view.events() if event["event"] == "warning"]


def test_a_run_is_written_whole_and_sealed(begin, view, tmp_path):
    with begin(config={"lr": 0.1, "net": {"depth": 2}}, seed=42) as run:
        assert view().status() == "running"
        for step in range(3):
            run.log(step, {"train/loss": 1 / (step + 1)}, accuracy=step / 2)
        run.note("derived", parameter_count=7)
    found = view()
    assert run.status == found.status() == "completed"
    assert rows(found)[1] == {"step": 1, "metrics": {"train/loss": 0.5, "accuracy": 0.5}}
    assert found.config() == {"lr": 0.1, "net": {"depth": 2}}
    assert (found.seed(), found.derived(), found.final()["accuracy"]) == (42, {"parameter_count": 7}, 1.0)
    assert verify(found.folder) == []
    names = {path.name for path in found.path.iterdir()}
    assert {"env.json", "git.json", "params.ndjson", "metrics.json", "verdict.json", "manifest.json"} <= names
    assert run.path == tmp_path / "results/mine/one"


def test_a_row_is_on_disk_when_log_has_returned(begin, view):
    run = begin()
    run.log(5, loss=0.25)
    assert rows(view()) == [{"step": 5, "metrics": {"loss": 0.25}}]
    run.finish()


def test_an_exception_marks_the_run_failed_keeps_the_traceback_and_goes_on_up(begin, view):
    with pytest.raises(ZeroDivisionError), begin() as run:
        run.log(1, loss=2.0)
        1 / 0  # noqa: B018
    error = view().error()
    assert view().status() == "failed"
    assert error["type"] == "ZeroDivisionError"
    assert "1 / 0" in error["traceback"]
    assert rows(view()) == [{"step": 1, "metrics": {"loss": 2.0}}]


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (KeyboardInterrupt(), "preempted"),
        (SystemExit(0), "completed"),
        (SystemExit(None), "completed"),
        (SystemExit(3), "failed"),
        (SystemExit("no data"), "failed"),
    ],
)
def test_how_the_loop_is_left_says_how_it_ended(begin, view, raised, status):
    with pytest.raises(type(raised)), begin():
        raise raised
    assert view().status() == status


def test_secrets_in_config_and_traceback_are_masked(begin, tmp_path):
    token = "hf_" + "a1" * 15
    with pytest.raises(RuntimeError), begin(config={"key": token, "api_key": "quite-secret-words", "lr": 1}):
        raise RuntimeError(f"refused {token}")
    everything = b"".join(path.read_bytes() for path in (tmp_path / "results").rglob("*") if path.is_file())
    assert token.encode() not in everything
    assert b"quite-secret" not in everything


def test_odd_numbers_are_kept_and_odd_things_are_named(begin, view):
    numpy = pytest.importorskip("numpy")
    with begin() as run:
        run.log(numpy.int64(3), loss=numpy.float32(0.5), nan=math.nan, worst=-math.inf)
        run.log(4, {"loss": 0.25, "text": "good", "thing": object(), "list": [1, 2]})
        run.log("five", loss=1.0)
        run.log(None, loss=1.0)
        run.log(6, 17)
        run.log(7, {3: 1.0, "loss": 2.0})
        run.log(8, {"loss": Grumpy()})
    found = view()
    assert rows(found)[:2] == [
        {"step": 3, "metrics": {"loss": 0.5, "nan": "NaN", "worst": "-Infinity"}},
        {"step": 4, "metrics": {"loss": 0.25}},
    ]
    assert [row["step"] for row in rows(found)] == [3, 4, 7, 8]
    said = " ".join(warnings(found))
    assert all(word in said for word in ("'text'", "'thing'", "'list'", "five", "not a mapping"))
    assert found.status() == "completed"
    assert run.step == 8


class Grumpy:
    def __float__(self):
        raise RuntimeError("not today")

    def __repr__(self):
        raise RuntimeError("nor my name")


def test_the_other_order_of_words_is_understood(begin, view):
    with begin() as run:
        run.log({"loss": 1.0})
        run.log({"loss": 0.5}, step=10)
        run.log({"loss": 0.2})
    assert [(row["step"], row["metrics"]["loss"]) for row in rows(view())] == [(1, 1.0), (10, 0.5), (11, 0.2)]


def test_artifacts_of_every_kind(begin, view, tmp_path):
    (tmp_path / "plot.svg").write_text("<svg/>")
    with begin() as run:
        run.artifact(tmp_path / "plot.svg")
        run.artifact("copy/of.svg", tmp_path / "plot.svg")
        run.artifact("text.txt", "words")
        run.artifact("raw.bin", b"\x00\x01")
        run.artifact("rows.jsonl", [{"a": 1}, {"a": 2}])
        run.artifact("figure.json", {"x": [1, 2]})
        run.artifact("made.txt", lambda path: path.write_text("made"))
        run.artifact("model.pt", b"weights")
    kept = view().path / "artifacts"
    texts = {path.relative_to(kept).as_posix(): path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    assert texts["plot.svg"] == texts["copy/of.svg"] == b"<svg/>"
    assert texts["rows.jsonl"] == b'{"a":1}\n{"a":2}\n'
    assert (texts["text.txt"], texts["raw.bin"], texts["made.txt"]) == (b"words", b"\x00\x01", b"made")
    assert json.loads(texts["figure.json"]) == {"x": [1, 2]}
    assert (view().path / "model.pt").read_bytes() == b"weights"
    assert verify(view().folder) == []


def test_an_artifact_that_cannot_be_kept_is_a_warning(begin, view, capsys, tmp_path):
    with begin() as run:
        run.artifact(tmp_path / "nowhere.png")
        run.artifact("../../outside.txt", "words")
        run.artifact("odd", 17)
        run.artifact("fails.txt", lambda path: 1 / 0)
    assert view().status() == "completed"
    assert [what.split()[1] for what in warnings(view())] == [
        f"'{tmp_path}/nowhere.png'",
        "'../../outside.txt'",
        "'odd'",
        "'fails.txt'",
    ]
    assert not (tmp_path / "outside.txt").exists()
    assert capsys.readouterr().err.count("was not kept") == 4


def test_after_the_end_nothing_is_written_and_it_is_said_once(begin, view, capsys):
    run = begin()
    run.log(1, loss=1.0)
    assert run.finish() == "completed"
    for step in range(5):
        run.log(step, loss=0.0)
    run.artifact("late.txt", "words")
    run.note("late")
    assert run.finish(error="too late") == "completed"
    assert capsys.readouterr().err.count("run.log after the end") == 1
    assert verify(view().folder) == []
    assert len(rows(view())) == 1


def test_finish_with_an_error(begin, view):
    assert begin().finish(error="the data is gone") == "failed"
    assert view().error()["message"] == "the data is gone"


@pytest.mark.parametrize("kind", ["dict", "namespace", "dataclass", "model"])
def test_configs_of_every_kind(begin, view, kind):
    @dataclasses.dataclass
    class Config:
        lr: float = 0.5

    from pydantic import BaseModel

    class Model(BaseModel):
        lr: float = 0.5

    made = {"dict": {"lr": 0.5}, "namespace": argparse.Namespace(lr=0.5), "dataclass": Config(), "model": Model()}
    begin(config=made[kind]).finish()
    assert view().config() == {"lr": 0.5}


def test_a_config_of_no_kind_is_refused_in_words(begin):
    with pytest.raises(UsageError, match="the config is a list"):
        begin(config=[1, 2])


def test_a_name_that_has_ended_is_refused_or_counted_on(begin, view, tmp_path):
    begin().finish()
    before = {path.name: path.read_bytes() for path in view().path.iterdir() if path.is_file()}
    with pytest.raises(UsageError, match=r'has ended already.*exist="new"'):
        begin()
    assert {path.name: path.read_bytes() for path in view().path.iterdir() if path.is_file()} == before
    assert [begin(exist="new").name, begin(exist="new").name] == ["one_2", "one_3"]
    with pytest.raises(UsageError, match="exist='over' is not known"):
        begin(exist="over")


def test_a_name_that_is_being_written_is_refused(begin):
    run = begin()
    with pytest.raises(UsageError, match="is being written by a process that is alive"):
        begin()
    run.finish()


def test_without_a_name_runs_are_counted(begin):
    assert [begin(None).name, begin(None).name] == ["run", "run_2"]
    assert [begin(None, seed=42).name, begin(None, seed=42).name] == ["S42", "S42_2"]


def test_a_failed_run_is_tried_again_in_its_folder(begin, view):
    with pytest.raises(ValueError, match="no"), begin() as run:
        run.log(1, loss=9.0)
        raise ValueError("no")
    with begin() as run:
        run.log(1, loss=1.0)
    found = view()
    assert rows(found) == [{"step": 1, "metrics": {"loss": 1.0}}]
    assert [row["attempt"] for row in found.attempts()] == [1, 2]
    assert b"9.0" in (found.path / "attempts/1/metrics.ndjson").read_bytes()
    assert found.status() == "completed"
    assert verify(found.folder) == []


def test_a_failed_run_with_another_config_is_refused_and_the_difference_named(begin):
    begin(config={"lr": 0.1}, seed=1).finish(error="no")
    with pytest.raises(UsageError, match=r"begun with lr=0\.1 and is now asked for with 0\.2"):
        begin(config={"lr": 0.2}, seed=1)


@pytest.mark.parametrize("name", ["a/b", "..", "", ".hidden", "x" * 300, "con"])
def test_names_that_cannot_be_folders_are_refused(begin, name):
    with pytest.raises(UsageError, match="cannot be used"):
        begin(name)


def test_a_study_of_a_file_takes_no_runs_from_outside(begin, tmp_path):
    folder = StudyFolder(tmp_path, "mine")
    folder.path.mkdir(parents=True)
    folder.lock_json.write_text('{"schema": 1, "study": "mine", "source": {"file": "mine.yaml"}, "declared": []}')
    with pytest.raises(UsageError, match=r"is declared by mine\.yaml"):
        begin()


def test_a_folder_that_cannot_be_written_is_said_before_the_loop_begins(begin, tmp_path):
    (tmp_path / "results").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match="cannot be written"):
        begin()


def test_only_rank_zero_writes(begin, monkeypatch, tmp_path):
    monkeypatch.setenv("RANK", "1")
    with begin() as run:
        run.log(1, loss=1.0)
        run.artifact("x.txt", "words")
        run.note("note")
    assert run.status == "completed"
    assert not (tmp_path / "results").exists()


def test_a_forked_worker_writes_nothing_and_ends_nothing(begin, view):
    with begin() as run:
        run.log(1, loss=1.0)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                run.log(2, loss=2.0)
                run.finish()
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert view().status() == "running"
        run.log(3, loss=3.0)
    assert [row["step"] for row in rows(view())] == [1, 3]


def test_runs_of_one_process_stand_side_by_side(begin, view):
    first, second = begin("first"), begin("second")
    first.log(1, loss=1.0)
    second.log(1, loss=2.0)
    assert [run.finish() for run in (second, first)] == ["completed", "completed"]
    assert rows(view("first"))[0]["metrics"] == {"loss": 1.0}
    assert rows(view("second"))[0]["metrics"] == {"loss": 2.0}


def test_a_log_costs_little(begin):
    run = begin()
    values = {f"metric/{number}": number / 7 for number in range(10)}
    best = math.inf
    for _ in range(5):
        before = time.thread_time()
        for step in range(1000):
            run.log(step, values)
        best = min(best, (time.thread_time() - before) / 1000)
    run.finish()
    assert best < 100e-6
