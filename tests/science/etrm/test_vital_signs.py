"""Metrics over a window: over rows that halted, next to what the origin logged."""

from __future__ import annotations

import math

import pytest
import torch

from quadrat_studies.etrm.losses import Rows
from quadrat_studies.etrm.vital_signs import VitalSigns, encoder_statistics


def rows(accuracy, exact, halt_right, counted=None):
    n = len(exact)
    ones = torch.ones(n) if counted is None else torch.tensor(counted)
    parts = (torch.tensor([float(v) for v in part]) for part in (accuracy, exact, halt_right))
    scored = [part * ones for part in parts]
    return Rows(torch.full((n,), 2.0) * ones, torch.full((n,), 0.5) * ones, *scored, ones)


def signs(cycle=4):
    made = VitalSigns(cycle=cycle, device="cpu")
    made.gradients(torch.tensor([3.0, 4.0, 5.0], dtype=torch.float64), torch.tensor(0.2, dtype=torch.float64))
    return made


def add(made, given, steps, halted, step=0, divergence=None):
    made.rows(given, step=step, steps=torch.tensor(steps), halted=torch.tensor(halted), divergence=divergence)


def test_scores_are_over_rows_that_halted_and_the_origins_over_all():
    made = signs()
    add(made, rows([1.0, 0.5, 0.2, 0.1], [1, 0, 0, 0], [1, 0, 1, 1]), [2, 4, 1, 1], [True, True, False, False])
    values = made.take(kl_weight=None)
    assert values["train/exact_accuracy"] == 0.5
    assert values["train/accuracy"] == 0.75
    assert values["train/q_halt_accuracy"] == 0.5
    assert values["train/steps"] == 3.0
    assert values["train/halted"] == 2
    assert values["train/halted_at_limit"] == 0.5
    assert values["origin/train/exact_accuracy"] == 0.25
    assert values["origin/train/steps"] == 2.0
    assert (values["train/lm_loss"], values["train/q_halt_loss"], values["train/count"]) == (2.0, 0.5, 4.0)


def test_nothing_halted_means_not_measured():
    made = signs()
    add(made, rows([1.0], [1], [1]), [1], [False])
    values = made.take(kl_weight=None)
    assert not {"train/accuracy", "train/exact_accuracy", "train/steps", "train/exact_accuracy_recent"} & set(values)
    assert values["origin/train/accuracy"] == 1.0


def test_a_row_without_labels_counts_in_nothing():
    made = signs()
    add(made, rows([1.0, 1.0], [1, 1], [1, 1], counted=[1.0, 0.0]), [4, 4], [True, True])
    values = made.take(kl_weight=None)
    assert values["train/halted"] == values["train/count"] == 1
    assert values["train/lm_loss"] == 2.0


def test_a_window_begins_anew_and_the_last_hundred_steps_go_on():
    made = signs()
    add(made, rows([1.0], [1], [1]), [2], [True], step=0)
    made.take(kl_weight=None)
    add(made, rows([0.0], [0], [1]), [2], [True], step=1)
    values = made.take(kl_weight=None)
    assert values["train/exact_accuracy"] == 0.0
    assert values["train/exact_accuracy_recent"] == 0.5
    add(made, rows([0.0], [0], [1]), [2], [True], step=100)  # takes the place of step 0
    assert made.take(kl_weight=None)["train/exact_accuracy_recent"] == 0.0


def test_gradients_are_before_clipping_and_the_origins_after():
    made = signs()
    values = made.take(kl_weight=None)
    assert [values[f"grad/{part}_norm"] for part in ("encoder", "inner", "total")] == [3, 4, 5]
    assert values["origin/grad/total_norm"] == pytest.approx(1.0)


def test_kl_is_a_mean_over_rows():
    made = signs()
    add(made, rows([0, 0], [0, 0], [0, 0]), [1, 1], [False, False], divergence=torch.tensor([1.0, 3.0]))
    values = made.take(kl_weight=0.1)
    assert values["train/kl_loss"] == 2.0
    assert values["train/kl_loss_weighted"] == pytest.approx(0.2)


def test_coverage_is_over_one_cycle_of_halting():
    made = signs(cycle=4)
    for step, reached in enumerate((8, 0, 0, 0)):
        made.reached(step, rows=torch.tensor(reached), of=8)
    assert made.take(kl_weight=None)["train/encoder_gradient_coverage"] == 0.25
    for step in range(4, 8):
        made.reached(step, rows=torch.tensor(0), of=8)
    assert made.take(kl_weight=None)["train/encoder_gradient_coverage"] == 0.0


def test_encoder_statistics_by_definition():
    torch.manual_seed(0)
    c = torch.randn(6, 3, 5) * 7
    values = encoder_statistics(c, torch.tensor([0, 0, 1, 2, 3, 4]))
    variance = (c - c.mean(0)).square().mean()
    assert values["origin/train/encoder_cross_sample_var"] == pytest.approx(variance.item(), rel=1e-5)
    relative = values["train/encoder_cross_sample_var"]
    assert relative == pytest.approx((variance / c.square().mean()).item(), rel=1e-5)
    assert encoder_statistics(c * 10, torch.arange(6))["train/encoder_cross_sample_var"] == pytest.approx(
        relative, rel=1e-4
    )
    within = (c[:2] - c[:2].mean(0)).square().mean() / c.square().mean()
    assert values["train/encoder_within_group_var"] == pytest.approx(within.item(), rel=1e-4)
    assert values["train/encoder_output_norm"] == pytest.approx(c.norm(dim=-1).mean().item(), rel=1e-5)
    same = c[:, :1].expand(-1, 3, -1)
    assert encoder_statistics(same, torch.arange(6))["train/encoder_token_std"] == pytest.approx(0, abs=1e-5)
    assert encoder_statistics(same, torch.arange(6))["origin/train/encoder_token_std"] > 1
    assert "train/encoder_within_group_var" not in encoder_statistics(c, torch.arange(6))
    assert all(math.isfinite(value) for value in values.values())
