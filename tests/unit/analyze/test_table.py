"""The table of a study, read from folders that the journal's writer really wrote."""

from __future__ import annotations

import json
import math

import pytest

from quadrat.analyze.stats import Method
from quadrat.analyze.table import load_evidence_table, load_study_table
from quadrat.core.errors import StoreError
from quadrat.core.verdicts import Status
from quadrat.report.evidence import write_evidence

TEST = "test_id/exact_match"


def labelled(pairs):
    return {condition.label: estimate for condition, estimate in pairs}


def test_every_declared_run_is_a_row_and_the_account_adds_up(sums):
    table = load_study_table(sums.folder)
    assert table.study == "sums"
    assert len(table.rows) == 9
    assert table.coverage().text == "9 planned = 6 completed + 1 failed + 1 stopped + 1 missing"
    assert table.coverage().planned == sum(table.coverage().counts.values())


def test_seeds_are_grouped_by_arm_in_declared_order(sums):
    groups = load_study_table(sums.folder).conditions()
    assert [condition.label for condition in groups] == ["token_only", "hybrid", "head"]
    assert [row.seed for row in next(iter(groups.values()))] == [0, 1, 2]


def test_points_without_an_arm_are_grouped_without_their_seed(bench):
    points = [{"name": f"G{g}_S{s}", "seed": s, "point": {"gamma": g, "seed": s}} for g in (0.5, 1.0) for s in (0, 1)]
    table = load_study_table(bench.declare(points).folder)
    assert [condition.label for condition in table.conditions()] == ["gamma=0.5", "gamma=1.0"]
    assert all(len(rows) == 2 for rows in table.conditions().values())


def test_failed_and_missing_runs_stay_in_n(sums):
    found = labelled(load_study_table(sums.folder).by_condition(TEST))
    assert (found["hybrid"].n, found["hybrid"].measured, found["hybrid"].method) == (3, 3, Method.T)
    head = found["head"]
    assert (head.n, head.measured, head.method) == (3, 1, Method.ONE)
    assert head.values[1] == 0.5  # the run that a rule stopped has a value, and it counts
    assert math.isnan(head.values[0])


def test_what_a_failed_run_logged_last_is_kept_but_not_averaged(bench):
    bench.declare([("a", seed) for seed in range(4)])
    for seed in range(3):
        bench.run(f"a_S{seed}", score=0.5 + seed / 100)
    bench.run("a_S3", score=0.0, status="failed")
    table = load_study_table(bench.folder)
    estimate = labelled(table.by_condition(TEST))["a"]
    assert (estimate.n, estimate.measured) == (4, 3)
    assert estimate.mean == pytest.approx(0.51)
    assert table.rows[3].final[TEST] == 0.0


def test_a_nan_score_counts_as_not_measured(bench):
    bench.declare([("a", 0), ("a", 1)])
    bench.run("a_S0", score=math.nan)
    bench.run("a_S1", score=math.inf)
    estimate = labelled(load_study_table(bench.folder).by_condition(TEST))["a"]
    assert (estimate.n, estimate.measured, estimate.method) == (2, 0, Method.NONE)
    assert estimate.values[1] == math.inf


def test_an_arm_that_never_logs_a_metric_is_left_out_and_one_that_failed_is_not(bench):
    bench.declare([("a", 0), ("b", 0), ("c", 0)])
    bench.run("a_S0", score=0.5)
    bench.run("b_S0", score=None)
    bench.run("c_S0", score=None, status="failed")
    found = labelled(load_study_table(bench.folder).by_condition(TEST))
    assert list(found) == ["a", "c"]
    assert (found["c"].n, found["c"].measured) == (1, 0)


def test_comparisons_are_paired_with_the_baseline_and_adjusted_together(sums):
    table = load_study_table(sums.folder)
    first, second = table.against_baseline()
    assert (first.condition.label, first.baseline.label, first.family) == ("hybrid", "token_only", 2)
    assert first.result.difference.values == pytest.approx((0.50, 0.53, 0.54))
    assert first.p_holm == pytest.approx(min(1.0, 2 * first.result.p))
    assert second.result.pairs == 1
    assert second.p_holm is None


