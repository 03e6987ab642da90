"""The splits: tasks that fit the canvas, evaluation kept apart from training, and a manifest that shows it.

Augmentation happens on the fly (``items.py``), so a data folder is small. ``manifest.json`` counts what was left out
and why, and lists every evaluation task of which a training task holds a pair, whatever its turn and colours; such a
training task is taken out, so that nothing the evaluation shows has been trained on.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from quadrat import UsageError
from quadrat_studies.etrm.config import Config
from quadrat_studies.etrm.grids import Task, canonical_key
from quadrat_studies.etrm.sources import load_tasks, task_from_json, task_to_json

FILES = {"train": "train.jsonl", "evaluation": "eval.jsonl"}


@final
@dataclass(frozen=True, slots=True)
class Tasks:
    """What a run trains on and what it is measured on, and the manifest of the folder."""

    train: tuple[Task, ...]
    evaluation: tuple[Task, ...]
    manifest: dict[str, Any]


def build_data(config: Config, folder: Path) -> None:
    """Write ``train.jsonl``, ``eval.jsonl`` and ``manifest.json``. Reads ``config.data`` only.

    Raises:
        UsageError: the source cannot be read, or no task fits the canvas.
    """
    data = config.data
    source = load_tasks(data)
    evaluation = [task for task in source.evaluation if task.side <= data.canvas]
    fitting = [task for task in source.train if task.side <= data.canvas]
    shared = overlap(fitting, evaluation)
    train = [task for task in fitting if task.id not in shared]
    if not train or not evaluation:
        raise UsageError(
            f"no task fits a canvas of {data.canvas}.", where="data.canvas", remedy="a larger one, up to 30."
        )
    for name, tasks in (("train", train), ("evaluation", evaluation)):
        random.Random(f"{data.seed}/{name}").shuffle(tasks)
        lines = (json.dumps(task_to_json(task)) + "\n" for task in tasks)
        (folder / FILES[name]).write_text("".join(lines), encoding="utf-8")
    manifest = {
        "schema": 1,
        "source": source.name,
        "canvas": data.canvas,
        "train": _counts(source.train, train) | {"removed_because_in_evaluation": shared},
        "evaluation": _counts(source.evaluation, evaluation),
        "overlap_after_removal": overlap(train, evaluation),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def read_tasks(folder: Path, config: Config) -> Tasks:
    """The tasks of a run: the first ``max_train_groups`` and ``max_eval_groups`` of the folder's.

    Raises:
        UsageError: the folder does not hold the splits, or fewer tasks than are asked for.
    """
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        found = {split: (folder / name).read_text(encoding="utf-8").splitlines() for split, name in FILES.items()}
    except OSError as error:
        raise UsageError(f"the splits are not there: {error}.", where=str(folder), remedy="build the data.") from error
    tasks = {split: [task_from_json((row := json.loads(line))["id"], row) for line in lines]
             for split, lines in found.items()}  # fmt: skip
    limits = {"train": config.max_train_groups, "evaluation": config.max_eval_groups}
    keys = {"train": "max_train_groups", "evaluation": "max_eval_groups"}
    for split, limit in limits.items():
        if limit is not None and limit > len(tasks[split]):
            raise UsageError(
                f"{keys[split]} is {limit}, but only {len(tasks[split])} tasks fit a canvas of {config.data.canvas}.",
                where=keys[split],
                remedy="ask for fewer, or take a larger canvas.",
            )
    return Tasks(tuple(tasks["train"][: limits["train"]]), tuple(tasks["evaluation"][: limits["evaluation"]]), manifest)


def overlap(train: Sequence[Task], evaluation: Sequence[Task]) -> dict[str, list[str]]:
    """Training tasks that hold a pair of an evaluation task, each with those tasks.

    Pairs are compared up to the symmetries of the square and the names of the colours.
    """
    owners: dict[str, list[str]] = {}
    for task in evaluation:
        for key in _keys(task):
            owners.setdefault(key, []).append(task.id)
    found = {task.id: sorted({owner for key in _keys(task) for owner in owners.get(key, ())}) for task in train}
    return {task: others for task, others in found.items() if others}


def contamination(trained_on: Iterable[str] | None, tasks: Tasks) -> dict[str, Any]:
    """What a pre-trained decoder has seen of the evaluation tasks.

    Args:
        trained_on: ids of the tasks behind its weights; None when that is not known, which counts as all.
        tasks: the tasks of the run.
    """
    held_out = [task.id for task in tasks.evaluation]
    if trained_on is None:
        return {"known": False, "evaluation_tasks_seen": held_out, "clean": False}
    known = set(trained_on)
    seen = [name for name in held_out if name in known]
    return {"known": True, "evaluation_tasks_seen": seen, "clean": not seen}


def _keys(task: Task) -> set[str]:
    return {canonical_key(pair) for pair in task.pairs if pair.output is not None}


def _counts(all_tasks: Sequence[Task], kept: Sequence[Task]) -> dict[str, Any]:
    return {
        "in_source": len(all_tasks),
        "queries_in_source": sum(len(task.queries) for task in all_tasks),
        "kept": len(kept),
        "demos": sum(len(task.demos) for task in kept),
        "queries": sum(len(task.queries) for task in kept),
        "queries_without_solution": sum(pair.output is None for task in kept for pair in task.queries),
    }
