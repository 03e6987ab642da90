from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from quadrat.study.identity import canonical, content_hash, identity

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), VALUES, max_size=6))
def test_the_order_of_keys_does_not_matter(config: dict[str, object]):
    turned = dict(reversed(config.items()))
    assert canonical(config) == canonical(turned)
    json.loads(canonical(config), parse_constant=lambda word: (_ for _ in ()).throw(ValueError(word)))


def test_what_differs_has_another_identity():
    base = identity("m:f", {"a": 1.0}, 0)
    assert len(base) == 12
    assert base == identity("m:f", {"a": 1.0}, 0)
    others = [
        identity("m:g", {"a": 1.0}, 0),
        identity("m:f", {"a": 1.0}, 1),
        identity("m:f", {"a": 1.0000000000000002}, 0),
        identity("m:f", {"a": 1.0, "b": None}, 0),
        identity("m:f", {"a": "1.0"}, 0),
        identity("m:f", {"a": True}, 0),
    ]
    assert len({base, *others}) == 7


def test_numbers_that_json_does_not_have_are_kept_apart():
    assert len({canonical(value) for value in (math.nan, math.inf, -math.inf, None)}) == 4


def test_tuples_and_lists_are_the_same():
    assert canonical((1, 2)) == canonical([1, 2]) == b"[1,2]"


def test_the_hash_is_stable_between_versions():
    # A change here makes every finished run of every user look like another one.
    value = {"b": [1, 2.5, None, True], "a": "é"}
    assert canonical(value) == b'{"a":"\\u00e9","b":[1,2.5,null,true]}'
    assert content_hash(value) == "0b8cc543e984d4d7398f5f603a4b91d358a2565f1d6b6a058565d662854e37cf"
