"""Losses and scores of each row: stablemax cross-entropy, the halting loss, and what is right.

Formulas: arXiv 2510.04871 and 2501.04697 (stablemax). A row without a labelled cell counts in nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from quadrat_studies.etrm.grids import IGNORED
from quadrat_studies.etrm.model import Answer


@final
@dataclass(frozen=True, slots=True)
class Rows:
    """What each row of a batch got, all ``[B]``.

    Attributes:
        prediction: mean cross-entropy of its labelled cells, with gradient.
        halting: binary cross-entropy of the halting logit against ``exact``, with gradient.
        accuracy: share of its labelled cells that are right.
        exact: 1.0 where all of them are.
        halt_right: 1.0 where the halting logit is on the right side.
        counted: 1.0 where there is a labelled cell at all; everything above is 0 elsewhere.
    """

    prediction: Tensor
    halting: Tensor
    accuracy: Tensor
    exact: Tensor
    halt_right: Tensor
    counted: Tensor


def score_rows(answer: Answer, labels: Tensor) -> Rows:
    """Hold an answer against labels ``[B, L]`` (-100: not asked)."""
    asked = labels != IGNORED
    cells = asked.sum(1)
    each = cells.clamp(min=1)
    counted = (cells > 0).float()
    right = (answer.logits.detach().argmax(-1) == labels) & asked
    exact = ((right.sum(1) == cells) & (cells > 0)).float()
    halting = F.binary_cross_entropy_with_logits(answer.halt, exact, reduction="none")
    return Rows(
        prediction=(stablemax_losses(answer.logits, labels).sum(1) / each).float(),
        halting=halting * counted,
        accuracy=right.sum(1) / each,
        exact=exact,
        halt_right=((answer.halt.detach() >= 0).float() == exact).float() * counted,
        counted=counted,
    )


def stablemax_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """``-log p`` of each label, 0 where none is asked; float64, ``[B, L]`` from ``[B, L, C]``.

    In place of the exponential stands ``z + 1`` above 0 and ``1 / (1 - z)`` below: no logit has to run away for a
    probability to come near 1.
    """
    asked = labels != IGNORED
    z = logits.double()
    weight = torch.where(z < 0, 1 / (1 - z.clamp(max=0)), z + 1)
    chosen = weight.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return (weight.sum(-1).log() - chosen.log()) * asked
