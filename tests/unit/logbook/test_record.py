from __future__ import annotations

import copy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quadrat.core.errors import StoreError, UsageError
from quadrat.logbook.record import draft, fill, parse, read
from quadrat.logbook.render import RENDERERS
from quadrat.logbook.scan import scan, split_lines

SLOW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# Everything that could tempt a program to tidy up: odd spaces, every line ending, tabs, tables, lists, HTML.
prose = st.text(alphabet=st.sampled_from("ab \t\r\n|-*_.[]()<>!\x0b\x0c\x85\u2028\u00e9\u200b"), max_size=60)
# The same with what has a meaning to the scanner: fences, comments, headings, markers.
risky = st.lists(
    st.sampled_from(
        [
            "```\n",
            "~~~\n",
            "<!--\n",
            "-->\n",
            "# A\n",
            "---\n",
            "<!-- auto:gates -->\n",
            "<!-- /auto:gates -->\n",
            "x\r\n",
            "\r",
        ]
    ),
    max_size=5,
).map("".join)


@pytest.fixture
def later(facts):
    """The same study some runs later: every block of results differs."""
    facts = copy.deepcopy(facts)
    facts["status_account"] = "6 planned = 6 completed"
    facts["runs"][-1] |= {"status": "completed", "error": None, "step": 2000}
    facts["metrics"][1] |= {
        "values": [0.91, 0.93, 0.95],
        "measured": 3,
        "mean": 0.93,
        "low": 0.88,
        "high": 0.98,
        "method": "t",
    }
    return facts


def _gaps(text):
    """Where prose may be put: before each line outside blocks and front matter, and at the end."""
    shape = scan(text)
    inside = {index for block in shape.blocks for index in range(block.start + 1, block.end + 1)}
    free = [i for i in range(shape.front_end, len(shape.lines) + 1) if i not in inside]
    return shape.lines, free


def _outside(text):
    """All that is not the machine's: the pieces between blocks, and the markers' own lines without their hash."""
    shape = scan(text)
    pieces, done = [], 0
    for block in shape.blocks:
        pieces.append("".join(shape.lines[done : block.start]))
        pieces.append(shape.lines[block.end])
        done = block.end + 1
    return [*pieces, "".join(shape.lines[done:])]


@SLOW
@given(data=st.data(), words=prose)
def test_prose_anywhere_outside_the_blocks_stays_as_it_is(facts, later, data, words):
    start = draft(facts)
    lines, free = _gaps(start)
    place = data.draw(st.sampled_from(free))
    put = words + "\n"
    told = "".join([*lines[:place], put, *lines[place:]])
    result = fill(told, later)
    assert not result.edited_blocks
    after = fill(start, later).text
    expected = split_lines(after)
    shift = _moved(start, after, place)
    assert result.text == "".join([*expected[:shift], put, *expected[shift:]])


def _moved(before, after, place):
    """The line of ``after`` where line ``place`` of ``before``, which is outside all blocks, has gone."""
    old, new = scan(before).blocks, scan(after).blocks
    passed = [index for index, block in enumerate(old) if block.end < place]
    return place + (new[passed[-1]].end - old[passed[-1]].end if passed else 0)


@SLOW
@given(data=st.data(), words=risky)
def test_even_prose_that_hides_or_imitates_blocks_stays_as_it_is(facts, later, data, words):
    lines, free = _gaps(draft(facts))
    place = data.draw(st.sampled_from(free))
    told = "".join([*lines[:place], words, *lines[place:]])
    after = fill(told, later, force=True).text
    assert _outside(after) == _outside(told)
    assert fill(after, later).text == after


@SLOW
@given(kinds=st.lists(st.sampled_from(["\n", "\r\n", "\r", " \n", "\t\r\n"]), min_size=1, max_size=7))
def test_line_endings_and_spaces_of_every_kind_survive(facts, later, kinds):
    lines = split_lines(draft(facts))
    inside = {i for block in scan("".join(lines)).blocks for i in range(block.start, block.end)}
    mixed = "".join(line if i in inside else line.rstrip("\n") + kinds[i % len(kinds)] for i, line in enumerate(lines))
    result = fill(mixed, later)
    assert not result.edited_blocks
    assert _outside(result.text) == _outside(mixed)
    assert parse(result.text).block("metrics").content != parse(mixed).block("metrics").content


def test_a_file_of_windows_stays_one_and_is_not_taken_for_edited(facts, later):
    windows = "\ufeff" + draft(facts).replace("\n", "\r\n")
    result = fill(windows, later)
    assert not result.edited_blocks
    assert result.text.count("\n") == result.text.count("\r\n")
    assert result.text == "\ufeff" + fill(draft(facts), later).text.replace("\n", "\r\n")


def test_no_line_end_at_the_end_of_the_file_is_added(facts, later):
    text = draft(facts).rstrip("\n")
    assert fill(text, later).text.endswith("<!-- /auto:rerun -->")
    assert fill(text + "\n\nlast words", later).text.endswith("\n\nlast words")


