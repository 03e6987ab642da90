from __future__ import annotations

import pytest

from quadrat.logbook.followups import followups, slug, stub, stub_text
from quadrat.logbook.record import draft, parse


@pytest.fixture
def record(facts, answer):
    text = answer(draft(facts))
    more = "- [x] Done before.\n- [ ] One that\n  goes on. See [#3](x).\n- [ ] _TODO: nothing yet_\n- [ ]\n- no box\n"
    return parse(text.replace("- [ ] Repeat hybrid_S2.", f"- [ ] Repeat hybrid_S2.\n{more}"))


def test_checkboxes_are_data(record):
    found = followups(record, name="2026-11-21_arithmetic_small")
    assert [(item.text, item.done) for item in found] == [
        ("Repeat hybrid_S2.", False),
        ("Done before.", True),
        ("One that goes on. See [#3](x).", False),
        ("Say in the README what the arms reach.", False),
    ]
    assert all(item.study == "arithmetic_small" for item in found)
    lines = record.scan.lines
    assert [lines[item.line - 1].startswith("- [") for item in found] == [True] * 4
    assert found[0].as_dict()["record"] == "2026-11-21_arithmetic_small"


def test_boxes_elsewhere_are_no_followups(record, facts, answer):
    text = answer(draft(facts)).replace("Nothing regressed.", "Nothing regressed.\n\n- [ ] a box in the analysis")
    assert len(followups(parse(text), name="n")) == 2


def test_an_id_depends_on_record_and_words_alone(record):
    one, other = followups(record, name="a"), followups(record, name="b")
    assert len({item.id for item in (*one, *other)}) == 8
    assert [item.id for item in followups(record, name="a")] == [item.id for item in one]


def test_a_name_is_made_of_the_first_words():
    assert slug("Digit-wise codes (residues, FoNE) beside the scalar codes") == "digit_wise_codes_residues_fone_beside"
    assert slug("2 more seeds") == "study_2_more_seeds"
    assert slug("!") == "study"


def test_a_stub_asks_the_question_of_the_study_it_follows(record, facts):
    facts |= {"trainable": "a.b:train", "primary": ["test/acc"], "baseline": "token_only"}
    item = followups(record, name="n")[0]
    told = stub(item, facts)
    assert told["question"] == "Repeat hybrid_S2."
    assert told["study"] == "repeat_hybrid_s2"
    assert told["hypothesis"] == ""
    assert told["seeds"] == [0, 1, 2]
    assert told["arms"]["hybrid"] == {"model": {"kind": "hybrid", "width": 96}}
    assert told["baseline"] == "token_only"
    assert told["owner"] == "Ada Example"
    text = stub_text(item, "study: x\n")
    assert text.startswith("# From the follow-ups of experiments/n.md")
    assert text.endswith("study: x\n")


def test_arms_of_a_stub_have_names_that_a_study_takes(record, facts):
    facts["config_by_condition"] = {"overfit/a": {"x": 1}, "generalize/a": {"x": 2}, "n=2, g=0.5": {"n": 2}}
    told = stub(followups(record, name="n")[0], facts)
    assert list(told["arms"]) == ["a", "n_2_g_0.5"]
    assert told["arms"]["a"] == {"x": 1}
