from __future__ import annotations

import pytest

from quadrat.logbook.fields import answers
from quadrat.logbook.scan import scan


def _why(text):
    return answers(scan(f"### Why\n\n{text}\n\n## Next\n\nother\n"))["why"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "____",
        "<your words here>",
        "TODO",
        "TODO: write this",
        "- TBD",
        "_TODO: the explanation_",
        "*TODO later*",
        "n/a",
        "_n/a_",
        "YYYY-MM-DD",
        "abc1234",
        "...",
        "- [ ]",
        "<!-- a remark -->",
        "- [ ] _TODO: one_\n- [ ] _TODO: two_",
    ],
)
def test_placeholders_are_blank(text):
    assert _why(text).text == ""


@pytest.mark.parametrize(
    "text",
    [
        "It works.",
        "n/a (no baseline was declared)",
        "see <https://example.org/a>",
        "x < y and y > z",
        "\u56e0\u4e3a",
        "42",
    ],
)
def test_words_are_not_blank(text):
    assert _why(text).text


def test_a_prompt_beside_an_answer_is_seen():
    answer = _why("_TODO: the explanation_\n\nBecause of the carry.")
    assert answer.text == "Because of the carry."
    assert answer.has_prompt


def test_an_answer_goes_on_below_smaller_headings_and_may_hold_code():
    answer = _why("First.\n\n#### Detail\n\n```\n## not a heading\n```\n\nLast.")
    assert answer.text.startswith("First.")
    assert "not a heading" in answer.text
    assert answer.text.endswith("Last.")


def test_blocks_are_no_part_of_an_answer():
    assert _why("<!-- auto:gates -->\n| a table |\n<!-- /auto:gates -->").text == ""


def test_labels_are_found_in_any_dress_and_go_on_while_indented():
    for line in ("- **Owner(s):** Ada\n  and Bob", "**Owner(s)**: Ada\n  and Bob", "* **owner(s):** Ada\n\tand Bob"):
        answer = answers(scan(f"# T\n\n{line}\n- **Other:** x\n"))["owner"]
        assert answer.text.split() == ["Ada", "and", "Bob"]
        assert answer.line == 3


def test_the_sentence_of_a_conclusion_is_told_from_its_word():
    found = answers(scan("## Conclusion\n\n**Verdict:** refuted\n\nThe gain was 0.01.\n"))
    assert found["verdict"].text == "refuted"
    assert found["conclusion"].text == "The gain was 0.01."


def test_checkboxes_count_only_when_they_say_something():
    found = answers(scan("## Follow-ups\n\n- [ ] run again\n- [x] done\n- [ ]\n- plain\n"))["followups"]
    assert found.items == ["run again", "done"]


def test_the_title_stands_without_the_word_experiment():
    assert answers(scan("# Experiment: Sums\n"))["title"].text == "Sums"
    assert answers(scan("# Experiment:\n"))["title"].text == ""
