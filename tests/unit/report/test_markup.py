"""HTML that what it shows cannot break."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadrat.report.markup import Markup, breakable, join, link, table, tag

NASTY = "<script>alert('1')</script>\" onload=x & ' >"


class Reader(HTMLParser):
    """Collects tags, attributes and text as a browser sees them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, name, attributes):
        self.tags.append(name)
        self.attributes += attributes

    def handle_data(self, text):
        self.text += text


@given(st.text())
def test_text_is_read_back_as_it_was(text):
    seen = Reader(tag("p", text, title=text))
    assert seen.tags == ["p"]
    plain = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
    assert seen.text == plain
    assert dict(seen.attributes) == {"title": plain}


def test_nothing_nasty_becomes_a_tag_or_an_attribute():
    seen = Reader(table(NASTY, [[NASTY, NASTY]], head=[NASTY, "b"], class_=NASTY))
    assert set(seen.tags) == {"div", "table", "caption", "thead", "tr", "th", "tbody", "td", "wbr"}
    assert {name for name, _ in seen.attributes} <= {"class", "scope", "tabindex", "role", "aria-label"}


def test_markup_is_kept_and_text_beside_it_is_not():
    assert tag("p", tag("b", "x"), "<i>") == "<p><b>x</b>&lt;i&gt;</p>"
    assert join([Markup("<hr>"), None, 3, ["a", 0.5]], by=" ") == "<hr>  3 a0.5"


def test_attributes():
    assert tag("a", class_="x", aria_hidden="true", open=True, id=None, hidden=False) == (
        '<a class="x" aria-hidden="true" open></a>'
    )
    assert tag("br") == "<br>"


@pytest.mark.parametrize("path", ["javascript:alert(1)", "//evil.example/x", "data:text/html,x", "a b/#?c", "=x"])
def test_a_link_cannot_leave_the_folder_by_scheme_or_host(path):
    target = dict(Reader(link("x", path)).attributes)["href"]
    assert target.startswith("./")
    assert not any(sign in target for sign in (":", "#", "?", " "))


def test_long_names_may_break_and_stay_escaped():
    assert breakable("short") == "short"
    assert breakable("test_ood_magnitude/<b>") == ("test_<wbr>ood_<wbr>magnitude/<wbr>&lt;b&gt;<wbr>")
