"""The config on disk: the same bytes for the same config, the same config from the bytes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quadrat.core.errors import StoreError
from quadrat.journal.config_yaml import dump_yaml, load_yaml

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
trees = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4))


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(keys, trees, max_size=6))
def test_what_is_written_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, config: dict[str, Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "config.yaml"
    path.write_text(dump_yaml(config), encoding="utf-8", newline="")
    assert load_yaml(path) == config


def test_keys_are_sorted_and_equal_configs_give_equal_text() -> None:
    one = dump_yaml({"b": {"y": 1, "x": [1, 2.0]}, "a": 0.001})
    assert one == dump_yaml({"a": 1e-3, "b": {"x": (1, 2.0), "y": 1}})
    assert one == "a: 0.001\nb:\n  x:\n  - 1\n  - 2.0\n  y: 1\n"


def test_words_that_look_like_something_else_stay_words(tmp_path: Path) -> None:
    config = {"a": ["no", "1e-3", "null", "~", "", "042", "12:30", "2026-11-21", "0x1f", "true", "- x", "# y", "a: b"]}
    path = tmp_path / "c.yaml"
    path.write_text(dump_yaml(config), encoding="utf-8")
    assert load_yaml(path) == config


def test_values_of_other_makes_become_plain() -> None:
    assert dump_yaml({"path": Path("a/b"), "n": np.int64(3), "x": np.float32(0.5)}) == "n: 3\npath: a/b\nx: 0.5\n"
    assert dump_yaml({"a": "x\ud800"}) == dump_yaml({"a": "x\\ud800"})


def test_numbers_that_are_not_finite_come_back(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(dump_yaml({"a": math.inf, "b": -math.inf, "c": math.nan}))
    back = load_yaml(path)
    assert (back["a"], back["b"]) == (math.inf, -math.inf)
    assert math.isnan(back["c"])


def test_a_value_that_occurs_twice_is_written_twice() -> None:
    shared = [1]
    assert "&" not in dump_yaml({"a": shared, "b": shared})


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"\xff\xfe\x00",
        b"a: [1",
        b"a: 1\na: 2\n",
        b"a: !!python/object:os.system {}\n",
        b"a: &x [1]\nb: [*x, *x]\n",
        b"a: " + b"[" * 600,
        b"? [1]\n: 2\n? {a: 1}\n: 3\n",
        b"a:\tb\n\t- c",
    ],
)
def test_a_damaged_file_is_named_and_nothing_is_made_of_it(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError, match="file") as caught:
        load_yaml(path)
    assert "config.yaml" in caught.value.paragraph()
    assert len(caught.value.paragraph()) < 600
