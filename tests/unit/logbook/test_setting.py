from __future__ import annotations

from quadrat.logbook import setting
from quadrat.logbook.facts import NOT_RECORDED


def test_the_head_names_date_study_runs_and_seeds(facts):
    text = setting.header(facts)
    assert "- **Seed(s):** 0, 1, 2" in text
    assert "[2026-11-21_arithmetic_small](2026-11-21_arithmetic_small/)" in text


def test_when_the_hypothesis_was_declared(facts):
    assert setting.declared(facts) == "before the first run, unchanged since"
    assert "CHANGED" in setting.declared({**facts, "hypothesis_locked": "Something else."})
    assert "post hoc" in setting.declared({**facts, "hypothesis_locked": None})
    assert setting.declared({**facts, "hypothesis_locked": True}) == "before the first run"
    assert setting.declared({}) == NOT_RECORDED


def test_runs_that_saw_several_states_of_the_code_say_so(facts):
    facts["git"] |= {"dirty": "False; True", "diff": "None; results/s/r/git.diff"}
    assert "has uncommitted changes, not the same in every run" in setting.code_state(facts)


def test_a_dirty_tree_says_where_its_diff_is(facts):
    assert "- **Saved diff:** `git.diff`" in setting.code_state(facts)
    facts["git"]["diff"] = None
    assert "- **Saved diff:** none" in setting.code_state(facts)
    assert "not in a git repository" in setting.code_state({"git": {"commit": None}})
    assert NOT_RECORDED in setting.code_state({})


def test_a_machine_without_accelerator_says_none(facts):
    assert "| Accelerator | none             |" in setting.machine(facts)
    assert setting.machine({}).count(NOT_RECORDED) == 11


def test_many_files_are_counted_and_not_listed(facts):
    facts["data"][0]["files"] *= 50
    text = setting.data(facts)
    assert text.count("train.ndjson") == 40
    assert "and 10 more files" in text


def test_the_source_of_data_is_told_where_the_manifest_says_it(facts):
    assert ", source" not in setting.data(facts)
    facts["data"][0]["info"] = {"source": "drawn at random", "license": "CC0"}
    assert "content key `0123456789ab`, source drawn at random, license CC0:" in setting.data(facts)


def test_many_artifacts_are_counted_and_few_are_not(facts):
    assert "more files" not in setting.artifacts(facts)
    facts["artifacts"] *= 43
    assert setting.artifacts(facts).count("model.safetensors") == 40
    assert "and 3 more files" in setting.artifacts(facts)


def test_deviations_are_listed_with_their_reason():
    text = setting.deviations({"amendments": [{"time": "2026-11-21", "reason": "more seeds", "changes": ["seeds +3"]}]})
    assert text == "- 2026-11-21: more seeds\n  - `seeds +3`"


def test_runs_made_again_are_listed_with_their_level():
    line = {"run": "hybrid_S0", "ran": "2026-11-22T10:00:00Z", "level": "differs", "conclusion": "differs from step 3"}
    text = setting.rerun({"rerun": [line, {**line, "run": "hybrid_S1", "level": "identical bytes"}]})
    assert "| `hybrid_S0` | 2026-11-22T10:00:00Z | differs         | differs from step 3 |" in text
    assert text.count("identical bytes") == 1


def test_nothing_and_not_recorded_are_told_apart():
    for block, key in (
        (setting.commands, "commands"),
        (setting.data, "data"),
        (setting.artifacts, "artifacts"),
        (setting.deviations, "amendments"),
    ):
        assert block({}) == NOT_RECORDED
        assert block({key: []}).startswith("none")
    assert setting.rerun({}) == setting.rerun({"rerun": None}) == "not attempted"
    assert setting.rerun({"rerun": {"level": "identical bytes"}}) == "- **level:** identical bytes"
