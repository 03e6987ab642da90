"""Several processes on one run: whose failure it was, and what rank 0 leaves for the launcher."""

from __future__ import annotations

import json
import os

import pytest

from quadrat.core.verdicts import Status
from quadrat.launchers.torchrun import note
from quadrat.run import ranks
from quadrat.run.loop import Ending

OWN = 'Traceback:\n  File "study.py", line 3, in train\nRuntimeError: mine\n'
ECHO = (
    OWN.replace("RuntimeError: mine", "") + '  File "/x/torch/distributed/distributed_c10d.py", line 9, in all_reduce\n'
)


@pytest.fixture
def pair(monkeypatch):
    """This process as one of two."""

    def be(number):
        for name, value in {"WORLD_SIZE": "2", "RANK": str(number), "TORCHELASTIC_RUN_ID": "x"}.items():
            monkeypatch.setenv(name, value)

    return be


def failed(traceback):
    return Ending(Status.FAILED, 4, error={"type": "RuntimeError", "message": "mine", "traceback": traceback})


def test_alone_nothing_is_noted_and_the_code_is_its_own(tmp_path):
    ranks.lead(tmp_path)
    assert (ranks.rank(), ranks.count(), ranks.leave(tmp_path, 4)) == (0, 1, 4)
    assert list(tmp_path.iterdir()) == []


def test_rank_0_leaves_its_code_in_a_note_and_ends_well(tmp_path, pair):
    pair(0)
    ranks.lead(tmp_path)
    assert note(tmp_path) == {"pid": os.getpid()}
    assert ranks.leave(tmp_path, 75) == 0
    assert note(tmp_path)["code"] == 75


def test_the_echo_of_another_failure_gives_way_to_it(tmp_path, pair):
    pair(0)
    theirs = {"type": "ValueError", "message": "rank 1: theirs", "where": "rank 1", "traceback": "..."}
    (tmp_path / ranks.FAILED).write_text(json.dumps(theirs))
    assert ranks.blame(tmp_path, failed(ECHO)).error == theirs
    assert ranks.blame(tmp_path, Ending(Status.PREEMPTED, 4)).error == theirs
    assert ranks.blame(tmp_path, failed(OWN)).error["message"] == "mine"
    assert ranks.blame(tmp_path, Ending(Status.COMPLETED, 4)).status is Status.COMPLETED


def test_a_process_sees_its_own_device_only(monkeypatch, pair):
    pair(1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    ranks.take_device()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-b"
