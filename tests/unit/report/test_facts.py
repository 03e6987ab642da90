"""The facts of a study: complete, plain, and what a record can be made of."""

from __future__ import annotations

import json
import math

import pytest

from quadrat.analyze.gates import criterion
from quadrat.core.errors import StoreError
from quadrat.logbook.check import check
from quadrat.logbook.record import draft
from quadrat.report.facts import collect
from quadrat.report.provenance import merged
from quadrat.report.settings import divide

TEST = "test_id/exact_match"


def test_the_facts_of_a_study(sums):
    facts = collect(sums.root, "sums")
    assert facts.status_account == "9 planned = 6 completed + 1 failed + 1 stopped + 1 missing"
    assert facts.seeds == [0, 1, 2]
    assert facts.baseline == "token_only"
    assert facts.primary == (TEST,)
    assert facts.owner == "Ada Example"
    assert facts.hypothesis_locked == facts.hypothesis
    assert facts.evidence == f"{facts.date}_sums"
    assert facts.config_common == {"epochs": 2, "learning_rate": 1e-3, "model.width": 64}
    assert facts.config_by_condition["hybrid"] == {"model.kind": "hybrid"}
    assert facts.derived["all"] == {"total_steps": 20}
    assert facts.derived["hybrid"] == {"parameter_count": 1006}
    assert (facts.machine["cpu"], facts.machine["torch"], facts.machine["cuda"]) == (
        "Example CPU",
        "2.13.0+cpu",
        "none",
    )
    assert facts.machine["accelerator"] is None
    assert facts.machine["OMP_NUM_THREADS"] == "1"
    assert facts.git["commit"] == "0123456789abcdef0123456789abcdef01234567"
    assert (facts.git["dirty"], facts.git["diff"]) == (True, "results/sums/hybrid_S1/git.diff")
    assert [(found["folder"], found["runs"]) for found in facts.data] == [("data/sums-k", 8)]
    assert [found["run"] for found in facts.health] == ["head_S1"]
    assert [(found["run"], found["type"]) for found in facts.errors] == [("head_S0", "ValueError")]


def test_a_run_is_told_whole(sums):
    runs = {run["name"]: run for run in collect(sums.root, "sums").runs}
    done = runs["hybrid_S1"]
    assert (done["seed"], done["status"], done["folder"], done["step"]) == (
        1,
        "completed",
        "results/sums/hybrid_S1",
        20,
    )
    assert done["sealed"]
    assert done["final"][TEST] == 0.88
    assert done["initialised_from"] is None
    assert runs["head_S0"]["error"]["message"] == "bad <b>shape</b>"
    assert runs["head_S1"]["diagnosis"]["rule"] == "nonfinite_loss"
    missing = runs["head_S2"]
    assert (missing["status"], missing["folder"], missing["duration_s"]) == ("pending", None, None)


def test_metrics_tell_n_and_every_seed(sums):
    facts = collect(sums.root, "sums")
    head = next(row for row in facts.metrics if row["condition"] == "head")
    assert (head["n"], head["measured"], head["values"], head["method"]) == (3, 1, [0.5], "one value")
    assert [(found["status"], found["last"]) for found in head["by_seed"]] == [
        ("failed", None),
        ("stopped", 0.5),
        ("pending", None),
    ]
    hybrid = next(row for row in facts.metrics if row["condition"] == "hybrid")
    assert hybrid["method"] == "t interval 95 %"
    assert hybrid["low"] < hybrid["mean"] < hybrid["high"]
    yardsticks = {row["metric"] for row in facts.metrics if row["oracle"]}
    assert yardsticks == {"oracle/test_id/exact_match", "trivial/test_id/majority"}
    oracle = next(row for row in facts.metrics if row["oracle"])
    assert (oracle["condition"], oracle["n"], oracle["mean"], oracle["method"]) == ("all", 6, 1.0, "no variation")
    assert {row["metric"] for row in facts.secondary} == {"train/loss"}


def test_comparisons_are_plain(sums):
    hybrid, head = collect(sums.root, "sums").comparisons
    assert (hybrid["condition"], hybrid["baseline"], hybrid["n"], hybrid["family"]) == ("hybrid", "token_only", 3, 2)
    assert hybrid["difference"] == pytest.approx(0.5233, abs=1e-4)
    assert hybrid["p"] < hybrid["p_holm"] < 0.01
    assert (head["measured"], head["p"], head["p_holm"]) == (1, None, None)


def test_as_dict_is_strict_json(sums):
    plain = collect(sums.root, "sums").as_dict()
    text = json.dumps(plain, allow_nan=False)
    assert json.loads(text) == plain
    losses = [row for row in plain["secondary"] if row["condition"] == "head"]
    assert losses[0]["by_seed"][1]["value"] == "NaN"
    assert str(sums.root) not in text


