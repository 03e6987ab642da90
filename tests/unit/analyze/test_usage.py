"""What a study took: each process once, however many packed runs shared it."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from quadrat.analyze.rows import Row
from quadrat.analyze.usage import usage


def _row(name, *events):
    # A row needs nothing of its declaration here but its place.
    return Row(declared=SimpleNamespace(place=name), status=None, events=events)


def _started(pid, second, attempt=1):
    process = {"host": "h", "boot_id": "b", "pid": pid, "create_time": 1.0}
    return {"event": "started", "time": f"2026-11-21T10:00:{second:02}.000Z", "attempt": attempt, "process": process}


def _beat(second, attempt=1, **told):
    return {"event": "heartbeat", "time": f"2026-11-21T10:00:{second:02}.500Z", "attempt": attempt, **told}


def test_members_of_a_pack_count_once():
    beats = (_beat(5, cpu_s=4.0, rss=100), _beat(10, cpu_s=9.0, rss=300))
    took = usage([_row("a", _started(7, 0), *beats), _row("b", _started(7, 1), *beats)])
    assert (took.processes, took.seconds, took.cpu_seconds, took.peak_bytes) == (1, 10.5, 9.0, 300)
    assert took.devices is None


def test_attempts_in_other_processes_add_up():
    row = _row(
        "a", _started(7, 0), _beat(3, cpu_s=2.0, rss=5), _started(8, 20, 2), _beat(24, attempt=2, cpu_s=4.0, rss=4)
    )
    took = usage([row])
    assert (took.processes, took.seconds, took.cpu_seconds, took.peak_bytes) == (2, 8.0, 6.0, 5)


def test_devices_are_averaged_over_beats_and_a_silent_driver_is_unknown():
    told = {"gpu_percent": [50, 70], "gpu_memory": [10, 20], "gpu_watts": [100.0, 300.0], "gpu_celsius": [40, 60]}
    took = usage([_row("a", _started(7, 0), _beat(1, **told), _beat(2, **{**told, "gpu_percent": [90, 70]}))])
    assert took.devices is not None
    found = took.devices
    assert (found.percent, found.memory, found.watts, found.celsius) == (70.0, 20.0, 200.0, 60.0)
    silent = usage([_row("a", _started(7, 0), _beat(1, gpu="unknown"))]).devices
    assert silent is not None
    assert silent.unknown
    assert math.isnan(silent.percent)


def test_nothing_told_is_nothing_measured():
    took = usage([_row("a")])
    assert took.processes == 0
    assert math.isnan(took.cpu_seconds)


@pytest.mark.parametrize("junk", [None, "x", True, ["y", math.nan]])
def test_junk_in_a_heartbeat_is_passed_over(junk):
    took = usage([_row("a", _started(7, 0), _beat(1, cpu_s=junk, rss=2))])
    assert math.isnan(took.cpu_seconds)
    assert took.peak_bytes == 2
