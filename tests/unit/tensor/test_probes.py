"""Vital signs of a model."""

from __future__ import annotations

import pytest
import torch

from quadrat.tensor.probes import gradient_norm, parameter_count


def test_frozen_parameters_do_not_count():
    model = torch.nn.Linear(3, 2)
    assert parameter_count(model) == 8
    model.bias.requires_grad_(False)
    assert parameter_count(model) == 6


def test_the_norm_is_that_of_all_gradients_together():
    model = torch.nn.Linear(2, 1)
    model.weight.grad, model.bias.grad = torch.tensor([[3.0, 0.0]]), torch.tensor([4.0])
    assert gradient_norm(model.parameters()).item() == pytest.approx(5.0)


def test_no_gradient_is_a_norm_of_zero():
    assert gradient_norm(torch.nn.Linear(2, 1).parameters()).item() == 0.0
