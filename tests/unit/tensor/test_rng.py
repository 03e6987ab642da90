"""Random states: captured, put back, left alone."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from quadrat.tensor import checkpoint, rng, seeding


def _draw() -> tuple[float, float, float, float]:
    return random.random(), random.gauss(0, 1), float(np.random.normal()), torch.randn(()).item()


def test_a_state_that_went_to_disk_gives_the_same_numbers(tmp_path):
    seeding.apply(5)
    _draw()
    checkpoint.save(tmp_path, {"rng": rng.capture()})
    wanted = [_draw() for _ in range(3)]
    seeding.apply(6)
    rng.restore(checkpoint.load(tmp_path)["rng"])
    assert [_draw() for _ in range(3)] == wanted


def test_preserved_takes_nothing_from_the_streams():
    seeding.apply(1)
    wanted = _draw()
    seeding.apply(1)
    with rng.preserved():
        torch.nn.Linear(4, 4)
        _draw()
    assert _draw() == wanted


def test_preserved_puts_back_after_an_exception():
    seeding.apply(1)
    wanted = _draw()
    seeding.apply(1)
    with pytest.raises(KeyError), rng.preserved():
        _draw()
        raise KeyError
    assert _draw() == wanted


@pytest.mark.parametrize("seed", [0, 1, 42, 2**32 - 1])
def test_a_seed_is_applied_as_given(seed):
    assert seeding.apply(seed) == seed
    assert torch.initial_seed() == seed
    first = _draw()
    seeding.apply(seed)
    assert _draw() == first


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="-1"):
        seeding.apply(-1)


def test_threads_are_pinned_and_reported():
    before = torch.get_num_threads()
    try:
        assert seeding.pin(1)["torch_threads"] == 1
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(False)
