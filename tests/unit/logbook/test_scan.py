from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quadrat.logbook.scan import fingerprint, scan, split_lines

BLOCK = "<!-- auto:gates -->\nx\n<!-- /auto:gates -->\n"


@given(st.text(alphabet=st.sampled_from("ab \r\n\x0b\x0c\x85\u2028`~#<>!-/:")))
def test_lines_give_the_text_back_and_end_only_where_markdown_ends_them(text):
    lines = split_lines(text)
    assert "".join(lines) == text
    assert all(line.rstrip("\r\n") == "".join(line.split("\r")).replace("\n", "") for line in lines)


def test_a_block_is_found_with_its_lines_and_hash():
    (block,) = scan("a\n  <!-- auto:gates sha=abc -->  \r\nx\ny\n<!--/auto:gates-->").blocks
    assert (block.id, block.line, block.end, block.sha, block.content) == ("gates", 2, 4, "abc", "x\ny\n")


def test_markers_inside_code_are_text():
    for fence in ("```", "~~~~", "  ```markdown"):
        shape = scan(f"{fence}\n{BLOCK}## Why\n{fence.split('m')[0]}\n{BLOCK}")
        assert [block.line for block in shape.blocks] == [7]
        assert not shape.headings


def test_four_spaces_or_text_beside_it_make_no_marker():
    assert not scan(BLOCK.replace("<", "    <", 1)).blocks
    assert not scan(BLOCK.replace("<", "see <", 1)).blocks


def test_an_open_block_is_reported_and_swallows_nothing():
    shape = scan(f"<!-- auto:goals -->\n## Why\nprose\n{BLOCK}<!-- /auto:goals -->\n")
    assert [block.id for block in shape.blocks] == ["gates"]
    assert [heading.title for heading in shape.headings] == ["Why"]
    assert [(trouble.line, trouble.field) for trouble in shape.troubles] == [(1, "goals"), (7, "goals")]


def test_a_fence_that_is_never_closed_is_reported_by_its_line():
    shape = scan(f"text\n```\n{BLOCK}")
    assert not shape.blocks
    assert [(trouble.line, trouble.field) for trouble in shape.troubles] == [(2, "code")]


def test_a_block_whose_code_lost_its_end_still_closes():
    shape = scan("<!-- auto:commands -->\n```sh\nrun\n<!-- /auto:commands -->\n## Why\n")
    assert [block.id for block in shape.blocks] == ["commands"]
    assert [heading.title for heading in shape.headings] == ["Why"]


def test_front_matter_has_comment_markers_and_the_body_has_not():
    shape = scan("\ufeff---\n# auto:front sha=1\nruns: []\n# /auto:front\n---\n# auto:front\n# /auto:front\n")
    assert [(block.id, block.front, block.line) for block in shape.blocks] == [("front", True, 2)]
    assert shape.front_end == 5
    assert len(shape.headings) == 2


def test_a_rule_below_the_first_line_is_no_front_matter():
    assert scan("\n---\na: 1\n---\n").front_end == 0
    assert scan("---\na: 1\n").front_end == 0


def test_what_is_commented_out_is_no_heading():
    shape = scan("<!-- off\n## Why\n-->\n## Follow-ups ##\n")
    assert [heading.title for heading in shape.headings] == ["Follow-ups"]


def test_a_fingerprint_does_not_see_line_endings_but_sees_everything_else():
    assert fingerprint("a\r\nb\rc\n") == fingerprint("a\nb\nc\n")
    assert fingerprint("a\n") != fingerprint("a \n")
