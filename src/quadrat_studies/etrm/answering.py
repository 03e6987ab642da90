"""Let a solver answer questions: every query of every version, at its first halt and after the last step."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias, final

import torch
from torch import Tensor

from quadrat_studies.etrm import ranks
from quadrat_studies.etrm.carry import Batch
from quadrat_studies.etrm.encoders import Demos, Encoded, Look
from quadrat_studies.etrm.grids import IGNORED
from quadrat_studies.etrm.items import Question
from quadrat_studies.etrm.losses import Rows, score_rows
from quadrat_studies.etrm.model import Answer, Solver

Refine: TypeAlias = Callable[[Solver, Batch], Tensor]
"""Gives an offset ``[B, T, D]`` to add to the contexts of a batch."""


@final
@dataclass(frozen=True, slots=True)
class Moment:
    """What a row said at one step, and how that scores; tokens ``[L]`` on the CPU."""

    tokens: Tensor
    confidence: float
    accuracy: float
    exact: float
    halt_right: float
    prediction: float
    halting: float


@final
@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one question.

    Attributes:
        first: at the first step whose halting logit was positive; the last step's where none was.
        last: after all steps, where the published evaluation reads.
        steps: steps until ``first``.
        labelled: whether anything could be scored.
    """

    first: Moment
    last: Moment
    steps: int
    labelled: bool


def answer_questions(
    solver: Solver, questions: Sequence[Question], *, batch_size: int, device: str, refine: Refine | None = None
) -> list[Reply]:
    """Answer every question, none dropped and none padded in; processes share the work."""
    mine = questions[ranks.rank() :: ranks.world()]
    replies: list[Reply] = []
    for begin in range(0, len(mine), batch_size):
        batch = Batch.of([question.item for question in mine[begin : begin + batch_size]], device)
        offset = None if refine is None else refine(solver, batch)
        replies += _answer(solver, batch, offset)
    return ranks.gather_lists(replies)


@torch.no_grad()
def _answer(solver: Solver, batch: Batch, offset: Tensor | None) -> list[Reply]:
    limit = solver.arch.halt_max_steps
    halted = torch.zeros(len(batch.inputs), dtype=torch.bool, device=batch.inputs.device)
    firsts: list[Moment | None] = [None] * len(halted)
    taken = [limit] * len(halted)
    moments: list[Moment] = []
    for step, answer in enumerate(run_steps(solver, batch, steps=limit, offset=offset), 1):
        now = (answer.halt > 0) & ~halted
        halted |= now
        wanted = torch.ones_like(now) if step == limit else now
        if not wanted.any():
            continue
        moments = _moments(answer, score_rows(answer, batch.labels), wanted)
        for row, moment in zip(wanted.nonzero()[:, 0].tolist(), moments, strict=True):
            if firsts[row] is None and (bool(now[row]) or step == limit):
                firsts[row], taken[row] = moment, step
    labelled = (batch.labels != IGNORED).any(1).tolist()
    return [
        Reply(first, last, steps, there)
        for first, last, steps, there in zip(firsts, moments, taken, labelled, strict=True)
        if first is not None
    ]


def run_steps(
    solver: Solver, batch: Batch, *, steps: int, offset: Tensor | None = None, demos: Demos | None = None
) -> Generator[Answer]:
    """The answers of ``steps`` successive steps from fresh states. An encoder with a state sees it again each step."""
    states = solver.inner.start(len(batch.inputs))
    memory: Tensor | None = None
    encoded: Encoded | None = None
    for _ in range(steps):
        if encoded is None or encoded.state is not None:
            encoded = context_of(solver, batch, state=memory, demos=demos)
            memory = encoded.state
        context = encoded.context if offset is None else encoded.context + offset
        answer = solver.inner(states, context=context, inputs=batch.inputs, cells=encoded.cells)
        states = answer.states
        yield answer


def context_of(solver: Solver, batch: Batch, *, state: Tensor | None = None, demos: Demos | None = None) -> Encoded:
    """The context of a batch, without sampling; from ``demos`` instead of its own where given."""
    if solver.table is not None:
        return Encoded(solver.table.spread(solver.table.vectors[batch.puzzles]))
    return solver.encode(batch.demos if demos is None else demos, Look(batch.inputs, state))


def _moments(answer: Answer, rows: Rows, wanted: Tensor) -> list[Moment]:
    tokens = answer.logits.argmax(-1)[wanted].to(torch.uint8).cpu()
    numbers = torch.stack(
        (answer.halt.sigmoid(), rows.accuracy, rows.exact, rows.halt_right, rows.prediction, rows.halting), 1
    )
    return [Moment(row, *values) for row, values in zip(tokens, numbers[wanted].double().tolist(), strict=True)]


@contextmanager
def weights_in_place(values: Tensor, other: Tensor) -> Generator[None]:
    """Work with other weights, such as the averaged ones, for the time of a block."""
    kept = values.clone()
    values.copy_(other)
    try:
        yield
    finally:
        values.copy_(kept)
