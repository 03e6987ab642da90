"""Two runs side by side, read from folders that the journal's writer really wrote."""

from __future__ import annotations

import json
import math

import pytest

from quadrat.analyze.compare import MetricDifference, compare_runs, differences, metric_differences
from quadrat.journal.reader import RunView

TEST = "test_id/exact_match"


@pytest.fixture
def pair(bench):
    """Two runs of one arm that differ in nothing but seed and score."""
    bench.declare([("a", 0), ("a", 1)])
    return RunView(bench.run("a_S0", score=0.5)), RunView(bench.run("a_S1", score=0.75))


def rows(items):
    return [(item.key, item.a, item.b, item.only) for item in items]


def change(path, **values):
    """Write JSON facts of a run anew with some of them changed."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_run_does_not_differ_from_itself(pair):
    found = compare_runs(pair[0], pair[0])
    assert not found.differs
    assert found.equal_metrics == 2


def test_only_what_differs_is_told(pair):
    found = compare_runs(*pair)
    assert found.differs
    assert rows(found.seeds) == [("requested", 0, 1, None), ("applied", 0, 1, None)]
    assert [metric.name for metric in found.metrics] == [TEST]
    assert found.equal_metrics == 1
    assert {name for name, items in found.parts().items() if items} == {"seeds"}


def test_a_metric_has_a_difference_and_a_direction(pair):
    (metric,) = compare_runs(*pair).metrics
    assert (metric.a, metric.b, metric.change, metric.direction) == (0.5, 0.75, 0.25, "up")
    (back,) = compare_runs(*reversed(pair)).metrics
    assert (back.change, back.direction) == (-0.25, "down")


@pytest.mark.parametrize(
    ("a", "b", "change", "direction"),
    [
        (1.0, None, None, None),
        (math.nan, 1.0, None, None),
        (1.0, math.inf, None, "up"),
        (math.inf, -math.inf, None, "down"),
    ],
)
def test_a_metric_that_is_missing_or_not_finite_has_no_difference(a, b, change, direction):
    metric = MetricDifference("x", a, b)
    assert (metric.change, metric.direction) == (change, direction)


def test_metrics_of_one_run_only_are_kept():
    found = metric_differences({"x": 1.0}, {"y": 2.0})
    assert found == (MetricDifference("x", 1.0, None), MetricDifference("y", None, 2.0))


def test_two_nans_are_equal(bench):
    bench.declare([("a", 0), ("a", 1)])
    views = [RunView(bench.run(f"a_S{seed}", score=math.nan)) for seed in (0, 1)]
    assert compare_runs(*views).metrics == ()


def test_config_is_compared_key_by_key(bench):
    bench.declare([("a", 0), ("a", 1)])
    mine = {"model": {"kind": "a", "width": 64}, "layers": [1, 2], "rate": 1, "none": None}
    theirs = {"model": {"kind": "a", "width": 32}, "layers": [1, 3], "rate": 1.0, "extra": {"deep": True}}
    views = [RunView(bench.run(f"a_S{seed}", config=config)) for seed, config in enumerate((mine, theirs))]
    assert rows(compare_runs(*views).config) == [
        ("layers", [1, 2], [1, 3], None),
        ("model.width", 64, 32, None),
        ("none", None, None, "a"),
        ("rate", 1, 1.0, None),
        ("extra.deep", None, True, "b"),
    ]


def test_the_environment_is_told_by_version_and_variable(pair):
    env = pair[1].folder.env
    packages = {"numpy": "2.4.7", "torch": "2.13.0+cpu", "scipy": "1.17.0"}
    change(env, python="3.12.1", packages=packages, variables={"OMP_NUM_THREADS": "2"})
    assert rows(compare_runs(*pair).environment) == [
        ("python", "3.11.9", "3.12.1", None),
        ("variables.OMP_NUM_THREADS", "1", "2", None),
        ("packages.numpy", "2.4.6", "2.4.7", None),
        ("packages.scipy", None, "1.17.0", "b"),
    ]


def test_threads_and_device_come_from_the_last_attempt(pair):
    params = pair[1].folder.params
    row = json.loads(params.read_text())
    again = {**row, "threads": 2, "device": "cuda", "determinism": {"OMP_NUM_THREADS": "2", "torch_threads": 2}}
    params.write_text(f"{json.dumps(row)}\n{json.dumps(again)}\n")
    assert rows(compare_runs(*pair).environment) == [
        ("threads", 1, 2, None),
        ("device", "cpu", "cuda", None),
        ("variables.OMP_NUM_THREADS", "1", "2", None),
        ("torch_threads", None, 2, "b"),
    ]


def test_code_is_told_by_commit_tree_and_patch(bench):
    bench.declare([("a", 0), ("a", 1)])
    a, b = (RunView(bench.run(f"a_S{seed}", dirty=bool(seed))) for seed in (0, 1))
    change(b.folder.git, commit="f" * 40, tree="e" * 40)
    found = {item.key: item for item in compare_runs(a, b).code}
    assert set(found) == {"commit", "dirty", "tree", "patch_sha256"}
    assert (found["dirty"].a, found["dirty"].b) == (False, True)
    assert found["patch_sha256"].only == "b"
    assert len(found["patch_sha256"].b) == 64


def test_data_are_told_by_content(pair):
    files = [{"path": "train.ndjson", "sha256": "ab" * 32}, {"path": "more.txt", "sha256": "cd" * 32}]
    change(pair[1].folder.data, sha256="34" * 32, files=files, folder="data/elsewhere")
    assert rows(compare_runs(*pair).data) == [
        ("sha256", "12" * 32, "34" * 32, None),
        ("train.ndjson", "ef" * 32, "ab" * 32, None),
        ("more.txt", None, "cd" * 32, "b"),
    ]


def test_how_they_ended_is_compared(sums):
    views = [RunView(run) for run in sums.folder.runs()]
    by_name = {view.name: view for view in views}
    found = compare_runs(by_name["head_S0"], by_name["head_S1"])
    assert {item.key: (item.a, item.b) for item in found.outcome} == {
        "status": ("failed", "stopped"),
        "rule": (None, "nonfinite_loss"),
        "error": ("ValueError: bad <b>shape</b>", None),
    }


def test_a_file_that_one_run_lacks_is_one_difference(pair):
    for name in ("env", "data"):
        getattr(pair[0].folder, name).unlink()
    found = compare_runs(*pair)
    assert rows(found.environment) == [("env.json", None, "recorded", "b")]
    assert [item.key for item in found.data] == ["data.json"]


def test_damage_is_named_not_raised(pair):
    pair[1].folder.config.write_bytes(b"\xff\x00")
    pair[1].folder.git.write_text("{")
    found = compare_runs(*pair)
    assert rows(found.config) == [("config.yaml", "recorded", None, "a")]
    assert any("config.yaml" in line for line in found.damage["b"])
    assert found.damage["a"] == ()


def test_true_one_and_one_point_nought_are_three_values():
    found = differences({"x": 1, "y": 1, "z": {"b": 1, "a": 2}}, {"x": True, "y": 1.0, "z": {"a": 2, "b": 1}})
    assert [item.key for item in found] == ["x", "y"]
