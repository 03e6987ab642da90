"""The health of runs on the page: rules over the steps, and the first hundred of them."""

from __future__ import annotations

import json

import pytest

from quadrat.analyze.table import load_study_table
from quadrat.analyze.vital_signs import counts, start, strips
from quadrat.report.health import MOST, health
from quadrat.report.page import render


def rule(name, state, *changes, metric="train/loss"):
    told = [{"step": step, "state": said, "value": 0.5} for step, said in changes]
    return {"id": name, "state": state, "metric": metric, "transitions": told}


@pytest.fixture
def judged(bench):
    """Runs of one arm, the second of them in trouble."""

    def make(seeds=2):
        runs = [{"name": f"a_S{seed}", "arm": "a", "seed": seed} for seed in range(seeds)]
        bench.declare(runs)
        for run in runs:
            bench.run(run["name"])
            sick = run["seed"] == 1
            rules = [
                rule("low", "fail" if sick else "ok", (2, "ok"), *([(6, "warn"), (8, "fail")] if sick else [])),
                rule("quiet", "not_measured", metric="nowhere"),
            ]
            path = bench.folder.path / run["name"] / "health.json"
            path.write_text(json.dumps({"schema": 1, "rules": rules}), encoding="utf-8")
        return load_study_table(bench.folder)

    return make


def test_every_rule_is_counted_by_its_state(judged):
    found = counts(judged())
    assert found["low"] == {"fail": 1, "warn": 0, "ok": 1, "not_measured": 0}
    assert found["quiet"]["not_measured"] == 2


def test_a_rule_is_cut_into_spans_that_cover_every_step(judged):
    table = judged()
    sick = table.rows[1]
    low, quiet = strips(sick, [rule("low", "fail", (2, "ok"), (6, "warn"), (8, "fail")), rule("quiet", "not_measured")])
    last = max(sick.last_step, 8)
    assert low.spans == ((0, 1, "not_measured"), (2, 5, "ok"), (6, 7, "warn"), (8, last, "fail"))
    assert quiet.spans == ((0, last, "not_measured"),)


def test_the_first_steps_show_what_was_watched_and_what_was_said_by_then(judged):
    table = judged()
    row = table.rows[0]
    metric = next(iter(row.series()))
    values = row.series()[metric]
    (found,) = start(row, [rule("early", "fail", (1, "ok"), (500, "fail"), metric=metric)], steps=100)
    assert found.first == values.values[0]
    assert found.last == values.values[values.steps <= 100][-1]
    assert found.rules == (("early", "ok"),)
    (gone,) = start(row, [rule("gone", "not_measured", metric="nowhere")])
    assert gone.first != gone.first


def test_the_page_shows_the_run_in_trouble_first(judged):
    page = render(judged())
    section = page[page.index('id="health"') : page.index('id="trouble"')]
    assert section.index("a_S1") < section.index("a_S0")
    assert "fail from 8" in section
    assert "never measured" in section
    assert "The first 100 steps." in section
    assert "<script" not in section


def test_many_runs_are_counted_and_only_some_drawn(judged):
    section = str(health(judged(MOST + 3)))
    assert section.count("<details") == MOST
    assert "The 3 runs that are not drawn are no worse." in section


def test_a_study_without_rules_has_no_such_section(bench):
    bench.declare([{"name": "a_S0", "arm": "a", "seed": 0}])
    assert health(load_study_table(bench.folder)) is None
