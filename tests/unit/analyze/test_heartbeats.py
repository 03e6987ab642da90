"""Vital signs from the last heartbeats."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from quadrat.analyze.heartbeats import Devices, read_vitals


def beat(ago, *, attempt=1, **figures):
    moment = datetime.now(UTC) - timedelta(seconds=ago)
    return {"event": "heartbeat", "time": moment.isoformat(), "attempt": attempt, **figures}


def test_speed_and_processor_use_come_from_the_last_beats():
    beats = [beat(20 - i, step=10 * i, cpu_s=1.5 * i, rss=1000 + i) for i in range(20)]
    seen = read_vitals(beats)
    assert seen.cpu_percent == pytest.approx(150.0, rel=1e-3)
    assert seen.steps_per_second == pytest.approx(10.0, rel=1e-3)
    assert seen.rss == 1019
    assert seen.age == pytest.approx(1.0, abs=0.5)


def test_processor_use_is_of_now_and_not_of_the_past():
    beats = [beat(30 - i, cpu_s=float(min(i, 20))) for i in range(30)]
    assert read_vitals(beats).cpu_percent == 0.0


def test_another_attempt_is_another_process():
    beats = [beat(3, cpu_s=100.0, step=90, rss=5), beat(1, attempt=2, cpu_s=1.0, step=10, rss=7)]
    seen = read_vitals(beats)
    assert (seen.cpu_percent, seen.steps_per_second, seen.rss) == (None, None, 7)


def test_standing_still_is_no_speed():
    assert read_vitals([beat(2, step=5), beat(1, step=5)]).steps_per_second is None


def test_nothing_is_known_of_nothing():
    seen = read_vitals([])
    assert (seen.age, seen.cpu_percent, seen.rss, seen.devices) == (None, None, None, Devices())


def test_devices_are_shown_when_heartbeats_have_them():
    told = beat(1, gpu_percent=[97, 3], gpu_memory=[2**30, 0], gpu_watts=[250.5, 60.0], gpu_celsius=[61, 30])
    devices = read_vitals([told]).devices
    assert devices == Devices(
        percent=(97.0, 3.0), memory=(float(2**30), 0.0), watts=(250.5, 60.0), celsius=(61.0, 30.0)
    )
    assert read_vitals([beat(1, gpu_percent=55)]).devices.percent == (55.0,)
    assert read_vitals([beat(1, gpu="unknown")]).devices == Devices(unknown=True)


def test_figures_of_the_wrong_kind_count_as_absent():
    seen = read_vitals([{**beat(1, cpu_s="x", step=None, rss=True, gpu_percent=["y"]), "time": "never"}])
    assert (seen.age, seen.rss, seen.devices.percent) == (None, None, ())
