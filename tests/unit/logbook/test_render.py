from __future__ import annotations

from io import StringIO

from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from quadrat.logbook.record import draft, fill
from quadrat.logbook.render import RENDERERS, front, render
from quadrat.logbook.scan import scan
from quadrat.logbook.template import AUTO_FIELDS

words = st.text(alphabet=st.sampled_from("ab 1|`<>!-/:#*_[]()\r\n\t\x00\\$\u00e9\u2028"), max_size=25)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
PLAIN = ["study", "title", "date", "owner", "question", "hypothesis", "hypothesis_locked", "status_account", "seeds"]
PARTS = [
    "commands",
    "config_common",
    "config_by_condition",
    "derived",
    "git",
    "machine",
    "runtime",
    "evidence",
    "figures",
]
KINDS = ["runs", "gates", "metrics", "comparisons", "health", "data", "artifacts", "amendments"]
INNER = [
    "name",
    "seed",
    "status",
    "folder",
    "metric",
    "condition",
    "n",
    "values",
    "low",
    "high",
    "mean",
    "stage",
    "files",
]

row = st.dictionaries(st.sampled_from(INNER), values, max_size=6)


@st.composite
def any_facts(draw):
    keys = draw(st.lists(st.sampled_from([*PLAIN, *PARTS, *KINDS, "rerun"]), unique=True))
    return {key: draw(st.lists(row, max_size=3) | values if key in KINDS else values) for key in keys}


@given(any_facts())
@settings(max_examples=40, deadline=None)
def test_whatever_the_facts_hold_the_page_keeps_its_shape(facts):
    text = draft(facts)
    shape = scan(text)
    assert [block.id for block in shape.blocks] == [block.id for block in scan(draft({})).blocks]
    assert [heading.level for heading in shape.headings] == [heading.level for heading in scan(draft({})).headings]
    assert not shape.troubles
    assert not any(block.is_edited for block in shape.blocks)
    assert fill(text, facts).text == text


def test_the_runs_in_the_front_matter_are_yaml(facts):
    facts["runs"] = [{"name": f"L{i}_G0.5_S42"} for i in range(40)]
    source = front(facts)
    loaded = YAML(typ="safe", pure=True).load(StringIO(source))
    assert loaded["runs"] == [f"L{i}_G0.5_S42" for i in range(40)]
    assert loaded["evidence"] == facts["evidence"]
    assert max(map(len, source.split("\n"))) <= 110


def test_runs_of_several_stages_are_cited_with_their_stage():
    source = front({"runs": [{"name": "a_S1", "stage": "overfit"}, {"name": "a_S1", "stage": None}]})
    assert source.startswith('runs: ["overfit/a_S1", "a_S1"]\nevidence: null')


def test_every_field_of_the_machine_has_a_block_and_no_block_is_left_over():
    blocks = {field.block for field in AUTO_FIELDS}
    assert blocks <= set(RENDERERS)
    assert set(RENDERERS) - blocks == {"front"}
    assert {block.id for block in scan(draft({})).blocks} == set(RENDERERS)


def test_a_block_ends_with_a_line_of_its_own(facts):
    for name in RENDERERS:
        assert render(name, facts).endswith("\n")
        assert "\r" not in render(name, facts)
