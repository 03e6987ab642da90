from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quadrat.core.errors import StudyError
from quadrat.study.load import Study
from quadrat.study.nodes import plain
from quadrat.study.overrides import parse_override

Load = Callable[..., Study]
Complaints = Callable[..., Sequence[str]]

STUDY = """\
config: {training.epochs: 5, gamma: 0.7}
axes: {n_layers: [1, 3]}
arms: {tok: , hyb: {gamma: 2}}
stages:
  - {name: first, config: {label: a}, gate: {metric: m, pass: "> 1"}}
  - {name: second, needs: first}
"""


@pytest.mark.parametrize(
    ("text", "action", "path", "value"),
    [
        ("a=1", "set", ("a",), 1),
        ("a.b.c=1e-3", "set", ("a", "b", "c"), 0.001),
        ("+a=[1, 2]", "add", ("a",), [1, 2]),
        ("++a={b: 1}", "force", ("a",), {"b": 1}),
        ("a=no", "set", ("a",), "no"),
        ("a=", "set", ("a",), ""),
        ("a=null", "set", ("a",), None),
        ("a=b=c", "set", ("a",), "b=c"),
        ("a=> 0.9", "set", ("a",), "> 0.9"),
        ("a={arm}_S{seed}", "set", ("a",), "{arm}_S{seed}"),
        ("a='[1'", "set", ("a",), "[1"),
        ('a="5"', "set", ("a",), "5"),
        ("a=x: y: z", "set", ("a",), "x: y: z"),
        ("a=-3", "set", ("a",), -3),
        ("a-b/c=1", "set", ("a-b/c",), 1),
    ],
)
def test_the_words(text: str, action: str, path: tuple[str, ...], value: object):
    override = parse_override(text)
    assert (override.action, override.path) == (action, path)
    assert override.value is not None
    assert plain(override.value) == value


def test_a_removal_has_no_value():
    override = parse_override("~a.b")
    assert (override.action, override.path, override.value) == ("remove", ("a", "b"), None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "=1",
        "+",
        "~",
        "~a=1",
        "a..b=1",
        ".a=1",
        "a.=1",
        "a =1",
        "-- a=1",
        "a=[1",
        "a='x",
        "a=!!str 5",
        "a=*x",
        "+++a=1",
    ],
)
def test_what_is_no_override(text: str):
    with pytest.raises(StudyError) as caught:
        parse_override(text)
    (problem,) = caught.value.problems
    assert problem.where is not None
    assert problem.where.startswith("override ")
    assert problem.remedy


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(blacklist_categories=("Cs", "Cc"))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.lists(st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True), min_size=1, max_size=4), VALUES)
def test_what_json_writes_is_read_back(path: list[str], value: object):
    override = parse_override(f"{'.'.join(path)}={json.dumps(value)}")
    assert override.path == tuple(path)
    assert override.value is not None
    assert plain(override.value) == value


def configs(study: Study, key: str) -> set[object]:
    return {run.config["training"]["epochs"] if key == "epochs" else run.config[key] for run in study.runs}


def test_a_config_key_wins_over_base_stage_and_arm(load: Load):
    assert configs(load(STUDY), "label") == {"a", "x"}
    assert configs(load(STUDY, "label=z"), "label") == {"z"}
    assert configs(load(STUDY, "training.epochs=1"), "epochs") == {1}
    assert configs(load(STUDY, "config.training.epochs=1"), "epochs") == {1}
    assert configs(load(STUDY, "training={epochs: 9, learning_rate: 0.5}"), "epochs") == {9}


def test_the_last_of_two_overrides_wins(load: Load):
    assert configs(load(STUDY, "label=y", "label=z"), "label") == {"z"}
    assert configs(load(STUDY, "label=y", "~label"), "label") == {"a", "x"}


def test_an_axis_is_replaced_by_one_value_or_a_list(load: Load):
    assert configs(load(STUDY, "n_layers=7"), "n_layers") == {7, 2}
    assert configs(load(STUDY, "n_layers=[7,8,9]"), "n_layers") == {7, 8, 9, 2}
    assert configs(load(STUDY, "axes.n_layers=[4]"), "n_layers") == {4, 2}
    assert configs(load(STUDY, "~axes.n_layers"), "n_layers") == {2}
    assert load(STUDY, "n_layers=7").file.axes == {"n_layers": [7]}


