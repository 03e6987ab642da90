"""Artifacts: in their place, whole, and never outside the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quadrat.core.errors import UsageError
from quadrat.core.events import Artifact
from quadrat.run.artifacts import store


def test_each_kind_of_content_is_written(tmp_path):
    assert store(tmp_path, Artifact("note.txt", "héllo")) == 6
    store(tmp_path, Artifact("rows/test.jsonl", [{"a": 1}, {"a": float("nan")}]))
    store(tmp_path, Artifact("figure.json", {"x": [1, 2]}))
    store(tmp_path, Artifact("model.safetensors", lambda path: path.write_bytes(b"w")))
    assert (tmp_path / "artifacts/note.txt").read_text(encoding="utf-8") == "héllo"
    lines = (tmp_path / "artifacts/rows/test.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"a": 1}, {"a": "NaN"}]
    assert json.loads((tmp_path / "artifacts/figure.json").read_text()) == {"x": [1, 2]}
    assert (tmp_path / "model.safetensors").read_bytes() == b"w"


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "", "a\0b"])
def test_a_name_that_leads_outside_is_refused(tmp_path, name):
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(UsageError):
        store(run, Artifact(name, "x"))
    assert sorted(tmp_path.iterdir()) == [run]


def test_a_writer_that_fails_leaves_the_old_file(tmp_path):
    store(tmp_path, Artifact("a.bin", lambda path: path.write_bytes(b"old")))

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store(tmp_path, Artifact("a.bin", fail))
    assert [path.read_bytes() for path in (tmp_path / "artifacts").iterdir()] == [b"old"]
