"""Test-time search: move the context by gradient until the demonstrations explain each other.

For each demonstration the context is made of the others, shifted by one offset that all share; the offset goes down the
prediction loss on the demonstration left out. The query is then answered with the context of all demonstrations under
the same offset. After arXiv 2411.08706; the leave-one-out form keeps the encoder from simply handing the answer over.
"""

from __future__ import annotations

import torch
from torch import Tensor

from quadrat_studies.etrm.answering import context_of
from quadrat_studies.etrm.carry import Batch
from quadrat_studies.etrm.encoders import Demos
from quadrat_studies.etrm.grids import IGNORED, PAD
from quadrat_studies.etrm.losses import stablemax_losses
from quadrat_studies.etrm.model import Solver


def refine_context(solver: Solver, batch: Batch, *, steps: int, rate: float) -> Tensor:
    """The offset ``[B, T, D]`` after ``steps`` gradient steps; zero for rows with fewer than two demonstrations.

    Each step moves a row's offset by ``rate`` (in units of the context's root mean square) along its own gradient.
    """
    owner, parts = leave_one_out(batch)
    offset = torch.zeros(len(batch.inputs), solver.arch.puzzle_emb_len, solver.arch.hidden_size,
                         device=batch.inputs.device)  # fmt: skip
    if not len(owner):
        return offset
    with torch.no_grad():
        encoded = context_of(solver, parts)
    for _ in range(steps):
        offset.requires_grad_()
        with torch.enable_grad():
            states = solver.inner.start(len(owner))
            context = encoded.context + offset[owner]
            answer = solver.inner(states, context=context, inputs=parts.inputs, cells=encoded.cells)
            cells = (parts.labels != IGNORED).sum(1).clamp(min=1)
            loss = (stablemax_losses(answer.logits, parts.labels).sum(1) / cells).sum()
            (slope,) = torch.autograd.grad(loss, offset)
        size = slope.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-12)
        offset = (offset - rate * slope / size * (slope.abs().amax((1, 2), keepdim=True) > 0)).detach()
    return offset


def leave_one_out(batch: Batch) -> tuple[Tensor, Batch]:
    """Each demonstration of rows with two or more as a query beside the others; and whose row it is, ``[n]``."""
    filled = batch.demos.filled & (batch.demos.filled.sum(1, keepdim=True) > 1)
    owner, slot = filled.nonzero(as_tuple=True)
    others = batch.demos.filled[owner].clone()
    others[torch.arange(len(owner), device=owner.device), slot] = False
    outputs = batch.demos.outputs[owner, slot].long()
    labels = torch.where(outputs == PAD, IGNORED, outputs)
    demos = Demos(batch.demos.inputs[owner], batch.demos.outputs[owner], others)
    return owner, Batch(demos, batch.demos.inputs[owner, slot], labels, batch.groups[owner], batch.puzzles[owner])
