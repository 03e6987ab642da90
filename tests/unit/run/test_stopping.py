"""Being asked to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from quadrat.run.stopping import SIGNALS, Stop, listening


@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_asks_and_the_old_handlers_come_back(number):
    before = signal.getsignal(number)
    stop = Stop()
    with listening(stop):
        assert not stop.asked
        os.kill(os.getpid(), number)
        assert stop.asked
        assert stop.signal == number
    assert signal.getsignal(number) == before


def test_overdue_only_after_the_grace():
    now = [0.0]
    stop = Stop(grace=5.0, clock=lambda: now[0])
    now[0] = 100.0
    assert not stop.is_overdue
    stop.ask()
    assert not stop.is_overdue
    now[0] = 105.1
    assert stop.is_overdue


def test_a_second_signal_ends_at_once():
    code = (
        "import os, signal, time\n"
        "from quadrat.run.stopping import Stop, listening\n"
        "with listening(Stop()):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(30)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=20, check=False).returncode == 128 + signal.SIGTERM
