"""The three seeds' templates are filled where a fact exists, filled again, and everything else stays as it was."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quadrat.logbook.check import check_own
from quadrat.logbook.own import BLANK, fill_own, refill, run_table, template_of
from quadrat.logbook.own_answers import Answers
from quadrat.logbook.scan import split_lines

HERE = Path(__file__).parent / "templates"
SLOW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _template(name):
    return (HERE / f"{name}.md").read_text(encoding="utf-8")


def _cell(text, name):
    (line,) = [line for line in text.split("\n") if line.startswith(f"| {name} |")]
    return re.split(r"(?<!\\)\|", line)[2].strip()


@pytest.fixture
def ladder(facts):
    """A study as seed 000 has it: options by the names of its flags, derived parameters, conditions."""
    off = {"ste_phys": False, "matrix_mix": True, "mix_topk": 3, "num_workers": 0, "prefetch_factor": 2}
    facts["config_common"] |= {**off, "d_model": 128, "data.path": None, "epochs": 8, "lr": 1e-3, "sym_weight": 0.0}
    facts["config_by_condition"] = {"token_only": {"k_cap": 12}, "hybrid": {"k_cap": 9}}
    facts["derived"] = {"all": {"k_max": 9, "macro_vocab_size": 12, "slot_count": 3}}
    facts["config_sections"] = [
        {"key": "data.path", "section": "Data & Input", "label": "--data"},
        {"key": "d_model", "section": "Model & Topology", "label": "--d-model"},
        {"key": "k_cap", "section": "Model & Topology", "label": "--k-cap"},
        {"key": "ste_phys", "section": "STE", "label": "--ste-phys"},
        {"key": "mix_topk", "section": "Mix", "label": "--mix-topk", "when": "ste_phys is true"},
        {"key": "prefetch_factor", "section": "Training", "label": "--prefetch-factor", "when": "num_workers > 0"},
    ]
    facts["trainable"] = "quadrat_studies.bilevel.experiment:train"
    for run in facts["runs"]:
        run["final"] = {"test/macro_acc": 0.5 + run["seed"] / 10, "train/loss": 0.1}
    return facts


def test_seed_000_is_filled_row_by_row(ladder):
    text = fill_own(_template("bilevel"), ladder).text
    assert _cell(text, "Date") == "2026-11-21"
    assert _cell(text, "Git commit / tag").startswith("`0123456789abcdef")
    assert _cell(text, "Script") == "`quadrat_studies.bilevel.experiment:train`"
    assert _cell(text, "Output dir") == "`results/arithmetic_small`"
    assert _cell(text, "Notes") == "Do number features let a small decoder add exactly?"
    assert _cell(text, "Machine") == "bench-1, Linux-6.1-x86_64"
    assert [_cell(text, name) for name in ("GPU", "CUDA", "PyTorch", "Python")] == ["none", "none", "2.13.0", "3.11.7"]
    assert _cell(text, "`--data`") == "`null`"
    assert _cell(text, "`--seed`") == "0, 1, 2"
    assert _cell(text, "`--d-model`") == "`128`"
    assert _cell(text, "`--k-cap`") == "token_only: `12`; hybrid: `9`"
    assert _cell(text, "`k_max`") == "`9`"
    assert _cell(text, "`--lr`") == "`0.001`"
    assert _cell(text, "`--epochs`") == "`8`"
    assert _cell(text, "`macro_acc`") == "token_only 0.5, 0.6, 0.7 (n = 3), hybrid 0.5, 0.6, 0.7 (n = 3)"
    assert _cell(text, "`runtime/epoch`").startswith("8.2 s (wall time")
    assert "quadrat run fluxem/arithmetic_small" in text
    assert "train_bilevel.py" not in text


def test_rows_that_do_not_apply_say_under_which_condition_they_would(ladder):
    text = fill_own(_template("bilevel"), ladder).text
    assert _cell(text, "`--mix-topk`") == "n/a (only if ste_phys is true)"
    assert _cell(text, "`--prefetch-factor`") == "n/a (only if num_workers > 0)"
    assert _cell(text, "`--matrix-mix`") == "`true`"


def test_what_no_fact_answers_stays_blank_and_is_found_by_the_check(ladder):
    text = fill_own(_template("bilevel"), ladder).text
    assert _cell(text, "`--inner-lr`") == "____"
    found = check_own(text, ladder)
    lines = text.split("\n")
    named = {lines[finding.line - 1].split("|")[1].strip() for finding in found}
    assert "`--inner-lr`" in named
    assert "`--lr`" not in named
    assert {finding.rule for finding in found} == {"R1"}
    assert len(found) == text.count("____")
    assert check_own(text.replace("____", "none"), ladder) == []


def test_seed_003_is_filled_section_by_section(facts):
    text = fill_own(_template("codex"), facts).text
    assert "# Experiment: Arithmetic with and without number features" in text
    assert "- **Date:** 2026-11-21\n" in text
    assert "- **Owner(s):** Ada Example\n" in text
    assert "- **Seed(s):** 0, 1, 2\n" in text
    assert "- **Run IDs:** `token_only_S0`, " in text
    assert "being tested? Number features raise exact match" in text
    assert "- **CLI invocation:** ``quadrat run" in text or "- **CLI invocation:** `quadrat run" in text
    assert "`batch_size` `32`" in text
    assert "- **Derived parameters:** `total_steps` `2000`" in text
    assert "- **Datasets:** `data/fluxem-0123456789ab` (1 files)\n" in text
    assert "- **Checksums:** `train.ndjson` `abababababab`\n" in text
    assert "- **Input revisions:** `0123456789abcdef0123456789abcdef01234567`" in text
    assert "[0.383, 0.439]" in text
    assert "- **Related PRs / Issues:** <links>" in text
    assert "- [ ] Immediate fixes" in text
    assert [finding.field for finding in check_own(text, facts)] == ["related prs issues"]


def test_several_runs_behind_one_conclusion_are_mapped_to_their_artifacts(facts):
    text = fill_own(_template("codex"), facts).text
    tail = text[text.index("## Artifacts") :]
    assert tail.count("| `results/arithmetic_small/") == len(facts["runs"])
    assert "](2026-11-21_arithmetic_small/runs/hybrid_S0/)" in tail
    facts["artifacts"][0]["run"] = "hybrid_S0"
    (line,) = [line for line in run_table(facts).split("\n") if "`hybrid_S0`" in line]
    assert "`cdcdcdcdcdcd`" in line


@pytest.fixture
def phases(facts):
    """A study in two stages as seed 002 has them."""
    stages = ("overfit", "generalize")
    facts["runs"] = [{**run, "stage": stage} for stage in stages for run in facts["runs"] if run["arm"] == "hybrid"]
    for run in facts["runs"]:
        early = run["stage"] == "overfit"
        values = {"train/accuracy": 0.95 if early else 0.7, "train/exact_accuracy": 0.91, "ARC/pass@2": 0.02}
        run["final"] = values if early else {**values, "all.exact_accuracy": 0.06}
    gate = {"n": 3, "criterion": "> 0.90", "measured": "0.95"}
    facts["gates"] = [
        {**gate, "stage": "overfit", "of": "overfit", "outcome": "pass"},
        {**gate, "stage": "generalize", "of": "generalize", "outcome": "partial"},
    ]
    facts["config_common"] |= {"encoder.kind": "standard", "pretrained_decoder": True, "halt_max_steps": 16}
    facts["config_common"]["halt_exploration_prob"] = 0.5
    facts["metrics"] = []
    return facts


def test_seed_002_is_filled_stage_by_stage(phases):
    text = fill_own(_template("phases"), phases).text
    assert "### Experiment: Arithmetic with and without number features" in text
    assert "**Date**: 2026-11-21\n" in text
    assert "**Goal**: Do number features" in text
    assert "- Encoder: `standard`\n" in text
    assert "- Pre-trained decoder: Yes\n" in text
    assert "- halt_max_steps: `16`\n" in text
    assert "- halt_exploration_prob: `0.5`\n" in text
    first, second = text[text.index("**Phase 1") :].split("**Phase 2")
    assert "- Train accuracy: 95, 95, 95 (n = 3)%\n" in first
    assert re.search(r"- Status: \S+ Pass\n", first)
    assert "- Train EM: 91, 91, 91 (n = 3)%" in second
    assert "- Test EM: 6, 6, 6 (n = 3)%" in second
    assert "- Pass@2: 2, 2, 2 (n = 3)%" in second
    assert re.search(r"- Status: \S+ Partial \(some generalization\)\n", second)
    assert "- Steps to converge: <value>" in first
    assert "**WandB Run**: <link>" in text


def test_a_gate_that_was_not_run_chooses_nothing(phases):
    phases["gates"][1]["outcome"] = "not_run"
    text = fill_own(_template("phases"), phases).text
    assert "Pass (" in text[text.index("**Phase 2") :]


def test_words_that_stand_for_an_answer_are_blanks_to_the_check(facts):
    found = check_own("Owner: TBD\n\nCommit: abc1234\n\nAll is TODO here.\n\nDone.\n", facts)
    assert [(finding.rule, finding.line) for finding in found] == [("R1", 1), ("R1", 3), ("R1", 5)]


def test_html_is_no_blank():
    assert not any(map(BLANK.search, ("a<br>b", "<br/>", '<img src="x.png" alt="y">', "<sub>2</sub>", "<https://a.b>")))
    assert all(map(BLANK.search, ("<name>", "<any bugs/problems>", "____", "<b-value>", "YYYY-MM-DD")))


def test_a_guide_that_holds_its_template_in_one_block_is_opened():
    assert template_of("# Guide\n\n```markdown\n# Mine: <name>\n```\n\nmore\n") == "# Mine: <name>\n"
    assert template_of("# Mine: <name>\n\n```\nx\n```\n").startswith("# Mine")


def test_a_study_without_facts_leaves_the_template_as_it_is():
    for name in ("bilevel", "codex", "phases"):
        assert fill_own(_template(name), {}).text == _template(name)


@pytest.mark.parametrize("name", ["bilevel", "codex", "phases"])
def test_line_endings_are_kept(facts, name):
    template = _template(name).replace("\n", "\r\n")
    text = fill_own(template, facts).text
    assert BLANK.sub("", text) != BLANK.sub("", template)
    first = text.split("\r\n")[0]
    assert "\n" not in first


def _later(facts):
    changed = copy.deepcopy(facts)
    changed |= {"date": "2026-12-01", "owner": "Bo Example", "seeds": [7, 8]}
    changed["metrics"][0] |= {"mean": 0.5, "low": 0.4, "high": 0.6, "values": [0.45, 0.5, 0.55]}
    return changed


@pytest.mark.parametrize("name", ["bilevel", "codex", "phases"])
def test_filling_again_renews_what_the_machine_wrote(facts, name):
    before, now = fill_own(_template(name), facts), fill_own(_template(name), _later(facts))
    assert before.text != now.text
    assert refill(before.text, before, now=now) == now.text
    assert refill(now.text, now, now=now) == now.text


prose = st.text(alphabet=st.sampled_from("ab \t\r\n|-*_.[]()<>!\x0b\u2028\u00e9"), max_size=40)


@SLOW
@given(data=st.data(), words=prose, name=st.sampled_from(["bilevel", "codex", "phases"]))
def test_what_a_person_wrote_stays_byte_for_byte(facts, data, words, name):
    before, now = fill_own(_template(name), facts), fill_own(_template(name), _later(facts))
    lines = split_lines(before.text)
    place = data.draw(st.integers(0, len(lines)))
    mine = f"my own words {words} end of mine\n"
    page = "".join([*lines[:place], mine, *lines[place:]])
    after = refill(page, before, now=now)
    assert mine in after
    assert refill(after, now, now=now) == after


def test_a_line_that_a_person_answered_is_not_taken_back(facts):
    before, now = fill_own(_template("codex"), facts), fill_own(_template("codex"), _later(facts))
    page = before.text.replace("<links>", "#12").replace("- **Owner(s):** Ada Example", "- **Owner(s):** Cy and Ada")
    after = refill(page, before, now=now)
    assert "- **Related PRs / Issues:** #12\n" in after
    assert "- **Owner(s):** Cy and Ada\n" in after
    assert "- **Date:** 2026-12-01\n" in after
    assert "- **Seed(s):** 7, 8\n" in after


def test_an_answer_cannot_break_a_table(facts):
    facts["question"] = "a|b"
    assert _cell(fill_own(_template("bilevel"), facts).text, "Notes") == r"a\|b"


def test_options_are_found_by_label_key_or_last_part(facts):
    known = Answers(facts)
    assert known.any("`--batch-size`") == "`32`"
    assert known.any("batch size") == "`32`"
    assert known.any("width") == "token_only: `128`; hybrid: `96`"
    assert known.any("nothing of the kind") is None
    assert known.truth("amp") is False
    assert known.truth("model.kind") is True
    assert known.metric("exact match").startswith("token_only 0.411 [0.383, 0.439] (n = 3), hybrid 0.92 (n = 3)")
