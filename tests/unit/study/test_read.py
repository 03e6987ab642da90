from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadrat.core.errors import StudyError
from quadrat.study.builder import MAX_DEPTH, MAX_NODES
from quadrat.study.nodes import plain, where
from quadrat.study.read import MAX_BYTES, parse_yaml, read_value, read_yaml


def parse(text: str | bytes):
    return parse_yaml(text.encode() if isinstance(text, str) else text, label="s.yaml")


def refusal(text: str | bytes) -> list[str]:
    with pytest.raises(StudyError) as caught:
        document = parse(text)
        raise StudyError(document.problems or pytest.fail("nothing was refused"))
    return [problem.line() for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 0.001),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("042", 42),
        ("0o17", 15),
        ("0x1f", 31),
        ("12:30", "12:30"),
        ("2001-12-14", "2001-12-14"),
        ("90%", "90%"),
        ("1_000", 1000),
        ("true", True),
        ("~", None),
        ("", None),
        (".5", 0.5),
        ("1.", 1.0),
        ("-0", 0),
        (".inf", float("inf")),
        ('"5"', "5"),
        ("'no'", "no"),
        ("[1, 2.0, a]", [1, 2.0, "a"]),
        ("{a: 1, b: {c: 2}}", {"a": 1, "b": {"c": 2}}),
        ("|\n  two\n  lines\n", "two\nlines\n"),
    ],
)
def test_values_are_yaml_1_2(written: str, value: object):
    found = parse(f"key: {written}\n").data["key"]
    assert found == value
    assert type(found) is type(value)


def test_every_value_knows_its_line():
    document = parse("a: 1\nb:\n  c: [1,\n    2]\n  d:\n    - x\n    - e: 5\n")
    assert where(document.root, ("a",)) == "s.yaml:1"
    assert where(document.root, ("b", "c", 1)) == "s.yaml:4"
    assert where(document.root, ("b", "d", 1, "e")) == "s.yaml:7"
    assert where(document.root, ("b", "d", 9, "z")) == "s.yaml:5"


def test_an_alias_stands_for_its_value_and_is_placed_where_it_is_used():
    document = parse("a: &x {n: 1}\nb: *x\nc: [*x, *x]\n")
    assert document.data == {"a": {"n": 1}, "b": {"n": 1}, "c": [{"n": 1}, {"n": 1}]}
    assert where(document.root, ("b",)) == "s.yaml:2"


def test_plain_data_share_nothing():
    data = parse("a: &x [1]\nb: *x\n").data
    data["a"].append(2)
    assert data["b"] == [1]


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(20)
)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: !!python/object:os.system {b: 1}\n", 1, "the tag '!!python/object:os.system' is not allowed"),
        ("a: 1\nb: !!str 5\n", 2, "the tag '!!str'"),
        ("a: !local x\n", 1, "the tag '!local'"),
        ("a: 1\nb: 2\na: 3\n", 3, "the key 'a' stands here a second time; the first is at s.yaml:1"),
        ("x: {b: 1, b: 2}\n", 1, "the key 'b' stands here a second time"),
        ("a:\n\tb: 1\n", 2, "indented by a tab"),
        ("a: {\n\tb: 1}\n", 2, "indented by a tab"),
        ("a:\tb\n", 1, "put spaces where the tab is"),
        ("a: &a [*a]\n", 1, "contains itself"),
        ("a: &a {b: {c: [1, *a]}}\n", 1, "contains itself"),
        ("a: *nope\n", 1, "refers to nothing before it"),
        (BOMB, 6, f"more than {MAX_NODES:,} values"),
        ("a: " + "[" * 5000 + "]" * 5000, 1, f"more than {MAX_DEPTH} levels"),
        ("".join("  " * i + "a:\n" for i in range(200)), 65, f"more than {MAX_DEPTH} levels"),
        ("a: &a " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 40 + "*a" + "]" * 40, 2, f"more than {MAX_DEPTH} levels"),
        ("a: 1\n---\nb: 2\n", 2, "a second document"),
        ("%YAML 1.1\n---\na: no\n", 2, "another version"),
        ("a: {<<: {b: 1}}\n", 1, "the merge key"),
        ("1: 2\n", 1, "the key 1 is not text"),
        ("? [1, 2]\n: 3\n", 1, "a key is not text"),
        ("", 1, "the file is empty"),
        ("# only a comment\n", 1, "the file is empty"),
        ("- a\n", 1, "does not hold a mapping"),
        ("hello\n", 1, "does not hold a mapping"),
        ("a: [1\nb: 2\n", 2, "not valid YAML"),
        ("a: 1\nb: x\0y\n", 2, "U+0000"),
        ("a: 1\nb: \x1b[31m\n", 2, "U+001B"),
        ("seeds: [" + "9" * 5000 + "]\n", 1, "is too long"),
        ("a: 1\nname: {arm}_S{seed}\n", 2, 'name: "{arm}_S{seed}"'),
        ("gate:\n  pass: > 0.9\n", 2, 'pass: "> 0.90"'),
        ('question: "\\ud800x"\n', 1, "half a character"),
        ("question: which: that\n", 1, "a colon and a space in quotes"),
        ("a: @b\n", 1, "begins with @"),
        (b"a: 1\nquestion: na\x95ve \xe9\n", 2, "not UTF-8"),
        (b"\xff\xfea\x00", 1, "UTF-16"),
    ],
)
def test_refusals_name_the_line(text: str | bytes, line: int, words: str):
    lines = refusal(text)
    assert len(lines) == 1
    assert lines[0].startswith(f"s.yaml:{line}: ")
    assert words in lines[0]
    assert " Try: " in lines[0]