def test_filling_again_changes_nothing(facts):
    text = draft(facts)
    assert fill(text, facts).text == text
    assert fill(text, copy.deepcopy(facts)).edited_blocks == ()


def test_results_that_changed_are_filled_in(facts, later):
    before, after = draft(facts), fill(draft(facts), later).text
    assert "6 planned = 6 completed" in after
    assert "[0.880, 0.980]" in after
    assert before.count("<!--") == after.count("<!--")


@pytest.mark.parametrize("name", sorted(RENDERERS))
def test_a_block_edited_by_hand_is_kept_and_reported(facts, later, name):
    text = draft(facts)
    block = parse(text).block(name)
    lines = split_lines(text)
    lines.insert(block.end, "# mine\n" if block.front else "my own words\n")
    edited = "".join(lines)
    result = fill(edited, later)
    assert [(found.id, found.line) for found in result.edited_blocks] == [(name, parse(result.text).block(name).line)]
    assert parse(result.text).block(name).content == parse(edited).block(name).content
    assert result.fresh == fill(text, later).text
    assert fill(edited, later, force=True).text == result.fresh
    assert fill(result.text, later).edited_blocks


def test_a_block_that_was_edited_to_what_it_should_be_is_no_conflict(facts, later):
    hashes = {block.id: block.sha for block in parse(draft(facts)).blocks}
    text = draft(later)
    stale = text.replace(parse(text).block("metrics").sha, hashes["metrics"])
    assert stale != text
    result = fill(stale, later)
    assert not result.edited_blocks
    assert result.text == text


def test_an_empty_block_is_filled_and_a_missing_one_named(facts):
    result = fill("words\n<!-- auto:gates -->\n<!-- /auto:gates -->", facts)
    assert "| overfit |" in result.text
    assert "gates" not in result.missing
    assert set(result.missing) == set(RENDERERS) - {"gates"}
    assert fill(result.text, facts).text == result.text


def test_a_block_nobody_knows_is_left_alone(facts):
    text = "<!-- auto:later sha=abc -->\nfrom the future\n<!-- /auto:later -->\n"
    result = fill(text, facts)
    assert (result.text, result.edited_blocks) == (text, ())


def test_a_record_parses_into_front_matter_sections_blocks_and_answers(facts, answer):
    record = parse(answer(draft(facts)))
    assert record.front["record_schema"] == 1
    assert record.front["study"] == "arithmetic_small"
    assert str(record.front["date"]) == "2026-11-21"
    assert record.front["runs"] == [run["name"] for run in facts["runs"]]
    (analysis,) = [section for section in record.sections if section.title == "Analysis"]
    lines = record.scan.lines
    assert lines[analysis.line - 1] == "## Analysis\n"
    assert lines[analysis.end_line] == "## Conclusion\n"
    assert [block.id for block in record.blocks] == [block.id for block in parse(draft({})).blocks]
    assert record.answers["verdict"].text == "supported"
    assert record.answers["followups"].items == ["Repeat hybrid_S2.", "Say in the README what the arms reach."]
    assert not record.troubles


def test_front_matter_that_is_no_yaml_is_reported_by_its_line():
    record = parse("---\nstudy: a\nstudy: b\n---\n")
    assert record.front == {}
    assert [(trouble.line, trouble.field) for trouble in record.troubles] == [(3, "front matter")]
    assert parse("---\n- a\n---\n").troubles[0].line == 1
    assert parse("---\na: !!python/object:os.system x\n---\n").troubles
    assert parse("---\n" + "[" * 5000 + "\n---\n").troubles[0].line == 1
    assert parse("---\na: " + "[" * 32 + "]" * 32 + "\n---\n").front
    assert parse(f"---\na: {'b' * 300_000}\n---\n").troubles


def test_words_of_facts_do_not_become_yaml(facts):
    facts["study"] = "x: [y]"
    facts["date"] = None
    record = parse(draft(facts))
    assert record.front["study"] == "x: [y]"
    assert record.front["date"] is None


def test_secrets_and_paths_in_facts_do_not_reach_the_page(facts):
    facts["commands"] = ["/home/ada/venv/bin/python -m quadrat run s.yaml", "WANDB_API_KEY=" + "0a" * 20 + " x"]
    facts["runs"][-1]["error"] = "cannot open /home/ada/data/x.json"
    facts["question"] = "Does ~/study/config.yaml matter?"
    text = draft(facts)
    assert "/home/ada" not in text
    assert "~/study" not in text
    assert "0a0a" not in text
    assert ".../python -m quadrat run s.yaml" in text


def test_reading_keeps_line_endings(tmp_path):
    path = tmp_path / "r.md"
    path.write_bytes(b"a\r\nb\rc\n")
    assert read(path) == "a\r\nb\rc\n"


def test_reading_says_what_is_wrong_and_where(tmp_path):
    path = tmp_path / "r.md"
    with pytest.raises(UsageError, match=r"r\.md"):
        read(path)
    path.write_bytes(b"a\nb \xe9\n")
    with pytest.raises(StoreError, match=r"r\.md:2: byte 0xe9"):
        read(path)
