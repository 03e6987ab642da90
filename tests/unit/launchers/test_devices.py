from __future__ import annotations

import os
import time

import pytest

from quadrat.launchers.devices import parse_chosen, parse_listing, visible_devices

TWO_CARDS = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d1c)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-77ab)
"""
SLICED = """GPU 0: NVIDIA A100 (UUID: GPU-5d1c)
  MIG 1g.5gb      Device  0: (UUID: MIG-aaaa)
  MIG 1g.5gb      Device  1: (UUID: MIG-bbbb)
GPU 1: NVIDIA A100 (UUID: GPU-77ab)
"""


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """Puts a program called nvidia-smi first on the path."""

    def put(script: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return put


@pytest.mark.parametrize(
    ("value", "devices"),
    [("0,1", ("0", "1")), (" GPU-a , GPU-b", ("GPU-a", "GPU-b")), ("", ()), ("-1", ()), ("0,-1,2", ("0",))],
)
def test_the_variable_is_read_as_cuda_reads_it(value, devices):
    assert parse_chosen(value) == devices
    assert visible_devices({"CUDA_VISIBLE_DEVICES": value}) == devices


def test_cards_are_known_by_their_unique_names():
    assert parse_listing(TWO_CARDS) == ("GPU-5d1c", "GPU-77ab")


def test_a_sliced_card_gives_its_slices():
    assert parse_listing(SLICED) == ("MIG-aaaa", "MIG-bbbb", "GPU-77ab")


def test_the_driver_is_asked(driver):
    driver(f"cat <<'END'\n{TWO_CARDS}END")
    assert visible_devices() == ("GPU-5d1c", "GPU-77ab")


def test_a_driver_that_fails_or_is_missing_means_no_device(driver, monkeypatch, tmp_path):
    driver(f"cat <<'END'\n{TWO_CARDS}END\nexit 9")
    assert visible_devices() == ()
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert visible_devices() == ()


def test_a_driver_that_hangs_costs_two_seconds(driver):
    driver("exec sleep 30")
    began = time.monotonic()
    assert visible_devices() == ()
    assert 1.5 < time.monotonic() - began < 4
