"""A store that the real client wrote, read without it."""

from __future__ import annotations

import math
import shutil
import sqlite3
from contextlib import closing

import pytest

from quadrat.core.errors import StoreError
from quadrat.core.verdicts import Status
from quadrat.imports.mlflow import MlflowImporter


def read(path):
    importer, said = MlflowImporter(), []
    return list(importer.read(path, importer.sources(path), tell=said.append)), said


def test_runs_of_all_experiments_but_the_deleted(foreign):
    runs, said = read(foreign("mlflow"))
    assert sorted(run.name for run in runs) == ["first/child", "first/child", "first/parent", "second/at work"]
    assert said == ["mlflow.db: 1 deleted runs were left out."]
    found = {run.name: run for run in runs}
    assert sorted(run.status for run in runs) == [Status.COMPLETED, Status.FAILED, Status.LOST, Status.PREEMPTED]
    assert found["second/at work"].ended is None
    assert (found["first/parent"].started, found["first/parent"].ended) == (1.7e9, 1.7e9 + 9)


def test_parameters_get_their_types_back_and_rows_their_steps_times_and_odd_numbers(foreign):
    run = next(run for run in read(foreign("mlflow"))[0] if run.name == "first/parent")
    assert run.params == {"rate": 0.1, "seed": 3, "optimizer": "adam", "amp": True, "api_key": "hunter2hunter2"}
    rows = list(run.series())
    assert [row.step for row in rows] == [0, 1, 2, 3]
    assert [row.time for row in rows] == [1.7e9 + n + 0.5 for n in range(4)]
    values = [row.values["loss"] for row in rows]
    assert math.isnan(values.pop(1))
    assert values == [1.0, math.inf, 0.25]
    assert [round(row.values["acc"], 6) for row in rows] == [0.5, 0.6, 0.7, 0.8]


def test_a_nested_run_names_its_parent_and_a_commit_is_kept_but_no_person(foreign):
    runs = read(foreign("mlflow"))[0]
    parents = [run.told.get("parent") for run in runs if run.status is Status.FAILED]
    assert parents == ["parent"]
    told = next(run.told for run in runs if run.name == "first/parent")
    assert told["mlflow.source.git.commit"] == "c" * 40
    assert "somebody" not in str(told)


def test_a_view_in_place_of_a_table_is_no_store(foreign, tmp_path):
    shutil.copy(foreign("mlflow"), tmp_path / "mlflow.db")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as store:
        store.executescript("ALTER TABLE tags RENAME TO other; CREATE VIEW tags AS SELECT * FROM other;")
    assert not MlflowImporter().recognises(tmp_path / "mlflow.db")


def test_what_sqlite_has_not_yet_written_into_the_store_counts(foreign, tmp_path):
    shutil.copy(foreign("mlflow"), tmp_path / "mlflow.db")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as store:
        store.execute("PRAGMA journal_mode = WAL")
        store.execute("UPDATE runs SET name = 'renamed' WHERE name = 'parent'")
        store.commit()
        assert [file.path.name for file in MlflowImporter().sources(tmp_path)] == ["mlflow.db", "mlflow.db-wal"]
        assert "first/renamed" in {run.name for run in read(tmp_path)[0]}


def test_a_damaged_store_is_one_paragraph(foreign, tmp_path):
    path = tmp_path / "mlflow.db"
    data = bytearray(foreign("mlflow").read_bytes())
    importer = MlflowImporter()
    path.write_bytes(data)
    sources = importer.sources(path)
    for place in range(4096, len(data), 64):
        data[place : place + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(StoreError, match="sqlite cannot read it"):
        for run in importer.read(path, sources, tell=print):
            list(run.series())
