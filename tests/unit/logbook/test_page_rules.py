from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quadrat.logbook.check import check
from quadrat.logbook.record import draft, parse
from quadrat.logbook.scan import split_lines
from quadrat.logbook.template import HUMAN_FIELDS


@pytest.fixture
def page(facts, answer):
    return answer(draft(facts))


def _found(text, facts=None, **more):
    return [(finding.rule, finding.field) for finding in check(text, facts, **more)]


def test_an_answered_record_has_no_findings(page, facts):
    assert check(page, facts) == []
    assert check(page.encode(), facts) == []
    assert check(page, None) == []


def test_a_fresh_draft_names_every_open_field_at_its_line(facts):
    text = draft(facts)
    found = check(text, facts)
    named = {finding.field for finding in found}
    assert named == {field.name for field in HUMAN_FIELDS} - {"Title", "Owner(s)"}
    lines = split_lines(text)
    assert all(finding.field.lower() in lines[finding.line - 1].lower() for finding in found)


def _emptied(text, field, by):
    record = parse(text)
    answer = record.answers[field.id]
    lines = list(record.scan.lines)
    if field.kind == "title":
        lines[answer.line - 1] = f"# Experiment: {by}\n"
    elif field.kind == "label":
        lines[answer.line - 1] = re.sub(r"(\*\*.*?\*\*).*", rf"\1 {by}", lines[answer.line - 1])
    else:
        kept = {field.name, "Verdict"}
        end = next(s.end_line for s in record.sections if s.line == answer.line)
        blocks = {i for b in record.blocks for i in range(b.start, b.end + 1)}
        for index in range(answer.line, end):
            if index not in blocks and not any(f"**{name}:**" in lines[index] for name in kept):
                lines[index] = "\n"
        lines[answer.line] = f"\n{by}\n"
    return "".join(lines)


@pytest.mark.parametrize("by", ["", "____", "TODO: later", "_n/a_", "<fill me in>", "TBD"])
@pytest.mark.parametrize("field", HUMAN_FIELDS, ids=lambda field: field.id)
def test_each_human_field_emptied_in_turn_is_named(page, facts, field, by):
    found = check(_emptied(page, field, by), facts)
    assert [(finding.rule, finding.field) for finding in found] == [("R1", field.name)]
    assert found[0].reason == ("blank, a placeholder still stands" if by else "blank")


@pytest.mark.parametrize("field", HUMAN_FIELDS, ids=lambda field: field.id)
def test_each_human_field_taken_out_in_turn_is_named(page, facts, field):
    record = parse(page)
    lines = list(record.scan.lines)
    del lines[record.answers[field.id].line - 1]
    assert ("R1", field.name) in _found("".join(lines), facts)


def test_none_is_an_answer_only_where_there_may_be_none(page, facts):
    ends = {**facts, "health": [], "runs": [{**run, "status": "completed"} for run in facts["runs"]]}
    for field in HUMAN_FIELDS:
        found = {
            finding.field for finding in check(_emptied(page, field, "none"), ends) if finding.rule in ("R1", "R9")
        }
        allowed = field.none_allowed or field.id in ("title", "owner")
        assert (field.name in found) != allowed or field.id in ("title", "owner"), field.id


def test_issues_have_to_be_explained_when_there_are_any(page, facts):
    notes = next(field for field in HUMAN_FIELDS if field.id == "notes")
    (finding,) = check(_emptied(page, notes, "none"), facts)
    assert finding.field == "Notes on issues"
    assert "run hybrid_S2 failed" in finding.reason


def test_follow_ups_need_a_checkbox(page):
    followups = next(field for field in HUMAN_FIELDS if field.id == "followups")
    assert _found(_emptied(page, followups, "We should run it again.")) == [("R1", "Follow-ups")]
    assert _found(_emptied(page, followups, "- [x] Ran it again.")) == []


@pytest.mark.parametrize("word", ["Supported", "**refuted**", "`inconclusive`.", "_supported_"])
def test_the_word_of_a_conclusion_may_be_dressed(page, word):
    assert _found(page.replace("**Verdict:** supported", f"**Verdict:** {word}")) == []


@pytest.mark.parametrize("word", ["yes", "supported, mostly", "not supported"])
def test_other_words_are_no_conclusion(page, word):
    text = page.replace("**Verdict:** supported", f"**Verdict:** {word}")
    assert _found(text) == [("R9", "Verdict")]


def test_a_prompt_left_beside_an_answer_is_named(page):
    text = page.replace("Nothing regressed.", "Nothing regressed.\n\n_TODO: what got worse_")
    assert _found(text) == [("R1", "What regressed")]


def test_front_matter_is_held_against_the_file_name(page):
    assert _found(page, path=Path("nowhere/2026-11-22_x.md")) == [("R1", "date")]
    assert _found(page, path=Path("nowhere/2026-11-21_x.md")) == []
    assert ("R1", "record_schema") in _found(page.replace("record_schema: 1", "record_schema: 9"))
    assert ("R1", "study") in _found(page.replace("study: arithmetic_small", "study:", 1))
    assert ("R1", "front matter") in _found(page.removeprefix("---\n"))


def test_a_block_taken_out_is_named_with_what_to_put_back(page):
    text = re.sub(r"<!-- auto:gates.*?/auto:gates -->", "", page, flags=re.S)
    (finding,) = check(text, None)
    assert (finding.rule, finding.field) == ("R1", "Gates")
    assert "<!-- auto:gates -->" in finding.reason