def test_a_file_of_one_mebibyte_is_read_and_one_byte_more_is_refused():
    text = "a: 1\n#"
    assert parse(text.ljust(MAX_BYTES, "x")).data == {"a": 1}
    assert "larger than 1 MiB" in refusal(text.ljust(MAX_BYTES + 1, "x"))[0]


def test_nesting_of_exactly_the_limit_is_read():
    depth = MAX_DEPTH - 1  # the file itself is the first level
    assert parse("a: " + "[" * depth + "]" * depth).data
    refusal("a: " + "[" * (depth + 1) + "]" * (depth + 1))


@pytest.mark.parametrize("text", [BOMB, "a: &a [*a]\n", "a: " + "[" * 5000])
def test_bombs_are_refused_fast(text: str):
    begin = time.process_time()
    refusal(text)
    assert time.process_time() - begin < 1.5


def test_all_lines_with_tabs_are_listed():
    assert len(refusal("a:\n\tb: 1\n\tc: 2\n  \td: 3\n")) == 3


def test_tags_and_duplicates_are_listed_together():
    lines = refusal("a: 1\na: 2\nb: !x 3\nb: 4\n")
    assert [line.split(" ")[0] for line in lines] == ["s.yaml:2:", "s.yaml:3:", "s.yaml:4:"]


def test_the_word_in_the_wrong_encoding_is_shown_as_it_was_meant():
    (line,) = refusal("question: naïve\n".encode("mac_roman"))
    assert "'naïve' in Mac Roman" in line


def test_a_byte_order_mark_and_windows_line_ends_are_let_pass():
    document = parse(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert document.data == {"a": 1, "b": 2}
    assert where(document.root, ("b",)) == "s.yaml:2"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("config: {x: no}\n", "no is the text 'no'"),
        ("config: {x: On}\n", "On is the text 'On'"),
        ("config: {x: 042}\n", "042 is the number 42"),
        ("question: cafÃ©\n", "looks like 'é'"),
        ("question: na√Øve\n", "looks like 'ï'"),
    ],
)
def test_what_other_readers_would_read_otherwise_is_a_warning(text: str, words: str):
    warnings = parse(text).warnings
    assert len(warnings) == 1
    assert words in warnings[0].what


@pytest.mark.parametrize("text", ["pack: off\n", 'a: "no"\n', "a: 0\nb: 0.5\n", "a: naïve Ω 日本\n", "a: 10\n"])
def test_what_is_plain_warns_of_nothing(text: str):
    assert parse(text).warnings == ()


def test_a_file_that_cannot_be_read_is_a_study_error(tmp_path: Path):
    with pytest.raises(StudyError, match="cannot read the study file"):
        read_yaml(tmp_path / "absent.yaml")


def test_read_yaml_refuses_what_parse_only_notes(tmp_path: Path):
    path = tmp_path / "s.yaml"
    path.write_text("a: 1\na: 2\n")
    with pytest.raises(StudyError, match="second time"):
        read_yaml(path)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_place(text: str):
    try:
        document = parse_yaml(text.encode("utf-8", "surrogatepass"), label="s.yaml")
    except StudyError as error:
        assert all(problem.where and problem.where.startswith("s.yaml") for problem in error.problems)
    else:
        assert isinstance(document.data, dict)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes):
    try:
        parse_yaml(data, label="s.yaml")
    except StudyError as error:
        assert "\x1b" not in error.paragraph()


def test_a_value_is_read_by_the_same_rules():
    assert plain(read_value("[1e-3, no, 042]", label="here")) == [0.001, "no", 42]
    with pytest.raises(StudyError, match="here: "):
        read_value("[1", label="here")
