"""Where things lie, and that nothing leads out."""

from __future__ import annotations

from pathlib import Path

import pytest

from quadrat.core.errors import UsageError
from quadrat.core.spec import Point, RunSpec
from quadrat.journal.layout import RunFolder, StudyFolder, find_root, inside, studies


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUADRAT_ROOT", raising=False)


def spec(name: str = "L2_S0", *, stage: str | None = None, study: str = "demo") -> RunSpec:
    return RunSpec(study, stage, name, "m:train", {}, 0, Point({}), "0" * 12)


@pytest.mark.usefixtures("bare")
def test_the_root_is_the_nearest_folder_upward_with_the_marker(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "quadrat.toml").touch()
    assert find_root(deep) == tmp_path
    (tmp_path / "a" / "quadrat.toml").touch()
    assert find_root(deep) == tmp_path / "a"


@pytest.mark.usefixtures("bare")
def test_without_a_marker_the_root_is_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_root() == tmp_path


def test_told_roots_win_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, asked = tmp_path / "told", tmp_path / "asked"
    told.mkdir()
    asked.mkdir()
    (tmp_path / "quadrat.toml").touch()
    monkeypatch.setenv("QUADRAT_ROOT", str(told))
    assert find_root(tmp_path) == told
    assert find_root(tmp_path, asked) == asked
    monkeypatch.setenv("QUADRAT_ROOT", str(tmp_path / "gone"))
    with pytest.raises(UsageError, match=r"QUADRAT_ROOT names .*gone"):
        find_root(tmp_path)
    with pytest.raises(UsageError, match="--root names"):
        find_root(explicit=tmp_path / "quadrat.toml")


def test_every_file_of_a_run_lies_in_its_folder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "L2_S0")
    names = {
        "config": "config.yaml",
        "params": "params.ndjson",
        "metrics": "metrics.ndjson",
        "events": "events.ndjson",
        "metrics_json": "metrics.json",
        "health": "health.json",
        "verdict": "verdict.json",
        "env": "env.json",
        "git": "git.json",
        "git_diff": "git.diff",
        "data": "data.json",
        "checkpoints": "checkpoints",
        "artifacts": "artifacts",
        "log": "train.log",
        "manifest": "manifest.json",
        "attempts": "attempts",
    }
    assert {attribute: getattr(run, attribute) for attribute in names} == {
        attribute: run.path / name for attribute, name in names.items()
    }


def make(root: Path, place: str, *files: str) -> None:
    folder = root / "results" / place
    folder.mkdir(parents=True)
    for file in files:
        (folder / file).touch()


def test_runs_are_found_at_both_depths_in_order(tmp_path: Path) -> None:
    make(tmp_path, "demo/L2_S1", "params.ndjson")
    make(tmp_path, "demo/L2_S0", "config.yaml")
    make(tmp_path, "demo/L2_S0/artifacts", "config.yaml")
    make(tmp_path, "demo/overfit/A_S0", "params.ndjson")
    make(tmp_path, "demo/overfit/empty")
    make(tmp_path, "demo/.jobs/L2_S0", "config.yaml")
    make(tmp_path, "demo/deep/er/run", "config.yaml")
    make(tmp_path, "other/B_S0", "config.yaml")
    study = StudyFolder(tmp_path, "demo")
    (study.path / "link").symlink_to(study.path / "overfit")
    assert [run.path.relative_to(study.path).as_posix() for run in study.runs()] == ["L2_S0", "L2_S1", "overfit/A_S0"]
    assert studies(tmp_path) == ["demo", "other"]


def test_nothing_there_is_no_error(tmp_path: Path) -> None:
    assert studies(tmp_path) == []
    assert list(StudyFolder(tmp_path, "demo").runs()) == []


def test_a_declared_run_has_its_place(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path, "demo")
    assert study.run_folder(spec()).path == tmp_path / "results/demo/L2_S0"
    assert study.run_folder(spec(stage="overfit")).path == tmp_path / "results/demo/overfit/L2_S0"


HOSTILE = ["", ".", "..", "../../x", "/etc", "a/b", "a\\b", ".hidden", "a\0b", "a\nb", "\x1b[31m", "x" * 300]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    study = StudyFolder(tmp_path, "demo")
    for asked in (spec(name), spec(stage=name), spec(study=name)):
        with pytest.raises(UsageError, match="cannot be the name of"):
            study.run_folder(asked)
    with pytest.raises(UsageError, match="cannot be the name of a study"):
        StudyFolder(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_a_link_out_of_the_root_is_refused(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    (root / "results" / "demo").mkdir(parents=True)
    (root / "results" / "demo" / "L2_S0").symlink_to(outside)
    (root / "results" / "linked").symlink_to(outside)
    with pytest.raises(UsageError, match="leads out of the root"):
        StudyFolder(root, "demo").run_folder(spec())
    with pytest.raises(UsageError, match="leads out of the root"):
        StudyFolder(root, "linked")
    assert studies(root) == ["demo"]


def test_inside_gives_the_path_back(tmp_path: Path) -> None:
    assert inside(tmp_path, tmp_path / "a" / ".." / "b") == tmp_path / "a" / ".." / "b"
    with pytest.raises(UsageError, match="leads out"):
        inside(tmp_path / "a", tmp_path / "a" / ".." / "b")
