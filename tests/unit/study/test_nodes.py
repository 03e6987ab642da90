from __future__ import annotations

from quadrat.study.nodes import Node, drop, follow, get, plain, put, where, wrap

TREE = wrap({"a": {"b.c": 1, "d": [{"name": "x", "v": 1}, {"id": "y"}]}}, "f:1")


def test_wrap_and_plain_are_inverse():
    assert plain(wrap({"a": [1, {"b": None}]}, "f:1")) == {"a": [1, {"b": None}]}


def test_follow_meets_dotted_keys_and_items_by_name_id_and_index():
    assert follow(TREE, ("a", "b", "c")) == (("a", "b.c"), ())
    assert follow(TREE, ("a", "d", "x", "v")) == (("a", "d", 0, "v"), ())
    assert follow(TREE, ("a", "d", "y")) == (("a", "d", 1), ())
    assert follow(TREE, ("a", "d", "1", "id")) == (("a", "d", 1, "id"), ())
    assert follow(TREE, ("a", "d", "z", "v")) == (("a", "d"), ("z", "v"))
    assert follow(TREE, ("q", "r")) == ((), ("q", "r"))


def test_put_changes_a_copy_and_makes_what_is_missing():
    changed = put(TREE, ("a", "d", 0, "v"), new=Node(9, "override"))
    assert plain(changed)["a"]["d"][0]["v"] == 9
    assert plain(TREE)["a"]["d"][0]["v"] == 1
    assert where(changed, ("a", "d", 0, "v")) == "override"
    assert plain(put(TREE, ("n", "m"), new=Node(1, "o")))["n"] == {"m": 1}


def test_drop_removes_keys_and_items_and_leaves_the_rest():
    assert plain(drop(TREE, ("a", "b.c"))) == {"a": {"d": [{"name": "x", "v": 1}, {"id": "y"}]}}
    assert plain(drop(TREE, ("a", "d", 0))) == {"a": {"b.c": 1, "d": [{"id": "y"}]}}
    assert drop(TREE, ("a", "absent")) == TREE


def test_where_passes_over_steps_that_pydantic_put_in():
    node = Node({"a": Node([Node({"b": Node(1, "f:3")}, "f:2")], "f:1")}, "f:0")
    assert where(node, ("a", 0, "rule", "b", "int")) == "f:3"


def test_get_is_exact():
    assert get(TREE, "a", "d", 7) is None
    assert get(TREE, "a", "b") is None
    found = get(TREE, "a", "b.c")
    assert found is not None
    assert found.value == 1
