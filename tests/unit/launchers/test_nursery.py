"""What becomes of a job when the imports it is to be forked from go wrong."""

from __future__ import annotations

import signal
import time

import pytest


def test_a_failed_import_is_told_in_the_log_of_every_job(make_pool, make_job, beside, outcome):
    (beside / "half_done.py").write_text("print('noise on stdout')\nraise ImportError('wrong build of 4711')\n")
    pool = make_pool()
    jobs = [make_job(f"j{n}", preload=("half_done",)) for n in range(3)]
    handles = [pool.submit(job) for job in jobs]
    assert [outcome(pool, handle) for handle in handles] == [1, 1, 1]
    for job in jobs:
        text = job.log.read_text()
        assert "cannot import half_done" in text
        assert "ImportError: wrong build of 4711" in text


@pytest.mark.parametrize("leaving", ["raise SystemExit(0)", "import sys; sys.exit('no')", "raise KeyboardInterrupt"])
def test_an_import_that_wants_to_leave_fails_the_job(make_pool, make_job, beside, outcome, leaving):
    (beside / "leaver.py").write_text(leaving)
    pool = make_pool()
    assert outcome(pool, pool.submit(make_job("a", preload=("leaver",)))) == 1


def test_an_import_that_crashes_is_reported_and_the_pool_goes_on(make_pool, make_job, beside, outcome):
    (beside / "crasher.py").write_text(
        "import os, signal, sys\nprint('about to', file=sys.stderr, flush=True)\nos.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    pool = make_pool()
    job = make_job("a", preload=("crasher",))
    assert outcome(pool, pool.submit(job)) == -signal.SIGSEGV
    assert "died by SIGSEGV" in job.log.read_text()
    assert "about to" in job.log.read_text()
    assert outcome(pool, pool.submit(make_job("b", "return 4"))) == 4


def test_an_import_that_prints_does_not_disturb_the_talk(make_pool, make_job, beside, outcome):
    (beside / "noisy.py").write_text("import os\nprint('{\"report\":\"ended\"}' * 5000)\nos.write(1, b'x\\n' * 9)\n")
    pool = make_pool()
    job = make_job("a", "return 4", preload=("noisy",))
    assert outcome(pool, pool.submit(job)) == 4
    assert job.log.read_text() == ""


def test_an_import_that_hangs_can_be_stopped(make_pool, make_job, beside, outcome, appears):
    (beside / "hanger.py").write_text(
        "import pathlib, time\npathlib.Path(__file__).with_name('hangs').write_text('y')\ntime.sleep(60)\n"
    )
    pool = make_pool(slots=1)
    first, second = (pool.submit(make_job(name, preload=("hanger",))) for name in "ab")
    appears(beside / "hangs")
    first.terminate()
    assert first.poll() == -signal.SIGTERM
    began = time.monotonic()
    pool.close()
    assert time.monotonic() - began < 2
    assert second.poll() == -signal.SIGTERM


def test_threads_of_an_import_are_warned_of(make_pool, make_job, beside, outcome):
    (beside / "threaded.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True, name='pulse').start()\n"
    )
    pool = make_pool()
    job = make_job("a", preload=("threaded",))
    assert outcome(pool, pool.submit(job)) == 0
    assert "started threads (pulse)" in job.log.read_text()
