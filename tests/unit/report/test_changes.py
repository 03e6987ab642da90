from __future__ import annotations

import json

import pytest

from quadrat.report.changes import changes, record_facts

GIT = {"commit": "0" * 40, "tree": "a" * 40, "dirty": False}
DATA = {"files": [{"path": "train.jsonl", "sha256": "11"}, {"path": "test.jsonl", "sha256": "22"}]}


@pytest.fixture
def evidence(tmp_path):
    """A function: an evidence folder of two conditions with two seeds, some runs with another code or data state."""

    def make(*, git=None, data=None):
        for arm in ("base", "wide"):
            for seed in (0, 1):
                folder = tmp_path / "runs" / f"{arm}_S{seed}"
                folder.mkdir(parents=True, exist_ok=True)
                changed = arm == "wide" and seed == 1
                (folder / "git.json").write_text(json.dumps(git if git is not None and changed else GIT))
                (folder / "data.json").write_text(json.dumps(data if data is not None and arm == "wide" else DATA))
        return tmp_path

    return make


@pytest.fixture
def facts():
    runs = [
        {"name": f"{arm}_S{seed}", "stage": None, "condition": arm, "seed": seed}
        for arm in ("base", "wide")
        for seed in (0, 1)
    ]
    return {
        "runs": runs,
        "baselines": {"": "base"},
        "conditions": [
            {"condition": "base", "stage": None, "baseline": True},
            {"condition": "wide", "stage": None, "baseline": False},
        ],
        "config_by_condition": {"base": {"width": 8, "old": 1}, "wide": {"width": 16, "new": [1]}},
    }


def test_the_options_that_differ_have_both_sides(evidence, facts):
    (row,) = changes(evidence(), facts)
    assert (row["condition"], row["baseline"]) == ("wide", "base")
    assert row["config"] == [
        {"key": "new", "to": [1]},
        {"key": "old", "from": 1},
        {"key": "width", "from": 8, "to": 16},
    ]
    assert (row["code"], row["data"]) == ([], [])


def test_another_state_of_the_code_in_a_single_run_is_told(evidence, facts):
    (row,) = changes(evidence(git={**GIT, "tree": "b" * 40, "dirty": True}), facts)
    assert row["code"] == [f"{'0' * 12} to {'0' * 12}, {'0' * 12} with uncommitted changes (tree {'b' * 12})"]
    (row,) = changes(evidence(git={**GIT, "commit": "1" * 40}), facts)
    assert row["code"] == [f"{'0' * 12} to {'0' * 12}, {'1' * 12}"]


def test_data_that_differ_are_told_by_file(evidence, facts):
    other = {"files": [{"path": "train.jsonl", "sha256": "12"}, {"path": "more.jsonl", "sha256": "33"}]}
    (row,) = changes(evidence(data=other), facts)
    assert row["data"] == ["more.jsonl is new", "test.jsonl is gone", "train.jsonl has other contents"]


def test_each_stage_has_its_own_baseline(tmp_path, facts):
    stages = ("overfit", "generalize")
    facts["runs"] = [{**run, "stage": stage} for stage in stages for run in facts["runs"]]
    facts["conditions"] = [
        {"condition": f"{stage}/{arm}", "stage": stage, "baseline": arm == "base"}
        for stage in stages
        for arm in ("base", "wide")
    ]
    facts["baselines"] = {stage: f"{stage}/base" for stage in stages}
    facts["config_by_condition"] = {"overfit/base": {"n": 1}, "overfit/wide": {"n": 1}, "generalize/wide": {"n": 3}}
    found = changes(tmp_path, facts)
    assert [(row["condition"], row["baseline"], len(row["config"])) for row in found] == [
        ("overfit/wide", "overfit/base", 0),
        ("generalize/wide", "generalize/base", 1),
    ]


def test_a_study_without_baseline_has_no_changes(tmp_path, facts):
    assert changes(tmp_path, {**facts, "baselines": {}}) == []
    assert changes(tmp_path, {}) == []


def test_the_facts_of_a_record_hold_what_was_declared_beside_them(evidence, facts):
    folder = evidence()
    (folder / "facts.json").write_text(json.dumps(facts))
    assert record_facts(folder)["config_sections"] == []
    assert len(record_facts(folder)["changes"]) == 1
    rows = [{"key": "width", "section": "Model"}]
    (folder / "study.lock.json").write_text(json.dumps({"config_sections": rows}))
    assert record_facts(folder)["config_sections"] == rows
