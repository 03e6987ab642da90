"""What an evaluation reports: ``all.``, ``ARC/``, the use that is made of demonstrations, and tables to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from quadrat_studies.etrm.answering import Moment, Reply, run_steps
from quadrat_studies.etrm.carry import Batch
from quadrat_studies.etrm.encoders import Demos
from quadrat_studies.etrm.grids import IGNORED, from_tokens
from quadrat_studies.etrm.items import Question
from quadrat_studies.etrm.losses import score_rows
from quadrat_studies.etrm.model import Solver
from quadrat_studies.etrm.voting import Vote, wilson

MEASURED: Mapping[str, str] = {
    "accuracy": "accuracy",
    "exact_accuracy": "exact",
    "q_halt_accuracy": "halt_right",
    "lm_loss": "prediction",
    "q_halt_loss": "halting",
}
"""Names under ``all.`` and where they stand in a moment."""


def reply_metrics(replies: Sequence[Reply], *, n_total: int, limit: int, prefix: str = "all.") -> dict[str, float]:
    """Means over all labelled questions, at their first halt; at the last step under ``origin/`` and ``.._at_max``.

    Args:
        replies: one a question.
        n_total: questions of the set.
        limit: the largest number of steps.
        prefix: ``all.``, or ``refined.`` for answers after test-time search.
    """
    scored = [reply for reply in replies if reply.labelled]
    n = len(scored)
    values = {f"{prefix}n_evaluated": float(n), f"{prefix}n_total": float(n_total)}
    if not n:
        return values
    for name, place in MEASURED.items():
        values[f"{prefix}{name}"] = sum(getattr(reply.first, place) for reply in scored) / n
        values[f"origin/{prefix}{name}"] = sum(getattr(reply.last, place) for reply in scored) / n
    values[f"{prefix}steps"] = sum(reply.steps for reply in scored) / n
    values[f"origin/{prefix}steps"] = float(limit)
    values[f"{prefix}exact_accuracy_at_max"] = values[f"origin/{prefix}exact_accuracy"]
    low, high = wilson(sum(reply.first.exact for reply in scored), n)
    return values | {f"{prefix}exact_accuracy_low": low, f"{prefix}exact_accuracy_high": high}


def copying(questions: Sequence[Question]) -> dict[str, float]:
    """What a solver that gives every cell of the query back would score: the yardstick for ``all.accuracy``."""
    kept = [(item.inputs == item.labels)[item.labels != IGNORED] for item in (question.item for question in questions)]
    kept = [cells for cells in kept if len(cells)]
    if not kept:
        return {}
    return {
        "trivial/copy_input/accuracy": sum(float(cells.mean()) for cells in kept) / len(kept),
        "trivial/copy_input/exact_accuracy": sum(bool(cells.all()) for cells in kept) / len(kept),
    }


def votes_of(questions: Sequence[Question], replies: Sequence[Reply], *, side: int) -> list[Vote]:
    """Each answer at its first halt, cropped and turned back to the original task."""
    return [
        Vote(question.task, question.query, question.version.undo(_grid(reply.first, side)), reply.first.confidence)
        for question, reply in zip(questions, replies, strict=True)
    ]


def _grid(moment: Moment, side: int) -> Any:
    return from_tokens(moment.tokens.numpy(), side)


def prediction_rows(
    questions: Sequence[Question], replies: Sequence[Reply], *, names: Sequence[str], side: int, limit: int
) -> list[dict[str, Any]]:
    """The first ``limit`` questions with input, demonstrations, target and answer as grids, for a table."""
    rows: list[dict[str, Any]] = []
    for question, reply in list(zip(questions, replies, strict=True))[:limit]:
        item = question.item
        labels = item.labels.clip(min=0)
        demos = [
            {"input": from_tokens(item.demo_inputs[k], side).tolist(),
             "output": from_tokens(item.demo_outputs[k], side).tolist()}
            for k in range(item.demo_count)
        ]  # fmt: skip
        rows.append({
            "task": names[question.task], "version": question.version.name(names[question.task]),
            "query": question.query, "correct": bool(reply.first.exact), "steps": reply.steps,
            "confidence": reply.first.confidence, "input": _crop(item.inputs, side),
            "target": _crop(labels, side), "prediction": _shown(reply.first, labels, side), "demos": demos,
        })  # fmt: skip
    return rows


def _crop(tokens: Any, side: int) -> list[list[int]]:
    """The box that holds all colours of a canvas."""
    canvas = tokens.reshape(side, side)
    at = (canvas >= 2).nonzero()
    if not len(at[0]):
        return []
    box = canvas[at[0].min() : at[0].max() + 1, at[1].min() : at[1].max() + 1]
    return (box.astype(int) - 2).tolist()


def _shown(moment: Moment, labels: Any, side: int) -> list[list[int]]:
    """The prediction inside the target's bounds, or as it reads itself where there is no target."""
    if not (labels >= 2).any():
        return _grid(moment, side).tolist()
    at = (labels.reshape(side, side) >= 2).nonzero()
    box = moment.tokens.numpy().reshape(side, side)[: at[0].max() + 1, : at[1].max() + 1]
    return (box.astype(int) - 2).clip(min=-1).tolist()


@torch.no_grad()
def demo_use(solver: Solver, batch: Batch) -> dict[str, float]:
    """Scores with the true demonstrations minus those with demonstrations of another group, after all steps.

    A solver that recognises a task by the query's input loses nothing by the exchange: its gap is near 0. Every row
    gets the demonstrations of a row of a different group; rows for which there is none are left out.
    As long as ``train/demo_use_accuracy``, with true demonstrations, is low, there is nothing to lose.
    """
    other = foreign_rows(batch.groups.tolist())
    if other is None or solver.table is not None:
        return {}
    swapped = batch.demos.rows(torch.tensor(other, device=batch.groups.device))
    own, foreign = (_final_scores(solver, batch, demos) for demos in (batch.demos, swapped))
    return {
        "train/demo_use_accuracy": own[0],
        "train/demo_use_gap": own[0] - foreign[0],
        "train/demo_use_gap_exact": own[1] - foreign[1],
    }


def foreign_rows(groups: Sequence[int]) -> list[int] | None:
    """For each row a row of another group; None when there is only one group.

    Rows in order of group are rotated by the size of the largest group, so that no row can meet its own.
    """
    order = sorted(range(len(groups)), key=lambda row: groups[row])
    largest = max(groups.count(group) for group in set(groups))
    if len(set(groups)) < 2:
        return None
    if 2 * largest > len(groups):
        elsewhere = {g: [r for r in order if groups[r] != g] for g in set(groups)}
        return [elsewhere[groups[row]][row % len(elsewhere[groups[row]])] for row in range(len(groups))]
    place = {row: at for at, row in enumerate(order)}
    return [order[(place[row] + largest) % len(order)] for row in range(len(groups))]


def _final_scores(solver: Solver, batch: Batch, demos: Demos) -> tuple[float, float]:
    *_, answer = run_steps(solver, batch, steps=solver.arch.halt_max_steps, demos=demos)
    rows = score_rows(answer, batch.labels)
    counted = rows.counted.sum().clamp(min=1)
    assert (batch.labels != IGNORED).any()
    return (rows.accuracy.sum() / counted).item(), (rows.exact.sum() / counted).item()
