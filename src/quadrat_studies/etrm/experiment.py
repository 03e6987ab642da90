"""The ETRM experiment: train a solver of ARC tasks, watch its vital signs, and measure it on tasks.

Under torchrun every process runs ``train`` and yields the same events, with the same numbers in them. Each holds its
own slots of the batch, and a checkpoint holds the slots of all: where only the first is asked for one, the others wait
at that point and send theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from quadrat import Artifact, Checkpoint, Context, Event, Metrics, Note, UsageError
from quadrat.tensor.probes import parameter_count
from quadrat_studies.etrm import ranks
from quadrat_studies.etrm.answering import weights_in_place
from quadrat_studies.etrm.config import ArchConfig, Config
from quadrat_studies.etrm.data import Tasks, build_data, contamination, read_tasks
from quadrat_studies.etrm.examining import Examination
from quadrat_studies.etrm.model import Solver, build
from quadrat_studies.etrm.optimiser import FlatWeights
from quadrat_studies.etrm.training import Training
from quadrat_studies.etrm.weights_file import load_decoder, save_model

__all__ = ["Config", "build_data", "evaluate", "relative_cost", "train"]


def train(config: Config, context: Context) -> Iterator[Event]:
    """Train one solver and measure it. Resumes from ``context.state`` at any step."""
    with ranks.joined(context.device):
        tasks = read_tasks(_data_folder(context), config)
        run = Training(config, context, tasks=tasks)
        behind = _begin(run, tasks)
        if context.state is not None:
            run.load(context.state)
        exam = Examination(config, tasks, device=context.device)
        yield Note("derived", _derived(run, exam))
        yield Note("contamination", behind["contamination"])
        yield from _steps(run, exam, seen=len(behind["contamination"]["evaluation_tasks_seen"]))
        with weights_in_place(run.weights.values, run.optimiser.averaged):
            averaged = {name: tensor.detach().clone() for name, tensor in run.solver.state_dict().items()}
            _, replies = exam.measure(run.solver)
            tables = exam.tables(run.solver, replies)
        for name, content in tables.items():
            yield Artifact(name, content)
        about = {"trained_on": behind["trained_on"], "side": config.data.canvas, "step": run.step}
        yield Artifact("model.safetensors", partial(save_model, solver=run.solver, averaged=averaged, about=about))


def evaluate(config: Config, context: Context) -> Iterator[Event]:
    """Measure a finished solver again under ``config.evaluation``: other tasks, voting, test-time search.

    The network is the one in ``context.state``. Its architecture stands there and cannot be overridden.

    Raises:
        UsageError: there is no trained solver, or ``config`` asks for another canvas or architecture.
    """
    if context.state is None:
        raise UsageError("evaluate needs a trained solver.", remedy="name a finished run.")
    state = context.state
    arch = ArchConfig.model_validate(state["arch"])
    if arch != config.arch or int(state["side"]) != config.data.canvas:
        raise UsageError(
            "the solver was trained with another arch or canvas than config names; at other cycles or places its "
            "weights mean something else.",
            where="arch, data.canvas",
            remedy="leave both as they were in training.",
        )
    tasks = read_tasks(_data_folder(context), config)
    exam = Examination(config, tasks, device=context.device)
    solver = _restored(arch, state).to(context.device)
    values, replies = exam.measure(solver)
    yield Metrics(int(state["step"]), values)
    for name, content in exam.tables(solver, replies).items():
        yield Artifact(name, content)


def relative_cost(config: Config) -> float:
    """How long a run takes beside others: steps, rows, cells and how often the network is applied."""
    arch, recipe = config.arch, config.training
    passes = (arch.H_cycles + 2) * (arch.L_cycles + 1) * arch.L_layers
    return float(recipe.max_steps * recipe.global_batch_size * config.data.canvas**2 * arch.hidden_size * passes)


def _steps(run: Training, exam: Examination, *, seen: int) -> Iterator[Event]:
    recipe = run.recipe
    while run.step < recipe.max_steps:
        run.update()
        last = run.step == recipe.max_steps
        if run.step == 1 or run.step % recipe.log_every == 0 or last:
            yield Metrics(run.step, run.row())
        if run.step % exam.config.evaluation.every == 0 or last:
            with weights_in_place(run.weights.values, run.optimiser.averaged):
                values, _ = exam.measure(run.solver)
            if exam.on == "heldout":
                values["all.n_contaminated"] = float(seen)
            else:
                # Both halves of the overfit criterion in one number: at halting in training, and when asked again.
                values["overfit/exact_accuracy"] = min(run.recent_exact, values["all.exact_accuracy"])
            yield Metrics(run.step, values | {"num_params": float(parameter_count(run.solver))})
        yield Checkpoint(run.step, ranks.asked_of_all(run.state))
        ranks.answer(run.state)


def _begin(run: Training, tasks: Tasks) -> dict[str, Any]:
    """Load a pre-trained decoder where one is asked for; what the weights have seen, and what that means here."""
    recipe = run.recipe
    own = [task.id for task in run.pool.tasks]
    trained_on: list[str] | None = own
    seen: list[str] | None = [] if not run.pool.demo_only else own
    if recipe.load_pretrained_decoder is not None:
        header = load_decoder(run.solver, Path(recipe.load_pretrained_decoder).expanduser())
        run.optimiser.averaged.copy_(run.weights.values)
        seen = header.get("trained_on")
        trained_on = None if seen is None else sorted({*seen, *own})
    return {"trained_on": trained_on, "contamination": contamination(seen, tasks)}


def _restored(arch: ArchConfig, state: Mapping[str, Any]) -> Solver:
    table = state["buffers"].get("table.vectors")
    solver = build(arch, side=int(state["side"]), seed=0, puzzles=0 if table is None else len(table))
    FlatWeights(solver).values.copy_(torch.as_tensor(state["optimiser"]["averaged"]))
    solver.load_state_dict(state["buffers"], strict=False)
    return solver


def _derived(run: Training, exam: Examination) -> dict[str, Any]:
    table = run.solver.table
    return {
        "parameter_count": parameter_count(run.solver),
        "encoder_parameters": run.weights.encoder_size,
        "embedding_table_numbers": 0 if table is None else table.vectors.numel(),
        "feed_forward": run.arch.feed_forward,
        "context_gain": run.arch.gain,
        "total_steps": run.recipe.max_steps,
        "train_tasks": len(run.pool.tasks),
        "evaluated_on": exam.on,
        "evaluation_tasks": len(exam.tasks),
        "questions": len(exam.questions),
        "processes": ranks.world(),
    }


def _data_folder(context: Context) -> Path:
    if context.data is None:
        raise UsageError(
            "this study needs its data folder.", remedy="run it through quadrat, or call build_data first."
        )
    return context.data