def test_yardsticks_take_part_in_no_comparison(sums):
    table = load_study_table(sums.folder)
    assert "oracle/test_id/exact_match" in table.metrics()
    assert table.primary() == (TEST,)
    assert table.against_baseline("oracle/test_id/exact_match", "trivial/test_id/majority") == []


@pytest.mark.parametrize(
    ("baseline", "label"),
    [
        ("hybrid", "hybrid"),
        ({"arm": "hybrid"}, "hybrid"),
        ({"model.kind": "hybrid"}, "hybrid"),
        ({"model": {"kind": "hybrid"}}, "hybrid"),
        ({"model.kind": "hybrid", "epochs": 2}, "hybrid"),  # epochs is in the config of the run, not in its point
        ({"model.kind": "hybrid", "epochs": 3}, None),
        ({"epochs": 2}, None),  # every arm fits: none is the baseline
        ({}, None),
        (None, None),
    ],
)
def test_the_baseline_is_the_one_condition_that_fits(bench, baseline, label):
    bench.declare([("token_only", 0), ("hybrid", 0)], baseline=baseline)
    bench.run("token_only_S0")
    bench.run("hybrid_S0")
    found = load_study_table(bench.folder).baselines()
    assert {stage: condition.label for stage, condition in found.items()} == ({None: label} if label else {})


def test_primary_metrics_come_from_the_declaration(bench):
    gate = {"metric": "all.exact", "pass": "> 0.9"}
    bench.declare([("a", 0)], primary=["x", "oracle/x", "y", "x"])
    assert load_study_table(bench.folder).primary() == ("x", "y")
    bench.declare([], stages=[{"name": "s", "gate": gate}], diagrams=[{"x": "a", "y": "b", "metric": "acc"}])
    assert load_study_table(bench.folder).primary() == ("all.exact", "acc")
    bench.declare([], panels=[{"title": "t", "metrics": ["train/loss", "test/acc", "test/loss"]}])
    assert load_study_table(bench.folder).primary() == ("test/acc",)


def test_a_study_that_names_no_metric_shows_its_test_metrics(bench):
    bench.declare([("a", 0)], panels=[])
    bench.run("a_S0", more={"val/acc": 1.0, "oracle/test_id/exact_match": 1.0})
    table = load_study_table(bench.folder)
    assert table.primary() == (TEST,)
    assert dict(table.panels()) == {"Primary metrics": (TEST,), "Loss": ("train/loss",)}


def test_a_run_being_written_is_running_and_one_left_is_lost(bench):
    bench.declare([("a", 0), ("a", 1)])
    with bench.open("a_S0") as writer:
        writer.metrics(5, {TEST: 0.2})
        table = load_study_table(bench.folder)
        assert table.rows[0].status is Status.RUNNING
        assert table.rows[0].final == {TEST: 0.2}
        assert table.rows[0].last_step == 5
        assert math.isnan(table.rows[0].value(TEST))
    assert load_study_table(bench.folder).coverage().text == "2 planned = 1 lost + 1 missing"


def test_a_torn_and_damaged_run_is_told_and_hides_nothing_else(sums):
    folder = sums.folder.path / "hybrid_S0"
    with (folder / "metrics.ndjson").open("ab") as file:
        file.write(b'{"step": 30, "metr')
    (folder / "metrics.json").write_text("{not json", encoding="utf-8")
    (folder / "config.yaml").write_text("a: [", encoding="utf-8")
    table = load_study_table(sums.folder)
    row = next(row for row in table.rows if row.name == "hybrid_S0")
    assert row.value(TEST) == 0.81  # worked out from the rows instead
    assert row.config() == {}
    told = " ".join(row.damage())
    assert "metrics.json" in told
    assert "torn" in told
    assert "config.yaml" in told
    assert table.coverage().counts[Status.COMPLETED] == 6


