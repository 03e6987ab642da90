from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from quadrat.core.errors import UsageError
from quadrat.core.verdicts import Status
from quadrat.sinks.base import Tracker
from quadrat.sinks.mirror import Mirror, study_at
from quadrat.testing.sinks import FileTracker


@pytest.fixture(autouse=True)
def _every_pass_is_saved(monkeypatch):
    monkeypatch.setattr("quadrat.sinks.mirror.SAVE_SECONDS", -1.0)


def mirror(study) -> Mirror:
    """As a new process would make it."""
    return Mirror(FileTracker(study.folder.path / ".plain"), study.folder, name="plain")


def entry(study, name="L2_S0"):
    return json.loads((study.folder.path / ".mirror/plain.json").read_text())["runs"][name]


def tamper(study, name="L2_S0"):
    """Leave a trace in what has arrived: it is gone when the run was taken in again from its first row."""
    path = study.folder.path / ".plain" / f"{name}.ndjson"
    path.write_bytes(path.read_bytes().replace(b'"config"', b'"CONFIG"'))


def is_untouched(told, study):
    return "CONFIG" in told(study)[0]


def test_a_run_is_followed_from_its_first_row_to_its_end(study, told, steps):
    story, keeper = study.run(), mirror(study)
    keeper.send()
    assert told(study)[0]["config"] == {"rate": 0.5}
    keeper.send()
    story.rows(1, 2)
    keeper.send()
    story.rows(3)
    keeper.send()
    assert steps(study) == [1, 2, 3]
    assert entry(study)["ended"] is None
    story.rows(4).end()
    keeper.send()
    assert steps(study) == [1, 2, 3, 4]
    assert (told(study)[-1]["status"], told(study)[-1]["summary"]["train/loss"]) == ("completed", 0.25)
    assert entry(study)["ended"] == "completed"
    for each in (keeper, mirror(study)):
        each.send(last=True)
    assert steps(study) == [1, 2, 3, 4]
    assert len(told(study)) == 6


def test_a_run_is_opened_when_it_has_said_who_it_is(study, told):
    story, keeper = study.run("first/S0"), mirror(study)
    row = story.folder.params.read_bytes()
    story.folder.params.unlink()
    keeper.send()
    assert told(study, "first/S0") == []
    story.folder.params.write_bytes(row)
    keeper.send()
    assert len(told(study, "first/S0")) == 1


def test_another_mirror_goes_on_at_the_remembered_offset(study, told, steps):
    story = study.run().rows(1, 2)
    mirror(study).send()
    tamper(study)
    story.rows(3)
    mirror(study).send()
    assert steps(study) == [1, 2, 3]
    assert is_untouched(told, study)


def test_where_the_tracker_cannot_go_on_the_run_is_sent_from_its_first_row(study, steps):
    story = study.run().rows(1, 2)
    mirror(study).send()
    (study.folder.path / ".plain/L2_S0.ndjson").unlink()
    story.rows(3)
    mirror(study).send()
    assert steps(study) == [1, 2, 3]


@pytest.mark.parametrize("by_another", [False, True])
@pytest.mark.parametrize("grown", [False, True])
def test_rows_behind_the_checkpoint_are_taken_back(study, told, steps, by_another, grown):
    story, keeper = study.run().rows(1, 2, 3), mirror(study)
    keeper.send()
    story.lose().again(keep=1)
    if not grown:
        keeper.send()
        assert steps(study) == [1], "the shorter file was noticed"
    story.rows(2, 3, 4, 5, scale=2.0)
    if by_another:
        keeper = mirror(study)
    keeper.send()
    arrived = [(line["step"], line["values"]["train/loss"]) for line in told(study) if "step" in line]
    assert arrived == [(1, 1.0), (2, 1.0), (3, 2 / 3), (4, 0.5), (5, 0.4)]


