"""docs/reference/study-file.md: its examples are studies, and it names every key there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from quadrat.study import schema
from quadrat.study.load import load_study

PAGE = (Path(__file__).parents[2] / "docs/reference/study-file.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
TOLD_ELSEWHERE = (schema.Rule, schema.Trend)
BLOCKS = [
    found
    for found in vars(schema).values()
    if isinstance(found, type) and issubclass(found, schema.Block) and found not in (schema.Block, *TOLD_ELSEWHERE)
]
PACK_IN_OTHER_WORDS = {"mode"}


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_examples_are_studies(text, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_study(path).runs


def test_the_fuller_example_is_as_large_as_it_looks(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(EXAMPLES[1], encoding="utf-8")
    assert len(load_study(path).runs) == (3 * 2 + 1) * 3


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.__name__)
def test_every_key_is_named(block):
    keys = {field.alias or name for name, field in block.model_fields.items()} - PACK_IN_OTHER_WORDS
    assert {key for key in keys if not re.search(rf"`[^`]*\b{key}\b[^`]*`", PAGE)} == set()
