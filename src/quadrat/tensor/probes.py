"""Vital signs of a model: how many parameters, how large its gradients."""

from __future__ import annotations

from collections.abc import Iterable

import torch


def parameter_count(module: torch.nn.Module) -> int:
    """Number of trainable scalars in ``module``."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def gradient_norm(parameters: Iterable[torch.nn.Parameter]) -> torch.Tensor:
    """Euclidean norm of all gradients together, shape ``[]``; 0 when no parameter has a gradient.

    Stays on the device: call ``.item()`` only where the number is logged.
    """
    return torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
