"""Learning rates at the published points; orders that need no history."""

from __future__ import annotations

import pytest
import torch

from quadrat_studies.symmetry.config import Config
from quadrat_studies.symmetry.schedule import Order, learning_rate


@pytest.mark.parametrize(("epoch", "rate"), [(0, 1e-5), (5, 1.3e-4), (10, 2.5e-4), (110, 1.3e-4), (210, 1e-5)])
def test_published_rates(epoch, rate):
    assert learning_rate(Config.model_validate({"preset": "paper"}), epoch) == pytest.approx(rate, rel=1e-9)


def test_the_cpu_preset_has_the_same_shape():
    paper, cpu = (Config.model_validate({"preset": preset}) for preset in ("paper", "cpu"))
    for epoch in range(0, 211, 7):
        assert learning_rate(cpu, epoch) == pytest.approx(4 * learning_rate(paper, epoch))


def test_a_constant_schedule_is_constant():
    seed = Config.model_validate({"preset": "seed_literal"})
    assert {learning_rate(seed, epoch) for epoch in range(210)} == {1e-3}


def test_an_epoch_takes_every_row_once_but_for_a_short_last_batch():
    order = Order((7,), rows=103, batch=10)
    taken = torch.cat([order.take(step)[0] for step in range(10)]).tolist()
    assert len(taken) == len(set(taken)) == 100
    again = torch.cat([order.take(step)[0] for step in range(10, 20)]).tolist()
    assert len(set(again)) == 100
    assert again != taken


def test_an_order_depends_on_seed_and_step_alone():
    together = Order((7, 8, 9), rows=50, batch=8)
    rows = [together.take(step) for step in range(14)]
    late = Order((8,), rows=50, batch=8)
    assert torch.equal(late.take(13)[0], rows[13][1])
    assert torch.equal(late.take(2)[0], rows[2][1])
    assert not torch.equal(rows[0][0], rows[0][1])
