"""The page on loops of one's own: its examples are run, and its study files are read by the real loader."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from quadrat.journal.layout import RunFolder
from quadrat.journal.reader import RunView
from quadrat.study.load import load_study

PAGE = Path(__file__).parents[2] / "docs/howto/own-loop.md"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def test_the_loop_runs_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.setenv("QUADRAT_ROOT", str(tmp_path))
    for name in ("QUADRAT_RELAY", "RANK"):
        monkeypatch.delenv(name, raising=False)
    exec(compile(blocks("python")[0], str(PAGE), "exec"), {})
    view = RunView(RunFolder(tmp_path / "results/lines/first"))
    assert (view.status(), view.derived(), view.seed()) == ("completed", {"parameter_count": 2}, 42)
    assert len(view.series()["loss"].steps) == 100


def test_the_names_of_the_callbacks_are_there():
    names = re.findall(r"from quadrat\.callbacks\.(\w+) import (\w+)", PAGE.read_text(encoding="utf-8"))
    assert len(names) == 3
    for module, name in names:
        source = (PAGE.parents[2] / f"src/quadrat/callbacks/{module}.py").read_text(encoding="utf-8")
        assert f"class {name}(" in source


@pytest.mark.parametrize("place", [0, 1])
def test_the_study_files_are_read_as_they_stand(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    text = blocks("yaml")[place]
    if "study:" not in text:
        text = f"study: longer\nconfig: {{lr: 0.1}}\n{text}"
    Path("study.yaml").write_text(text)
    study = load_study("study.yaml")
    assert len(study.runs) == (9 if place == 0 else 1)
    assert study.runs[0].config["command"]["line"].startswith("python src/train.py")
