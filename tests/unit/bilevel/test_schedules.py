"""Numbers that change over a run."""

from __future__ import annotations

import pytest

from quadrat_studies.bilevel.config import Config
from quadrat_studies.bilevel.schedules import alpha, decayed, learning_rate, physics_is_on, tau, topk


def test_linear_decay_is_the_seeds():
    values = [decayed(step, 100, start=1.0, end=0.1, share=0.3) for step in (0, 15, 30, 99)]
    assert values == pytest.approx([1.0, 0.55, 0.1, 0.1])
    assert decayed(5, 100, start=1.0, end=0.1, share=0.0) == 0.1


def test_temperature_and_label_weight_follow_their_keys():
    config = Config.model_validate({"gumbel_tau": 2.0, "gumbel_tau_min": 0.5, "gumbel_tau_decay_frac": 0.5})
    assert [tau(step, 100, config=config) for step in (0, 25, 50, 99)] == pytest.approx([2.0, 1.25, 0.5, 0.5])
    assert tau(70, 100, config=Config(gumbel_tau=1.5)) == 1.5
    config = Config(alpha_start=0.8, alpha_min=0.2, alpha_decay_frac=1.0)
    assert [alpha(step, 100, config=config) for step in (0, 50, 100)] == pytest.approx([0.8, 0.5, 0.2])


def test_topk_ends_at_one():
    config = Config(ste_topk=5, ste_topk_anneal_frac=0.2)
    found = [topk(step, 100, config=config) for step in range(100)]
    assert found[0] == found[79] == 5 and found[99] == 1
    assert found == sorted(found, reverse=True)
    assert topk(99, 100, config=Config(ste_topk=4, ste_topk_anneal_frac=0.0)) == 4


def test_one_cycle_rises_and_falls_and_constant_is_constant():
    config = Config(lr=0.01)
    rates = [learning_rate(step, 200, config=config) for step in range(200)]
    peak = rates.index(max(rates))
    assert peak == 40 and rates[peak] == pytest.approx(0.01)
    assert rates[0] < 5e-4 and rates[-1] < 2e-5 * 10
    assert {learning_rate(s, 9, config=Config(lr=0.3, lr_schedule="constant")) for s in range(9)} == {0.3}


def test_physics_begins_where_it_is_told():
    config = Config(phys_start=0.75)
    assert [physics_is_on(step, 8, config=config) for step in range(8)] == [False] * 6 + [True] * 2
    assert not physics_is_on(7, 8, config=Config(phys_weight=0.0, phys_start=0.0))
