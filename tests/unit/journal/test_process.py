"""Which process is meant, whatever the clock and the numbers do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from quadrat.journal.process import ProcessId, boot_time, create_time

SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_this_process_is_alive_and_survives_a_round_trip() -> None:
    me = ProcessId.current()
    assert me.pid == os.getpid()
    assert me.is_alive()
    assert ProcessId.from_dict(me.as_dict()) == me


def test_a_process_that_ended_is_dead_even_before_it_is_reaped() -> None:
    child = subprocess.Popen(SLEEPS)
    began = create_time(child.pid)
    assert began is not None
    other = replace(ProcessId.current(), pid=child.pid, create_time=began)
    assert other.is_alive()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie now: its number is still taken
    assert not other.is_alive()
    child.wait()
    assert not other.is_alive()


def test_a_number_given_to_a_stranger_is_not_taken_for_the_dead() -> None:
    me = ProcessId.current()
    assert not replace(me, create_time=me.create_time - 0.02).is_alive()


def test_another_host_or_another_start_is_not_alive_here() -> None:
    me = ProcessId.current()
    away = replace(me, host="elsewhere")
    before = replace(me, boot_id="00000000-0000-0000-0000-000000000000")
    assert (away.is_here(), away.is_same_host(), away.is_alive()) == (False, False, False)
    assert (before.is_here(), before.is_same_host(), before.is_alive()) == (False, True, False)


def test_the_start_of_a_process_does_not_depend_on_the_clock() -> None:
    # Seconds since the machine started, so it lies before its uptime and not near 1970's count.
    began = create_time(os.getpid())
    assert began is not None
    assert 0 < began <= time.time() - boot_time() + 2


def test_no_process_has_a_number_below_one() -> None:
    assert create_time(0) is None
    assert create_time(-1) is None


@pytest.mark.parametrize(
    "data", [{}, {"pid": 1}, {"pid": "x", "create_time": 1, "boot_id": "", "host": ""}, {"pid": None}]
)
def test_data_that_describes_no_process_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        ProcessId.from_dict(data)
