"""The inner problem: element values of a given topology, to meet a wanted |S21| in dB.

Two solvers. ``levenberg_marquardt`` is the default: steps in the logs of the values by damped normal equations with
exact derivatives, each circuit with its own damping, only downhill. ``unrolled`` is the seed's: gradient steps that
autograd can follow. The envelope theorem makes the first enough for the outer problem: at an inner optimum a structure
variable's derivative is the partial one, whatever way the optimum was found.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from quadrat_studies.bilevel.ladder import DB, Ladder, sensitivity
from quadrat_studies.bilevel.masks import Mask

LARGEST_STEP = 1.5
"""Natural-log units: a value changes by less than a factor of five in one step."""


@final
@dataclass(frozen=True, slots=True)
class Solution:
    """Where the solver ended, circuit by circuit.

    Attributes:
        x: values (B, K, 2), unused slots as they came.
        start: mean squared dB error at the start (B,).
        error: at the end; never above ``start``.
        converged: whether the error or its relative change fell under the tolerance.
        iterations: accepted and refused steps.
    """

    x: Tensor
    start: Tensor
    error: Tensor
    converged: Tensor
    iterations: Tensor


@final
@dataclass(frozen=True, slots=True)
class Target:
    """Wanted curves: dB (B, F) at frequencies (B, F), not below ``floor_db``, with weights (B, F) or none.

    With a mask a frequency counts by how far it is from its bounds as well: ``mask_weight`` times the squared
    shortfall in dB.
    """

    curve: Tensor
    w: Tensor
    floor_db: float = -80.0
    mask: Mask | None = None
    mask_weight: float = 0.0

    def take(self, rows: Tensor) -> Target:
        """Some of them."""
        mask = None if self.mask is None else self.mask.take(rows)
        return Target(self.curve[rows], self.w[rows], self.floor_db, mask, self.mask_weight)

    def check(self) -> None:
        """Refuse what no solver could meet.

        Raises:
            ValueError: a wanted value or a frequency is not a number.
        """
        bad = ~(self.curve.isfinite() & self.w.isfinite()).all(1)
        if bad.any():
            raise ValueError(
                f"the wanted curve of circuit {int(bad.nonzero()[0])} holds a value that is not finite: repair the data"
            )


@torch.no_grad()
def levenberg_marquardt(
    ladder: Ladder,
    target: Target,
    *,
    iterations: int = 30,
    tolerance: float = 1e-9,
    free: Tensor | None = None,
    bounds: tuple[float, float] = (-9.0, 9.0),
) -> Solution:
    """Fit ``ladder`` to ``target``, all circuits at once; those that have converged leave the batch.

    Args:
        ladder: topologies and start values.
        target: what is wanted.
        iterations: at most so many steps.
        tolerance: mean squared dB error at which a circuit is done.
        free: which slots may move (B, K, 2); default: all that are used.
        bounds: of the logs of the values.

    Raises:
        ValueError: a wanted value is not finite.
    """
    target.check()
    size = len(ladder)
    movable = ladder.used() if free is None else ladder.used() & free
    x = torch.where(movable, ladder.x.clamp(*bounds), ladder.x)
    converged = torch.zeros(size, dtype=torch.bool, device=x.device)
    count = torch.zeros(size, dtype=torch.long, device=x.device)
    damping = torch.full((size,), 1e-2, dtype=torch.float64, device=x.device)
    active = torch.arange(size, device=x.device)
    state = _Normal.of(ladder.with_values(x), target, movable)
    error, start = state.error.clone(), state.error.clone()
    for _ in range(iterations):
        done = (error[active] <= tolerance) | converged[active] | ~error[active].isfinite()
        converged[active[error[active] <= tolerance]] = True
        if done.any():
            active, state = active[~done], state.take(~done)
        if not len(active):
            break
        step = state.step(damping[active])
        tried = (x[active] + step).clamp(*bounds)
        tried = torch.where(movable[active], tried, x[active])
        new = _Normal.of(ladder.take(active).with_values(tried), target.take(active), movable[active])
        better = new.error < error[active]
        gain = (error[active] - new.error) / error[active]
        count[active] += 1
        # Refused at a damping this strong means that no direction leads down in double precision.
        converged[active] |= (better & (gain < 1e-7)) | (~better & (damping[active] > 1e8))
        x[active] = torch.where(better[:, None, None], tried, x[active])
        error[active] = torch.where(better, new.error, error[active])
        damping[active] = torch.where(better, damping[active] / 6, damping[active] * 5).clamp(1e-12, 1e12)
        state = state.replaced(new, better)
    converged |= error <= tolerance
    return Solution(x, start, error, converged, count)


@final
@dataclass(frozen=True, slots=True)
class _Normal:
    """Error and normal equations of a batch at one point."""

    error: Tensor
    matrix: Tensor
    gradient: Tensor
    movable: Tensor

    @classmethod
    def of(cls, ladder: Ladder, target: Target, movable: Tensor) -> _Normal:
        logs, slopes = sensitivity(ladder, target.w)
        curve = logs.mul_(DB)
        slopes = _turned(slopes, movable).flatten(1, 2).mul_(DB)
        live = (curve > target.floor_db).to(curve.dtype)
        residual = curve.clamp_min(target.floor_db) - target.curve.clamp_min(target.floor_db)
        weight = live
        error = residual.square().mean(1)
        weighted = residual * live
        if target.mask is not None and target.mask_weight:
            low, high = target.mask.shortfall(curve)
            error = error + target.mask_weight * (low.square() + high.square()).mean(1)
            weighted = weighted + target.mask_weight * (high - low)
            weight = weight + target.mask_weight * ((low + high) > 0)
        points = curve.shape[1]
        gradient = (slopes @ weighted[:, :, None]).squeeze(2) / points
        scaled = slopes * weight[:, None, :]
        matrix = scaled @ slopes.transpose(1, 2) / points
        return cls(error, matrix, gradient, movable)

    def step(self, damping: Tensor) -> Tensor:
        diagonal = self.matrix.diagonal(dim1=1, dim2=2)
        # Marquardt's scaling, with a floor so that a part without influence does not run away.
        scale = diagonal + 1e-3 * diagonal.amax(1, keepdim=True) + 1e-12
        system = self.matrix + torch.diag_embed(damping[:, None] * scale + (diagonal == 0))
        factor, info = torch.linalg.cholesky_ex(system)
        found = torch.cholesky_solve(-self.gradient[:, :, None], factor).squeeze(2)
        found = torch.where((info == 0)[:, None] & found.isfinite(), found, torch.zeros_like(found))
        longest = found.abs().amax(1, keepdim=True).clamp_min(LARGEST_STEP) / LARGEST_STEP
        return _turned((found / longest).reshape(*self.movable.shape, 1), self.movable).squeeze(3)

    def take(self, rows: Tensor) -> _Normal:
        return _Normal(self.error[rows], self.matrix[rows], self.gradient[rows], self.movable[rows])

    def replaced(self, new: _Normal, better: Tensor) -> _Normal:
        return _Normal(
            torch.where(better, new.error, self.error),
            torch.where(better[:, None, None], new.matrix, self.matrix),
            torch.where(better[:, None], new.gradient, self.gradient),
            self.movable,
        )


def _turned(parts: Tensor, movable: Tensor) -> Tensor:
    """(B, K, 2, F) by slot as sum and difference where both slots move, zero where a slot does not; its own inverse.

    The sum of two logs sets where a resonator resonates, the difference its impedance. A curve is far more sensitive to
    the first, and damping that is scaled coordinate by coordinate has to see them apart.
    """
    parts = parts * movable[..., None]
    both = movable.all(2)[:, :, None]
    half = math.sqrt(0.5)
    total, gap = (parts[:, :, 0] + parts[:, :, 1]) * half, (parts[:, :, 0] - parts[:, :, 1]) * half
    return torch.stack((torch.where(both, total, parts[:, :, 0]), torch.where(both, gap, parts[:, :, 1])), 2)


# Unrolled gradient ---------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class Unroll:
    """The seed's inner loop: ``steps`` gradient steps of ``lr``, each coordinate at most ``max_step``.

    ``raw_min`` and ``raw_max`` clamp the logs. When a step makes a circuit's loss or gradient non-finite it is taken
    back and tried again, shorter by ``nan_backoff``, at most ``nan_tries`` times.
    """

    steps: int = 5
    lr: float = 1e-2
    max_step: float = 0.5
    raw_min: float = -8.0
    raw_max: float = 8.0
    create_graph: bool = True
    nan_backoff: float = 0.5
    nan_tries: int = 3


def unrolled(loss: Callable[[Tensor], Tensor], x: Tensor, *, plan: Unroll) -> tuple[Tensor, Tensor]:
    """Values after all steps and the loss *there*, circuit by circuit; differentiable back to ``x``.

    ``loss`` maps (B, ...) values to (B,). The last step counts: the loss is taken after it.
    """
    x = x.clamp(plan.raw_min, plan.raw_max)
    if not x.requires_grad:
        x = x.detach().requires_grad_()
    value = loss(x)
    for _ in range(plan.steps):
        (gradient,) = torch.autograd.grad(value.sum(), [x], create_graph=plan.create_graph)
        gradient = torch.where(gradient.isfinite(), gradient, torch.zeros_like(gradient))
        step = plan.lr * gradient
        if plan.max_step > 0:
            step = step.clamp(-plan.max_step, plan.max_step)
        x, value = _retried(loss, x, step=step, plan=plan)
    return x, value


def _retried(loss: Callable[[Tensor], Tensor], x: Tensor, *, step: Tensor, plan: Unroll) -> tuple[Tensor, Tensor]:
    shape = (-1,) + (1,) * (x.ndim - 1)
    length = torch.ones(len(x), dtype=x.dtype, device=x.device)
    tried = (x - step).clamp(plan.raw_min, plan.raw_max)
    new = loss(tried)
    for attempt in range(plan.nan_tries + 1):
        bad = ~new.isfinite()
        if not bad.any():
            break
        shorter = length * plan.nan_backoff if attempt < plan.nan_tries else torch.zeros_like(length)
        length = torch.where(bad, shorter, length)
        tried = (x - length.reshape(shape) * step).clamp(plan.raw_min, plan.raw_max)
        new = loss(tried)
    return tried, new