def test_the_same_bytes_again_are_no_news(study, told, steps):
    story, keeper = study.run().rows(1, 2, 3), mirror(study)
    keeper.send()
    tamper(study)
    story.lose().again(keep=1).rows(2, 3, 4)
    keeper.send()
    assert steps(study) == [1, 2, 3, 4]
    assert is_untouched(told, study)


def test_a_failed_run_that_is_taken_up_again_is_opened_again(study, told, steps):
    story = study.run().rows(1, 2).end(Status.FAILED)
    mirror(study).send()
    assert told(study)[-1]["status"] == "failed"
    story.again(keep=2).rows(3).end()
    mirror(study).send()
    assert steps(study) == [1, 2, 3]
    assert [line["status"] for line in told(study) if "status" in line] == ["completed"]


@pytest.mark.parametrize("gone", [".mirror/plain.json", ".plain"])
def test_without_ledger_or_without_what_it_had_everything_is_sent_again(study, told, gone):
    study.run().rows(1, 2).end()
    mirror(study).send()
    before = told(study)
    tamper(study)
    path = study.folder.path / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    mirror(study).send()
    assert told(study) == before


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"runs": {"L2_S0": {"offset": 1}}, "destination": "files"}', '{"runs": 3}']
)
def test_a_ledger_that_makes_no_sense_is_as_none(study, steps, text):
    study.run().rows(1, 2).end()
    (study.folder.path / ".mirror/plain.json").write_text(text)
    mirror(study).send()
    assert steps(study) == [1, 2]


def test_what_is_dead_is_closed_when_nobody_will_look_again(study, told, steps, lost):
    study.run("dead", process=lost).rows(1, 2).lose()
    study.run("alive").rows(1)
    keeper = mirror(study)
    keeper.send()
    assert told(study, "dead") == []
    keeper.send(last=True)
    assert told(study, "dead")[-1]["status"] == "lost"
    assert steps(study, "alive") == [1]
    assert (entry(study, "dead")["ended"], entry(study, "alive")["ended"]) == ("lost", None)


def test_stages_and_unreadable_runs(study, steps):
    study.run("first/S0").rows(1).end()
    study.run("second/S0").rows(1, 2).end()
    odd = study.run("odd").rows(1).end()
    odd.folder.config.write_bytes(b"\xff: [")
    odd.folder.verdict.write_bytes(b"{")
    odd.folder.metrics.unlink()
    odd.folder.metrics.mkdir()
    mirror(study).send()
    assert (steps(study, "first/S0"), steps(study, "second/S0"), steps(study, "odd")) == ([1], [1, 2], [])


class Stumbling(Tracker):
    """Passes on to a file until a step comes; whatever was passed on before it raises has arrived."""

    def __init__(self, home, *, at):
        super().__init__(home, patience=1)
        self.inner, self.at = FileTracker(home), at

    destination = "files"

    def open(self, run):
        return StumblingTrack(self.inner.open(run), self)

    def resume(self, run, mark):
        track = self.inner.resume(run, mark)
        return StumblingTrack(track, self) if track else None


class StumblingTrack:
    def __init__(self, inner, owner):
        self.inner, self.owner = inner, owner
        self.mark, self.close = inner.mark, inner.close

    def rows(self, rows):
        for row in rows:
            self.inner.rows([row])
            if row.step == self.owner.at:
                raise ConnectionResetError("the server went away")


def test_after_trouble_every_row_arrives_once(study, told, steps):
    story = study.run().rows(1, 2)
    other = study.run("other").rows(1, 2, 3).end()
    tracker = Stumbling(study.folder.path / ".plain", at=5)
    keeper = Mirror(tracker, study.folder, name="plain")
    keeper.send()
    story.rows(3, 4, 5, 6)
    with pytest.raises(ConnectionResetError):
        keeper.send()
    keeper.drop()
    tracker.at = None
    story.rows(7).end()
    keeper.send()
    assert steps(study) == [1, 2, 3, 4, 5, 6, 7]
    assert told(study)[-1]["status"] == "completed"
    assert steps(study, other.folder.name) == [1, 2, 3]


def test_a_folder_that_is_no_study_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(UsageError, match="no study"):
            study_at(path)


