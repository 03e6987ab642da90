from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadrat.logbook.markdown import (
    code,
    duration,
    fenced,
    figure,
    href,
    inline,
    link,
    places,
    probability,
    quoted,
    scalar,
    short_hash,
    size,
    table,
)
from quadrat.logbook.scan import scan

nasty = st.text(alphabet=st.sampled_from("ab`|<>/!-#:\r\n\t\x00\x85\u2028\ud800\\"), max_size=30)


@given(st.lists(st.tuples(nasty, nasty), min_size=1, max_size=4))
def test_no_text_can_break_a_row(rows):
    lines = table(("One", "Two"), [(inline(a), code(b)) for a, b in rows]).split("\n")
    assert len(lines) == len(rows) + 2
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 3 for line in lines)


def test_columns_line_up_and_numbers_stand_right():
    assert table(("Name", "n"), [("a", "1"), ("long name", "10")], right=(1,)).split("\n") == [
        "| Name      |   n |",
        "| --------- | --: |",
        "| a         |   1 |",
        "| long name |  10 |",
    ]


@given(st.lists(nasty, max_size=4))
def test_nothing_in_a_code_block_ends_it_or_an_auto_block(lines):
    body = fenced([*lines, "```", "<!-- /auto:commands -->"], "sh")
    shape = scan(f"<!-- auto:commands -->\n{body}\n<!-- /auto:commands -->\n# End\n")
    assert [block.id for block in shape.blocks] == ["commands"]
    assert not shape.troubles
    outside = scan(f"{body}\n# End\n")
    assert [heading.title for heading in outside.headings] == ["End"]


@given(nasty)
def test_quoted_text_stays_in_its_quote(text):
    assert all(line.startswith(">") for line in quoted(f"{text}\n<!-- /auto:goals -->").split("\n"))


def test_html_is_shown_and_not_obeyed():
    assert inline("a < b <script>x</script>") == "a < b &lt;script>x&lt;/script>"


@pytest.mark.parametrize(
    ("low", "high", "mean", "shown"),
    [
        (0.3831, 0.4386, 0.410864, "0.411"),
        (0.40, 0.44, 0.42123, "0.421"),
        (-1.2, 9.7, 4.25678, "4.3"),
        (1000.0, 3000.0, 2012.34, "2012"),
        (0.4100001, 0.4100003, 0.4100002, "0.41000020"),
    ],
)
def test_a_mean_has_the_digits_its_interval_supports(low, high, mean, shown):
    assert figure(mean, places(low, high)) == shown


def test_no_interval_supports_no_more_than_four_digits():
    assert places(0.5, 0.5) is None
    assert places(None, 0.5) is None
    assert figure(0.123456) == "0.1235"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "none"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        ("Infinity", "Infinity"),
        (True, "True"),
        (12, "12"),
        (0.0, "0"),
        (-0.0, "-0"),
        (123456.7, "123457"),
        (1.5e9, "1.500e+09"),
        (1.5e-7, "1.50e-07"),
    ],
)
def test_figures(value, shown):
    assert figure(value) == shown


def test_no_minus_before_a_zero_that_was_rounded():
    assert figure(-0.001, 1) == "0.0"


def test_durations_sizes_hashes_and_p_values():
    assert [duration(x) for x in (None, 3.21, 61, 3599.6, 7380)] == [
        "not measured",
        "3.2 s",
        "1 min 1 s",
        "1 h 0 min",
        "2 h 3 min",
    ]
    assert [size(x) for x in (None, 12, 2048, 8 * 2**30)] == ["none", "12 B", "2.0 KiB", "8.0 GiB"]
    assert short_hash("ab" * 32) == "`abababababab`"
    assert [probability(x) for x in (None, 0.0004, 0.04961)] == ["none", "< 0.001", "0.050"]


def test_values_of_a_configuration():
    assert [scalar(x) for x in (True, None, 0.001, "a|b", "", [1, "x"], "a`b")] == [
        "`true`",
        "`null`",
        "`0.001`",
        "`a\\|b`",
        '`""`',
        '`[1, "x"]`',
        "``a`b``",
    ]


def test_code_spans_hold_backticks_at_their_ends_and_nothing():
    assert [code(x) for x in ("`x", "x`", "")] == ["`` `x ``", "`` x` ``", "`  `"]


def test_links_are_seen_from_the_folder_of_records():
    assert href("results/s/a b.svg") == "../results/s/a%20b.svg"
    assert href("experiments/x/y.svg") == "x/y.svg"
    assert href("x/y(1).svg") == "x/y%281%29.svg"
    assert link("x/y.svg", image=True) == "![x/y.svg](x/y.svg)"