def test_blocks_and_headings_that_stand_twice_are_named(page):
    record = parse(page)
    gates = record.block("gates")
    copy = "".join(record.scan.lines[gates.start : gates.end + 1])
    assert _found(page + copy) == [("R16", "gates")]
    assert _found(page + "\n### Why\n\nAgain.\n") == [("R16", "Why")]
    assert _found(page + "\n## Goals\n") == [("R16", "Goals")]
    assert _found(page + "\n- **Owner(s):** Bob\n") == [("R16", "owner s")]
    assert _found(page + "\n## Annex\n\n### Detail\n\n## Annex 2\n\n### Detail\n") == []


def test_broken_markers_and_fences_are_named(page):
    text = page.replace("<!-- /auto:goals -->\n", "")
    assert ("R1", "goals") in _found(text)
    found = check(page.replace("## Analysis", "```\n## Analysis"), None)
    assert ("R1", "code") in [(finding.rule, finding.field) for finding in found]


def test_encoding_is_judged_from_bytes(page):
    raw = page.replace("Nothing regressed.", "Nothing r\u00e9gressed.").encode("latin-1")
    (finding,) = check(raw, None)
    assert (finding.rule, finding.field) == ("R13", "encoding")
    assert b"gressed" in raw.split(b"\n")[finding.line - 1]
    wrong = page.replace("Nothing regressed.", "\u201aÄúNothing\u201aÄù regressed.")
    assert _found(wrong) == [("R13", "encoding")]


def test_paths_and_secrets_are_named_wherever_they_stand(page):
    assert _found(page.replace("Nothing regressed.", "See /home/ada/notes.md there.")) == [("R15", "path")]
    secret = "hf_" + "Dd" * 12
    (finding,) = check(page.replace("Nothing regressed.", f"```\ntoken {secret}\n```\nNothing much."), None)
    assert (finding.rule, finding.field) == ("R15", "secret")
    assert secret not in finding.reason


@pytest.fixture
def project(tmp_path, page):
    """A project with the record, its evidence and something outside."""
    root = tmp_path / "project"
    evidence = root / "experiments" / "2026-11-21_arithmetic_small"
    evidence.mkdir(parents=True)
    (evidence / "curves.svg").write_text("<svg/>")
    (evidence / "a b(1).csv").write_text("x")
    (tmp_path / "outside.md").write_text("x")
    path = root / "experiments" / "2026-11-21_arithmetic_small.md"
    path.write_text(page)
    return path


def _linked(page, target):
    return page.replace("Nothing regressed.", f"Nothing regressed, see {target} for it.")


@pytest.mark.parametrize(
    "target",
    [
        "[a](2026-11-21_arithmetic_small/curves.svg)",
        "![a](<2026-11-21_arithmetic_small/a b(1).csv>)",
        "[a](2026-11-21_arithmetic_small/a%20b(1).csv#row 'title')",
        "[a](https://example.org/x) and <https://example.org>",
        "[a](#analysis)",
        "`[a](nowhere.md)`",
        "[a](../results/absent/run/metrics.ndjson)",
        "an array[i](j.k) in `code` and f[x]",
    ],
)
def test_links_that_lead_somewhere_are_fine(project, page, target):
    found = check(_linked(page, target), None, path=project)
    assert [finding for finding in found if finding.rule == "R5" and "j.k" not in finding.reason] == []


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("[a](nowhere.md)", "does not exist"),
        ("[a [b] c](nowhere.md)", "does not exist"),
        ("[a](../../outside.md)", "leads out"),
        ("[a](/etc/hosts)", "not relative"),
        ("[a](file:///etc/hosts)", "not relative"),
        ("[a](C:/x.md)", "not relative"),
        ("[a]()", "leads nowhere"),
    ],
)
def test_links_that_do_not_are_named(project, page, target, reason):
    (finding,) = [f for f in check(_linked(page, target), None, path=project) if f.rule == "R5"]
    assert reason in finding.reason


def test_links_by_reference_are_looked_up_too(project, page):
    assert _found(page + "\n[a]: nowhere.md\n", path=project) == [("R5", "link")]


def test_a_link_through_a_symbolic_link_may_not_leave(project, page):
    (project.parent / "way_out.md").symlink_to(project.parent.parent.parent / "outside.md")
    (finding,) = check(_linked(page, "[a](way_out.md)"), None, path=project)
    assert "leads out" in finding.reason


def test_results_that_are_there_have_to_hold_what_is_linked(project, page):
    (project.parent.parent / "results" / "absent").mkdir(parents=True)
    text = _linked(page, "[a](../results/absent/run/metrics.ndjson)")
    assert _found(text, path=project) == [("R5", "link")]


def test_a_missing_figure_of_the_evidence_is_named(project, page, facts):
    (project.parent / "2026-11-21_arithmetic_small" / "curves.svg").unlink()
    (finding,) = check(page, facts, path=project)
    assert (finding.rule, finding.field) == ("R5", "link")
    assert "curves.svg" in split_lines(page)[finding.line - 1]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet=st.sampled_from("ab \r\n`~#<>!-/:*[]()_\x00\ud800|"), max_size=200))
def test_no_text_makes_the_check_fail(facts, text):
    found = check(text, facts)
    assert found == sorted(found, key=lambda finding: finding.line)
    assert all(finding.line >= 1 for finding in found)


@pytest.mark.parametrize("part", ["[", "![a](", "<!--", "`", "_", "**", "a/", "_TODO", "/a", "\u00c3", "eyJ"])
def test_no_text_makes_the_check_slow(part):
    began = time.process_time()
    check(part * 4000, None)
    assert time.process_time() - began < 2.0
