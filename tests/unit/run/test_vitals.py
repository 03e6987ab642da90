"""Vital signs of devices: told when they can be had, unknown otherwise, and never in the way."""

from __future__ import annotations

import time

import pytest

from quadrat.run import vitals
from quadrat.run.vitals import DeviceVitals, for_run


def test_what_the_driver_says_is_passed_on():
    assert DeviceVitals(lambda: {"gpu_percent": [7]})() == {"gpu_percent": [7]}


def test_a_driver_that_hangs_is_unknown_within_its_patience_and_is_asked_once():
    calls = []

    def hang():
        calls.append(1)
        time.sleep(30)
        return {}

    seen = DeviceVitals(hang, patience=0.1)
    began = time.monotonic()
    assert seen() == {"gpu": "unknown"}
    assert time.monotonic() - began < 2.0
    assert seen() == {"gpu": "unknown"}
    assert len(calls) == 1


def test_a_driver_that_raises_is_unknown():
    def broken():
        raise OSError("no driver")

    assert DeviceVitals(broken)() == {"gpu": "unknown"}


def test_a_run_without_devices_says_nothing():
    assert for_run(0)() == {}


def test_a_run_with_devices_and_no_driver_says_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr(vitals, "DRIVER", tmp_path / "nothing")
    assert for_run(1)() == {"gpu": "unknown"}


@pytest.mark.skipif(not vitals.DRIVER.exists(), reason="this machine has no NVIDIA driver")
def test_a_real_driver_gives_figures_for_each_device():
    seen = vitals.read_nvidia()
    assert len({len(values) for values in seen.values()}) == 1
