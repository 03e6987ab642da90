from __future__ import annotations

import os
import sys

import pytest

from quadrat.core.errors import UsageError
from quadrat.launchers.inline import InlineLauncher


def test_a_job_runs_here_and_has_ended_when_submit_returns(make_job):
    job = make_job("here", "(folder / 'pid').write_text(str(os.getpid())); return 3")
    handle = InlineLauncher().submit(job)
    assert (handle.name, handle.poll(), handle.pid) == ("here", 3, None)
    assert (job.folder / "pid").read_text() == str(os.getpid())


def test_prints_stay_with_the_person_who_watches(make_job, capfd):
    job = make_job("talks", "print('moin')")
    InlineLauncher().submit(job)
    assert capfd.readouterr().out == "moin\n"
    assert not job.log.exists()


def test_only_one_slot_is_offered():
    assert InlineLauncher().slots == InlineLauncher(slots=8).slots == 1
    with pytest.raises(UsageError, match="at least one slot"):
        InlineLauncher(slots=0)


def test_ctrl_c_is_not_taken_for_a_failure_of_the_job(make_job):
    with pytest.raises(KeyboardInterrupt):
        InlineLauncher().submit(make_job("interrupted", "raise KeyboardInterrupt"))


def test_the_import_path_is_put_back(make_job):
    before = list(sys.path)
    job = make_job("paths", "sys.path.append('/nonsense'); return 0")
    assert InlineLauncher().submit(job).poll() == 0
    assert sys.path == before


def test_a_log_that_cannot_be_written_does_not_change_the_outcome(make_job):
    job = make_job("unlogged", "raise ValueError('x')")
    job.log.mkdir()
    assert InlineLauncher().submit(job).poll() == 1
