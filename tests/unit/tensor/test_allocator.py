"""Freed memory stays with the process, unless its user has said otherwise. Asked of processes of their own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from quadrat.tensor.allocator import OWN, keep_freed

STEPS = """
import resource
import torch
from quadrat.tensor.allocator import keep_freed
torch.set_num_threads(1)
assert keep_freed()
def step():
    # A training step in little: many arrays at once, then none.
    return sum(float(part[0]) for part in [torch.ones(1_500_000) for _ in range(12)])
step(), step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
ONE_STEP = 12 * 6_000_000 // 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be asked")
def test_ten_steps_that_free_all_they_took_get_fewer_fresh_pages_than_one_step_takes():
    told = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True)
    assert int(told.stdout) < ONE_STEP, "left to itself glibc gives about ten times as many"


@pytest.mark.parametrize("name", OWN)
def test_what_the_user_has_set_stays(name):
    assert keep_freed({name: "1"}) is False