@pytest.fixture
def follow(study, plug_ins, mirror_command):
    """Starts a mirror process that follows the study with the sinks named; ends it with the test."""
    begun = []

    def start(*sinks: str, **options) -> subprocess.Popen[str]:
        command = [*mirror_command(study, "--follow"), *(f"--sink={name}" for name in sinks)]
        environ = {**os.environ, "PYTHONPATH": plug_ins, "OMP_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        begun.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environ, **options))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def test_a_process_follows_until_its_input_ends(study, follow, steps, told, eventually):
    story = study.run().rows(1, 2)
    process = follow("plain", "console")
    eventually(lambda: steps(study) == [1, 2])
    story.rows(3).end()
    study.run("late").rows(1).end()
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")
    assert told(study)[-1]["status"] == "completed"
    assert steps(study, "late") == [1], "what came last was sent before it left"


def test_trackers_that_hang_raise_or_are_not_installed_cost_one_line_each(study, follow, told):
    story = study.run().rows(1)
    process = follow("hanging", "raising", "needing", "unheard", "plain")
    early = [process.stdout.readline() for _ in range(3)]
    story.end()
    began = time.monotonic()
    out, _ = process.communicate(timeout=30)
    took = time.monotonic() - began
    lines = {line.split(":")[0].removeprefix("sink "): line for line in (*early, *out.splitlines(keepends=True))}
    assert process.returncode == 0
    assert len(early) + out.count("\n") == len(lines) == 4
    assert took < 5 + 3, "a hanging tracker is waited for, but not longer than promised"
    assert "1 of 1 runs have not arrived whole" in lines["hanging"]
    assert "failed with ConnectionError: no route to https://***@example.org." in lines["raising"]
    assert "needs the package 'a_package_that_is_not_there', which is not installed" in lines["needing"]
    assert "pip install 'quadrat[needing]'" in lines["needing"]
    assert "unknown sink 'unheard'" in lines["unheard"]
    assert all("python -m quadrat.sinks.mirror " in line for line in lines.values())
    assert told(study)[-1]["status"] == "completed", "the one that is well got everything"


def test_it_leaves_when_its_parent_is_killed(study, plug_ins, mirror_command, eventually, steps):
    study.run().rows(1)
    code = (
        "import subprocess, sys, time\n"
        "mirror = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, start_new_session=True)\n"
        "print(mirror.pid, flush=True)\ntime.sleep(600)"
    )
    command = [sys.executable, "-c", code, *mirror_command(study, "--follow", "--sink=plain")]
    environ = {**os.environ, "PYTHONPATH": plug_ins, "OMP_NUM_THREADS": "1"}
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, env=environ)
    pid = int(parent.stdout.readline())
    eventually(lambda: steps(study) == [1])
    parent.send_signal(signal.SIGKILL)
    parent.communicate()

    def is_gone():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    eventually(is_gone)


def test_sending_once_says_by_its_exit_code_whether_all_has_arrived(study, plug_ins, mirror_command, steps):
    study.run().rows(1, 2).end()

    def send(*words):
        environ = {**os.environ, "PYTHONPATH": plug_ins, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            mirror_command(study, *words), env=environ, capture_output=True, text=True, check=False, timeout=60
        )
        return done.returncode, done.stdout

    assert send() == (2, "")
    assert send("--sink=plain") == (0, "")
    assert steps(study) == [1, 2]
    assert send() == (0, ""), "the trackers used before"
    code, said = send("--sink=raising", "--sink=plain")
    assert code == 1
    assert said.count("\n") == 1


def test_two_mirrors_do_not_feed_one_tracker(study, follow, mirror_command, plug_ins, eventually, steps):
    study.run().rows(1)
    follow("plain")
    eventually(lambda: steps(study) == [1])
    environ = {**os.environ, "PYTHONPATH": plug_ins}
    second = subprocess.run(
        mirror_command(study, "--sink=plain"), env=environ, capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert "another mirror is at work" in second.stdout
