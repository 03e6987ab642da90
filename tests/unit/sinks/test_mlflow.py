"""What MLflow is told of a run beside its rows, and what it would not take."""

from __future__ import annotations

import shutil

import pytest

import quadrat
from quadrat.journal.layout import StudyFolder
from quadrat.sinks.mirror import Mirror
from quadrat.sinks.mlflow import LONGEST_NAME, key_of
from quadrat.testing.sinks import ended, facts, rows

pytestmark = pytest.mark.filterwarnings("ignore")  # the package and its database library warn each other


def test_a_name_that_it_takes_stays_itself():
    for name in ("train/loss", "a b", "deep/er/than.usual", "A-1:x"):
        assert key_of(name) == name


def test_a_name_that_it_refuses_becomes_one_that_no_other_name_has():
    names = ["\u2603", "\u2604", "x" * 300, "y" + "x" * 300, "%s{}[0]", "%s{}[1]", "../a", "/a", "a//b", ".", "", "a/"]
    keys = [key_of(name) for name in names]
    assert len(set(keys)) == len(names)
    assert not set(keys) & set(names)
    assert all(0 < len(key) < LONGEST_NAME and key_of(key) == key for key in keys)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """An empty database, made once: MLflow takes seconds over the tables of each new one."""
    pytest.importorskip("mlflow", reason="the package mlflow is not installed")
    pytest.importorskip("sqlalchemy", reason="the package sqlalchemy is not installed")
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def lend(empty):
    """Puts the empty database into a home before the tracker would make its own."""

    def lend(home):
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(empty, home / "mlflow.db")

    return lend


@pytest.fixture
def client(monkeypatch):
    """Looks into the database that the tracker keeps by itself."""
    pytest.importorskip("mlflow", reason="the package mlflow is not installed")
    pytest.importorskip("sqlalchemy", reason="the package sqlalchemy is not installed")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    from mlflow.tracking import MlflowClient

    return lambda home: MlflowClient(tracking_uri=f"sqlite:///{home}/mlflow.db")


def theirs(client, study="story"):
    return client.search_runs([client.get_experiment_by_name(study).experiment_id])


def test_config_identity_and_ending_are_told(client, tmp_path):
    from quadrat.sinks.mlflow import MlflowTracker

    tracker = MlflowTracker(tmp_path / "home")
    assert tracker.destination == "files"
    many = {f"key{number:03d}": number for number in range(130)}
    run = facts("L2_S0", stage="fit", model={"depth": 2, "\u2603": "x" * 7000}, nothing=None, **many)
    track = tracker.open(run)
    track.rows(rows(1500))
    track.close(ended("stopped"))
    (found,) = theirs(client(tmp_path / "home"))
    assert found.info.run_name == "L2_S0"
    assert (found.info.status, found.info.start_time, found.info.end_time) == (
        "FINISHED",
        1_700_000_000_000,
        1_700_000_060_000,
    )
    params, tags = found.data.params, found.data.tags
    assert (params["rate"], params["model.depth"], params["nothing"], params["key129"]) == ("0.5", "2", "null", "129")
    assert len(params[key_of("model.\u2603")]) == 6000
    assert {key: tags[f"quadrat.{key}"] for key in ("study", "run", "stage", "arm", "seed", "status")} == {
        "study": "story",
        "run": "fit/L2_S0",
        "stage": "fit",
        "arm": "plain",
        "seed": "0",
        "status": "stopped",
    }
    assert "mlflow.source.name" not in tags


def test_a_run_that_did_not_come_to_its_end_is_no_success(client, lend, tmp_path):
    from quadrat.sinks.mlflow import MlflowTracker

    lend(tmp_path / "home")
    tracker = MlflowTracker(tmp_path / "home")
    for status in ("failed", "preempted", "lost"):
        tracker.open(facts(status)).close(ended(status))
    found = {run.info.run_name: run.info.status for run in theirs(client(tmp_path / "home"))}
    assert found == {"failed": "FAILED", "preempted": "KILLED", "lost": "KILLED"}


def test_a_mirror_fills_it_and_fills_it_again_without_doubling(client, lend, tmp_path, monkeypatch):
    from quadrat.sinks.mlflow import MlflowTracker

    monkeypatch.delenv("QUADRAT_RELAY", raising=False)
    for name in ("a", "b"):
        with quadrat.start_run("own", name, config={"lr": 0.1}, seed=1, root=tmp_path) as run:
            for step in range(20):
                run.log(step, loss=1 / (step + 1))
    study = StudyFolder(tmp_path, "own")
    home = study.path / ".mlflow"
    lend(home)
    (study.path / ".mirror").mkdir()
    for _ in range(2):
        Mirror(MlflowTracker(home), study, name="mlflow").send(last=True)
        (study.path / ".mirror/mlflow.json").unlink()  # forgotten, so everything is sent again
        found = theirs(client(home), "own")
        assert sorted(run.info.run_name for run in found) == ["a", "b"]
        for run in found:
            history = client(home).get_metric_history(run.info.run_id, "loss")
            assert sorted((row.step, row.value) for row in history) == [(step, 1 / (step + 1)) for step in range(20)]


def test_another_place_is_told_without_its_login(monkeypatch, tmp_path):
    pytest.importorskip("mlflow", reason="the package mlflow is not installed")
    from quadrat.sinks.mlflow import MlflowTracker

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somebody:secret@127.0.0.1:9")
    tracker = MlflowTracker(tmp_path / "home", patience=1.0)
    assert tracker.destination == "http://***@127.0.0.1:9"
    with pytest.raises(Exception, match=r"127\.0\.0\.1"):
        tracker.open(facts())