def test_commands_hold_no_path_of_this_machine(bench):
    bench.declare([("a", 0), ("a", 1), ("a", 2)])
    inside = f"--root={bench.root}/deep"
    bench.run("a_S0", argv=["/opt/x/bin/quadrat", "run", f"{bench.root}/sums.yaml", inside, "note=a b"])
    bench.run("a_S1", argv=["/usr/lib/python3/site-packages/quadrat/__main__.py", "run", "/home/ada/other.yaml"])
    bench.run("a_S2", argv=["/opt/x/bin/quadrat", "run", f"{bench.root}/sums.yaml", inside, "note=a b"])
    assert collect(bench.root, "sums").commands == [
        "quadrat run sums.yaml --root=deep 'note=a b'",
        "python -m quadrat run other.yaml",
    ]


@pytest.mark.parametrize(
    ("changes", "locked"),
    [
        ([], "now"),
        (["declared sums/x"], "now"),
        (["hypothesis: 'it was -> so' -> 'now'"], "it was -> so"),
        (["hypothesis: '' -> 'now'"], False),
        (["hypothesis: None -> 'now'"], False),
        (["hypothesis: damaged"], "now"),
    ],
)
def test_the_first_declared_hypothesis_is_known(bench, changes, locked):
    amendments = [{"time": "2026-11-21T10:00:00Z", "plan_sha256": "x", "changes": changes}]
    bench.declare([("a", 0)], hypothesis="now", amendments=amendments)
    assert collect(bench.root, "sums").hypothesis_locked == locked


def test_a_study_that_has_not_started(bench):
    facts = bench.declare([("a", 0)], hypothesis="", owner="") and collect(bench.root, "sums")
    assert (facts.date, facts.evidence, facts.owner, facts.hypothesis) == (None, None, None, None)
    assert facts.hypothesis_locked is False
    assert facts.status_account == "1 planned = 1 missing"
    assert facts.metrics[0]["measured"] == 0
    json.dumps(facts.as_dict(), allow_nan=False)


def test_no_results_is_refused(tmp_path):
    with pytest.raises(StoreError, match="no results"):
        collect(tmp_path, "sums")


def test_gates_without_a_verdict_are_not_run(bench):
    gate = {"metric": TEST, "value": "best", "over_seeds": "ci_lower", "pass": ">= 0.05", "partial": "> 0"}
    stages = [{"name": "one", "gate": gate}, {"name": "two", "needs": ["one"]}]
    bench.declare([{"arm": "a", "seed": 0, "stage": stage} for stage in ("one", "two")], stages=stages)
    (found,) = collect(bench.root, "sums").gates
    assert found["criterion"] == f"ci_lower over seeds of the best {TEST}: pass >= 0.05, partial > 0"
    assert (found["stage"], found["outcome"], found["n"]) == ("one", "not_run", 1)


def test_a_recorded_verdict_of_a_gate_is_told(bench):
    stages = [{"name": "one", "gate": {"metric": TEST, "pass": "> 0.4"}}]
    bench.declare([{"name": "a_S0", "arm": "a", "seed": 0, "stage": "one"}], stages=stages)
    bench.run("a_S0", gates=[{"stage": "one", "outcome": "pass", "criterion": "> 0.4", "measured": "0.5", "n": 1}])
    (found,) = collect(bench.root, "sums").gates
    assert (found["outcome"], found["criterion"], found["measured"], found["reason"]) == ("pass", "> 0.4", "0.5", None)


def test_conditions_of_several_stages_keep_apart(bench):
    runs = [{"name": "a_S0", "arm": "a", "seed": 0, "stage": stage} for stage in ("one", "two")]
    facts = bench.declare(runs) and collect(bench.root, "sums")
    assert [row["condition"] for row in facts.conditions] == ["one/a", "two/a"]


def test_a_criterion_in_words():
    assert criterion({"metric": "acc", "pass": "> 0.9"}) == "mean over seeds of the last acc: pass > 0.9"


def test_worlds_that_differ_are_all_named():
    assert merged([{"a": 1, "b": None}, {"a": 1, "b": "x"}, {}]) == {"a": 1, "b": "None; x"}


def test_config_is_divided_by_value_and_type():
    common, apart = divide({"x": {"a": 1, "b": 1, "c": [1, 2]}, "y": {"a": 1, "b": 1.0, "c": [1, 2], "d": None}})
    assert common == {"a": 1, "c": [1, 2]}
    assert apart == {"x": {"b": 1}, "y": {"b": 1.0, "d": None}}


def test_the_logbook_makes_a_record_of_the_facts(sums):
    facts = collect(sums.root, "sums").as_dict()
    text = draft(facts)
    assert "9 planned = 6 completed + 1 failed + 1 stopped + 1 missing" in text
    assert "before the first run, unchanged since" in text
    blocks = {found.rule for found in check(text, facts)} & {"R3", "R8", "R10", "R11", "R14", "R15", "R16"}
    # The missing run alone makes n = 3 where 2 runs have ended; nothing else of the machine's part is at fault.
    assert blocks <= {"R10"}
    assert not math.isnan(facts["metrics"][0]["mean"])