def test_a_damaged_lock_shows_what_lies_on_disk(sums):
    sums.folder.lock_json.write_text("{", encoding="utf-8")
    table = load_study_table(sums.folder)
    assert {row.name for row in table.rows} >= {"token_only_S0", "head_S1"}
    assert len(table.rows) == 8
    assert "study.lock.json" in table.damage[0]
    assert {condition.label for condition in table.conditions()} == {"token_only", "hybrid", "head"}
    assert [row.seed for row in table.rows if row.arm == "hybrid"] == [0, 1, 2]


@pytest.mark.parametrize("lock", ["[]", '"x"', '{"declared": 3}', '{"declared": [1, {"name": null}], "panels": "no"}'])
def test_a_lock_of_the_wrong_shape_is_survived(bench, lock):
    bench.folder.path.mkdir(parents=True)
    bench.folder.lock_json.write_text(lock, encoding="utf-8")
    table = load_study_table(bench.folder)
    assert table.rows == ()
    assert table.damage
    assert table.coverage().text == "0 planned = 0 completed"


def test_folders_that_nobody_declared_are_named_and_not_counted(sums):
    lock = json.loads(sums.folder.lock_json.read_text())
    lock["declared"] = [run for run in lock["declared"] if run["arm"] != "head"]
    sums.folder.lock_json.write_text(json.dumps(lock), encoding="utf-8")
    table = load_study_table(sums.folder)
    assert table.undeclared == ("head_S0", "head_S1")
    assert table.coverage().planned == 6


def test_a_declared_name_cannot_lead_out_of_the_study(bench, tmp_path):
    bench.declare([{"name": "../../outside", "seed": 0, "arm": "a"}, {"name": "x", "stage": "../..", "seed": 0}])
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "config.yaml").write_text("secret: 1", encoding="utf-8")
    table = load_study_table(bench.folder)
    assert [row.status for row in table.rows] == [Status.PENDING, Status.PENDING]
    assert all(row.view is None for row in table.rows)


def test_a_study_that_is_not_there_is_refused(bench):
    with pytest.raises(StoreError, match="no results of a study 'sums'"):
        load_study_table(bench.folder)


def test_wall_time_is_summed_over_attempts_and_not_over_the_pause(bench):
    bench.declare([("a", 0)])
    bench.run("a_S0")
    rows = [
        {"event": "started", "time": "2026-11-21T10:00:00.000Z", "attempt": 1},
        {"event": "heartbeat", "time": "2026-11-21T10:00:10.000Z", "attempt": 1, "cpu_s": 9.0, "rss": 5},
        {"event": "started", "time": "2026-11-22T08:00:00.000Z", "attempt": 2},
        {"event": "heartbeat", "time": "not a time", "attempt": 2, "cpu_s": 4.0, "rss": 7},
        {"event": "finished", "time": "2026-11-22T08:00:05.500Z", "attempt": 2},
    ]
    events = bench.folder.path / "a_S0" / "events.ndjson"
    events.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    row = load_study_table(bench.folder).rows[0]
    assert row.seconds == 15.5
    assert row.started.isoformat() == "2026-11-21T10:00:00+00:00"
    assert row.finished.isoformat() == "2026-11-22T08:00:05.500000+00:00"
    assert (row.peak("cpu_s"), row.peak("rss")) == (9.0, 7.0)


def test_committed_evidence_gives_the_same_table_without_results(sums):
    folder = write_evidence(sums.root, "sums")
    before = load_study_table(sums.folder)
    sums.folder.path.rename(sums.root / "elsewhere")
    after = load_evidence_table(folder)
    assert after.coverage() == before.coverage()
    assert labelled(after.by_condition(TEST)).keys() == labelled(before.by_condition(TEST)).keys()
    for name, estimate in labelled(after.by_condition(TEST)).items():
        assert repr(estimate) == repr(labelled(before.by_condition(TEST))[name])
    assert [item.p_holm for item in after.against_baseline()] == [item.p_holm for item in before.against_baseline()]
