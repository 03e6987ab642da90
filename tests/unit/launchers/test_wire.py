from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from quadrat.launchers.wire import Lines, encode

MESSAGES = st.lists(st.dictionaries(st.text(), st.integers() | st.text() | st.none(), min_size=1), max_size=5)


@settings(max_examples=40, deadline=None)
@given(MESSAGES, st.lists(st.integers(0, 200), max_size=8))
def test_messages_survive_any_cut(messages, cuts):
    data = b"".join(encode(message) for message in messages)
    lines, heard, begin = Lines(), [], 0
    for end in [*sorted(min(cut, len(data)) for cut in cuts), len(data)]:
        heard += lines.feed(data[begin:end])
        begin = end
    assert heard == messages


def test_an_unfinished_message_is_kept_back():
    lines = Lines()
    assert lines.feed(b'{"a":') == []
    assert lines.feed(b'1}\n{"b"') == [{"a": 1}]
    assert lines.feed(b":2}\n") == [{"b": 2}]


def test_a_message_is_one_line_whatever_it_says():
    assert encode({"text": "two\nlines\u2028"}).count(b"\n") == 1
    assert json.loads(encode({"text": "two\nlines"})) == {"text": "two\nlines"}