def test_axes_and_arms_are_added_with_a_plus(load: Load):
    study = load(STUDY, "+axes.training.learning_rate=[0.1,0.2]", "+arms.new.gamma=5")
    assert {run.point.values["training.learning_rate"] for run in study.runs if run.point.arm is None} == {0.1, 0.2}
    assert "new" in {run.point.arm for run in study.runs}


def test_a_removal_falls_back_to_the_default(load: Load):
    assert configs(load(STUDY, "~gamma"), "gamma") == {1.0, 2.0}
    assert configs(load(STUDY, "~training.epochs"), "epochs") == {3}
    assert {run.point.arm for run in load(STUDY, "~arms.hyb").runs} == {None, "tok"}


def test_lists_of_names_select(load: Load):
    assert {run.point.arm for run in load(STUDY, "arms=[hyb]").runs} == {None, "hyb"}
    assert {run.point.arm for run in load(STUDY, "arms=hyb").runs} == {None, "hyb"}
    assert {run.stage for run in load(STUDY, "stages=[first]").runs} == {"first"}


def test_the_words_of_the_study_are_addressed_by_themselves(load: Load):
    study = load(STUDY, "seeds=[4,5]", "workers=2", "study=other", "resources.threads=2", "study.launcher=inline",
                 "stages.first.gate.pass=> 5", "stages.1.on_fail=continue", "checkpoint.every=5 steps",
                 "name={arm}_{n_layers}_{seed}", "arms.hyb.gamma=9")  # fmt: skip
    assert study.file.seeds == (4, 5)
    assert study.file.workers == 2
    assert study.name == "other"
    assert study.resources.threads == 2
    assert study.file.launcher == "inline"
    assert study.file.stages[0].gate is not None
    assert study.file.stages[0].gate.pass_ == "> 5"
    assert study.file.stages[1].on_fail == "continue"
    assert str(study.file.checkpoint.every) == "5 steps"
    assert "hyb_2_4" in {run.name for run in study.runs}
    assert {run.config["gamma"] for run in study.runs if run.point.arm == "hyb"} == {9.0}
    assert study.overrides[0] == "seeds=[4,5]"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("gama=1", "unknown key 'gama'. Try: did you mean 'gamma'?"),
        ("training.epoch=1", "unknown config key 'training.epoch'. Try: did you mean 'training.epochs'?"),
        ("config.gama=1", "unknown config key 'gama'. Try: did you mean 'gamma'?"),
        ("wrkers=2", "did you mean 'workers'?"),
        ("study.wrkers=2", "did you mean 'workers'?"),
        ("+gama=1", "did you mean 'gamma'?"),
        ("+gamma=1", "is set in the file. Try: leave the plus out: gamma=1"),
        ("~label", "config label is not set in the file"),
        ("~owner", "is not set in the file"),
        ("arms=[hbb]", "unknown arm 'hbb'. Try: did you mean 'hyb'?"),
        ("arms.hybb.gamma=1", "unknown arm 'hybb'. Try: did you mean 'hyb'? To add it: +arms.hybb.gamma=1"),
        ("axes.gamma=[1]", "unknown axis 'gamma'"),
        ("stages=[second]", "stage 'second' needs stage 'first', which is left out"),
        ("stages=[third]", "unknown stage 'third'"),
        ("stages.third.config.gamma=1", "unknown item of stages 'third'"),
        ("gamma=abc", "config gamma should be a valid number"),
        ("seeds=3", "seeds should be a list, not 3"),
        ("workers=none", "workers should be auto or a number"),
        ("resources.thread=1", "did you mean 'threads'?"),
        ("trainable=toy:trian", "did you mean 'train'?"),
        ("axes.n_layers=[]", "is empty"),
        ("name=../{seed}", "the run name '../0' cannot be used"),
        ("study=../../x", "the study name '../../x' cannot be used"),
    ],
)
def test_a_bad_override_is_reported_by_its_own_text(complaints: Complaints, override: str, words: str):
    lines = complaints(STUDY, override)
    assert lines[0].startswith(f"override '{override}': ")
    assert words in lines[0]
    assert len(lines) == 1


def test_all_bad_overrides_and_the_bad_file_are_reported_together(complaints: Complaints):
    lines = complaints("confg: 1\n", "gama=1", "x", "workers=none")
    assert len(lines) == 4


def test_overriding_what_tells_arms_apart_is_refused(complaints: Complaints):
    lines = complaints(STUDY, "gamma=9", "n_layers=7")
    assert any("arm 'tok' and arm 'hyb'" in line for line in lines)
