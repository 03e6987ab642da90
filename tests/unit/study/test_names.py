from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadrat.study.names import MAX_LENGTH, Template, objection, shown, spell

UNSAFE = [
    "", ".", "..", "../../x", "/etc/passwd", "a/b", "a\\b", "C:", "C:\\x", ".hidden", "-rf", "--", "a ", " a", "a b",
    "a\nb", "a\tb", "a\0b", "\x1b[31mred", "a\x7f", "é", "🎉", "a\u202eb", "a\u200bb", "\uff05", "\ud800", "a\rb",
    "CON", "con", "Nul.txt", "com1", "LPT9.x", "aux", "prn", "x" * 300, "x" * (MAX_LENGTH + 1), "a.", "a:b", "a*",
    "a?", 'a"b', "a<b", "a|b", "$(x)", "`x`", "~", "~root", "%41", "a;b", "a&b", "a'b", "{x}", "[x]", "a@b", "a,b",
    "a#b", "a!b", "report.html", "Study.Lock.json", "figures",
]  # fmt: skip

SAFE = ["a", "L2_G0.5_S42", "1e-05", "a=1+2", "console", "com10", "x" * MAX_LENGTH, "_", "a..b", "=", "+1", "0", "CONX"]


@pytest.mark.parametrize("name", UNSAFE)
def test_unsafe_names_are_refused_for_a_reason_that_can_be_printed(name: str):
    reason = objection(name)
    assert reason is not None
    assert reason.isprintable()
    assert reason.isascii()


@pytest.mark.parametrize("name", SAFE)
def test_safe_names_are_not(name: str):
    assert objection(name) is None


@given(st.text(max_size=120))
def test_a_name_without_objection_stays_in_its_folder(name: str):
    if objection(name) is None:
        assert "/" not in name
        assert "\\" not in name
        assert name not in (".", "..")
        assert len(name.encode()) <= MAX_LENGTH
    assert shown(name).isascii()
    assert shown(name).isprintable()
    assert len(shown(name)) <= 60


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5"), (0.50, "0.5"), (1.0, "1.0"), (1, "1"), (1e-5, "1e-05"), (-2, "-2"), (True, "true"),
        (None, "none"), ("abc", "abc"), ([1, 2], "1-2"), ([], ""), ([0.5, [1]], "0.5-1"), ({}, None), ([{}], None),
    ],
)  # fmt: skip
def test_spelling(value: object, text: str | None):
    assert spell(value) == text


def test_a_template_is_filled():
    template = Template.parse("L{n_layers}_{a.b}_S{seed}x")
    assert template.fields == ("n_layers", "a.b", "seed")
    assert template.fill(lambda key: f"<{key}>") == "L<n_layers>_<a.b>_S<seed>x"
    assert Template.parse("plain").fill(lambda _: "") == "plain"
    assert Template.parse("{{x}}").fill(lambda _: "") == "{x}"


@pytest.mark.parametrize(
    "text",
    ["{", "}", "{a", "a}", "{}", "{a!r}", "{seed:>1000000000}", "{a.__class__.}", "{a[0]}", "{a b}", "{a:{b}}", "{.a}"],
)
def test_templates_that_are_none(text: str):
    with pytest.raises(ValueError, match=r"brace|format|no key"):
        Template.parse(text)


def test_the_default_template_names_axes_by_their_last_part_unless_two_share_it():
    assert Template.default(["training.lr", "gamma"]).fill(lambda key: "1") == "lr1_gamma1_S1"
    assert Template.default(["a.lr", "b.lr"]).fill(lambda key: "1") == "a.lr1_b.lr1_S1"
    assert Template.default([]).fill(lambda key: "1") == "S1"
