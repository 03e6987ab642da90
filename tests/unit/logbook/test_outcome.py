from __future__ import annotations

from quadrat.logbook import outcome
from quadrat.logbook.facts import NOT_RECORDED


def _row(text, name):
    (line,) = [line for line in text.split("\n") if f"| {name} " in line]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_of_results_has_n_interval_method_and_values(facts):
    row = _row(outcome.metrics(facts), "token_only")
    assert row[2:] == ["3", "3", "0.411", "[0.383, 0.439]", "t interval 95 %", "0.412, 0.421, 0.399"]


def test_two_values_get_no_interval_even_when_one_is_handed_in(facts):
    facts["metrics"][1] |= {"low": 0.7, "high": 1.1, "method": "t"}
    row = _row(outcome.metrics(facts), "hybrid")
    assert row[5:] == ["none", "values only", "0.91, 0.93"]


def test_an_oracle_stands_last_and_is_named(facts):
    facts["metrics"].reverse()
    lines = outcome.metrics(facts).split("\n\n")[0].split("\n")
    assert "gold parse (oracle)" in lines[-1]


def test_a_trivial_score_is_not_called_an_oracle(facts):
    facts["metrics"][-1]["metric"] = "trivial/test_id/majority"
    assert "gold parse (trivial)" in outcome.metrics(facts)


def test_identical_seeds_are_not_given_a_width(facts):
    facts["metrics"][0] |= {"low": None, "high": None, "method": "no variation", "values": [1.0] * 3}
    assert _row(outcome.metrics(facts), "token_only")[6] == "no variation"


def test_nothing_measured_has_no_mean(facts):
    facts["metrics"][0] |= {"values": [], "measured": 0, "mean": None, "low": None, "high": None}
    assert _row(outcome.metrics(facts), "token_only")[3:] == ["0", "none", "none", "values only", "none"]


def test_every_run_is_in_the_table_with_its_folder(facts):
    text = outcome.runs(facts)
    for run in facts["runs"]:
        assert f"`{run['folder']}`" in text
    assert "Stage" not in text
    assert text.startswith("Started from: scratch, every run.")
    del facts["runs"][0]["initialised_from"]
    assert outcome.runs(facts).startswith(f"Started from: {NOT_RECORDED}.")
    facts["runs"][0]["initialised_from"] = "pretrain_S0 at step 100"
    assert "| pretrain_S0 at step 100 |" in outcome.runs(facts)


def test_a_great_many_runs_are_counted_and_the_others_listed(facts):
    facts["runs"] = facts["runs"][:1] * 300 + facts["runs"][-1:]
    text = outcome.runs(facts)
    assert "The other 300 of 301 runs completed" in text
    assert [line[:12] for line in text.split("\n") if line.startswith("| `")] == ["| `hybrid_S2"]


def test_issues_are_rules_that_fired_and_runs_that_did_not_complete(facts):
    text = outcome.health(facts)
    assert "`starved`" in text
    assert "ValueError: bad shape" in text
    facts["health"][0]["level"] = "ok"
    facts["runs"] = facts["runs"][:2]
    assert outcome.health(facts) == "No health rule fired."


def test_a_diagnosis_goes_before_an_error(facts):
    facts["runs"][-1]["diagnosis"] = {"rule": "nonfinite", "diagnosis": "The loss is NaN."}
    assert "nonfinite: The loss is NaN." in outcome.health(facts)
    facts["runs"][-1] |= {"diagnosis": None, "error": {"type": None, "message": "no memory left"}}
    assert "| no memory left |" in outcome.health(facts)
    facts["runs"][-1]["error"] = "killed"
    assert "| `killed` " in outcome.health(facts)


def test_comparisons_name_their_baseline_and_both_p_values(facts):
    facts["comparisons"][0] |= {
        "low": 0.4,
        "high": 0.7,
        "p": 0.0001,
        "n": 4,
        "measured": 3,
        "method": "t",
        "p_holm": 0.02,
        "difference": 0.51234,
    }
    text = outcome.comparisons(facts)
    assert "| token_only |   4 |     3 |       0.51 | [0.40, 0.70] | t      | < 0.001 |    0.020 |" in text


def test_two_pairs_get_no_interval(facts):
    facts["comparisons"][0] |= {"low": 0.4, "high": 0.7, "measured": 2, "method": "t"}
    assert "|        0.5 | none     | values only |" in outcome.comparisons(facts)


def test_runs_of_several_stages_are_told_apart(facts):
    facts["runs"][-1]["stage"] = "overfit"
    assert "`overfit/hybrid_S2`" in outcome.health(facts)
    assert "| overfit |" in outcome.runs(facts)


def test_warnings_are_listed_and_counted(facts):
    assert "Warnings" not in outcome.health(facts)
    facts["warnings"] = [{"run": "hybrid_S0", "what": f"torn tail {i}"} for i in range(25)]
    text = outcome.health(facts)
    assert text.count("`hybrid_S0`: torn tail") == 20
    assert "- and 5 more" in text


def test_other_metrics_are_counted(facts):
    assert "Other metrics" not in outcome.metrics(facts)
    facts["secondary"] = [{"metric": "train/loss"}, {"metric": "train/loss"}, {"metric": "lr"}]
    assert "Other metrics, in the evidence folder: 2." in outcome.metrics(facts)


def test_runtime_says_what_was_not_measured(facts):
    text = outcome.runtime(facts)
    assert "- **Total:** 6 min 9 s" in text
    assert "(n = 2)" in text
    assert "- **Energy:** not measured" in text


def test_pictures_are_shown_and_other_files_linked():
    text = outcome.figures({"figures": ["e/a.svg", "e/runs.csv"]})
    assert text == "![e/a.svg](e/a.svg)\n\n[e/runs.csv](e/runs.csv)"


def test_nothing_and_not_recorded_are_told_apart():
    for block, key in (
        (outcome.runs, "runs"),
        (outcome.gates, "gates"),
        (outcome.metrics, "metrics"),
        (outcome.comparisons, "comparisons"),
        (outcome.figures, "figures"),
    ):
        assert block({}) == NOT_RECORDED
        assert NOT_RECORDED not in block({key: []})
    assert NOT_RECORDED in outcome.runtime({})
    assert NOT_RECORDED in outcome.health({})


def test_many_equal_values_are_said_once(facts):
    facts["metrics"][0] |= {"low": None, "high": None, "method": "no variation", "values": [1.0] * 9}
    assert "1 (all 9)" in outcome.metrics(facts)
    facts["metrics"][0]["values"] = [1.0] * 8 + [0.5]
    assert "(all 9)" not in outcome.metrics(facts)


def test_runtime_tells_what_of_the_machine_was_taken(facts):
    told = {"percent": 71.4, "memory_bytes": 3 * 2**30, "watts": 305.2, "celsius": 60.0}
    about = {**facts["runtime"], "processes": 2, "cpu_total_s": 131.0, "rss_peak_bytes": 2**29, "gpu": told}
    text = outcome.runtime({**facts, "runtime": about})
    assert "2 min 11 s in 2 processes" in text
    assert "512.0 MiB in the largest process" in text
    assert "71 % busy, 305 W, at most 60 C, at most 3.0 GiB in use" in text
    assert "did not answer" in outcome.runtime({**facts, "runtime": {**about, "gpu": "unknown"}})


def test_a_criterion_on_the_best_step_is_called_a_selection(facts):
    assert "selection" not in outcome.gates(facts)
    facts["gates"][0]["criterion"] = "mean over seeds of the best all.exact_accuracy: pass >= 0.05"
    assert "a selection, not an estimate" in outcome.gates(facts)
