"""Offline runs by the package itself: history, config, summary, ending."""

from __future__ import annotations

import math
import shutil

import pytest

from quadrat.core.errors import StoreError
from quadrat.core.verdicts import Status
from quadrat.imports.wandb import WandbImporter

pytest.importorskip("wandb", reason="the package wandb is not installed")


def read(path):
    importer = WandbImporter()
    return {run.name: run for run in importer.read(path, importer.sources(path), tell=print)}


def test_history_config_summary_and_exit_code(foreign):
    runs = read(foreign("wandb"))
    good, bad = runs["calm-sea-1"], runs["rough sea"]
    assert good.params == {"rate": 0.1, "model": {"depth": 2}, "seed": 3, "api_key": "hunter2hunter2", "late": 7}
    rows = list(good.series())
    assert [(row.step, row.values["inner.a"]) for row in rows] == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0)]
    assert math.isnan(rows[1].values["loss"])
    assert rows[3].values["loss"] == 0.25
    assert good.summary["test/gap"] == 0.125
    assert all(good.started - 60 < row.time < good.ended + 60 for row in rows)
    assert (good.status, bad.status) == (Status.COMPLETED, Status.FAILED)
    assert bad.error == "It ended with exit code 3."
    assert "text" in good.notes[0]


def test_nothing_of_the_machine_is_told(foreign):
    for run in read(foreign("wandb")).values():
        assert set(run.told) <= {"run_id", "project", "run_group", "job_type", "tags", "exit_code"}


def test_a_log_that_was_cut_off_is_a_lost_run_that_says_so(foreign, tmp_path):
    file = next(foreign("wandb").rglob("*.wandb"))
    data = file.read_bytes()
    (tmp_path / "run-x.wandb").write_bytes(data[: len(data) * 2 // 3])
    (run,) = read(tmp_path).values()
    assert run.status is Status.LOST
    assert len(list(run.series())) > 0
    assert any("no ending" in note for note in run.notes)


def test_a_log_with_nothing_but_its_first_bytes_is_refused(tmp_path, foreign):
    file = next(foreign("wandb").rglob("*.wandb"))
    (tmp_path / "run-x.wandb").write_bytes(file.read_bytes()[:7])
    with pytest.raises(StoreError, match="run-x"):
        read(tmp_path)


def test_a_folder_without_logs_is_none_of_it(tmp_path, foreign):
    shutil.copytree(foreign("wandb"), tmp_path / "wandb", ignore=shutil.ignore_patterns("*.wandb"), symlinks=True)
    assert not WandbImporter().recognises(tmp_path / "wandb")
