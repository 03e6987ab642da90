"""All of an export or nothing."""

from __future__ import annotations

import pytest

from quadrat.core.errors import UsageError
from quadrat.exports.base import staged, unfinished
from quadrat.run.imperative import start_run


def test_a_folder_gets_its_name_when_all_is_there(tmp_path):
    with staged(tmp_path / "out") as stage:
        stage.put("deep/a", b"12345")
        stage.count("deep/a", 2)
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out/deep/a").read_bytes() == b"12345"
    made = stage.written(tmp_path / "out", "a note")
    assert (made.files, made.size, made.masked, made.notes) == (1, 5, {"deep/a": 2}, ("a note",))


def test_an_error_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), staged(tmp_path / "out") as stage:
        stage.put("a", b"1")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_parent_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="no such folder"), staged(tmp_path / "none/out"):
        pass


def test_a_study_at_work_is_said(study):
    assert unfinished(study) == ()
    with start_run("small", "a", root=study.root):
        assert unfinished(study) == ("1 run is at work (a): what is written of them so far.",)
        with start_run("small", "b", root=study.root):
            assert unfinished(study) == ("2 runs are at work (a): what is written of them so far.",)
    assert unfinished(study) == ()
