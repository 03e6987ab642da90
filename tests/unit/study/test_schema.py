from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from quadrat.core.spec import Resources
from quadrat.study.quantities import Policy
from quadrat.study.schema import Pack, Rule, StudyFile

SMALL: dict[str, Any] = {"study": "s", "trainable": "m:f"}


def read(**blocks: Any) -> StudyFile:
    return StudyFile.model_validate({**SMALL, **blocks})


def test_the_defaults():
    file = read()
    assert file.seeds == (0,)
    assert file.pack == Pack(mode="off")
    assert file.checkpoint.every == Policy("seconds", 60.0)
    assert file.checkpoint.keep == ("last",)
    assert file.resources.as_spec() == Resources(1, 1, 0, 0)
    assert file.launcher == "pool"
    assert file.workers == "auto"
    assert file.stages == file.rules == file.panels == file.diagrams == file.sinks == file.primary == ()


@pytest.mark.parametrize(
    ("block", "value", "read_as"),
    [
        ("pack", "auto", Pack(mode="auto")),
        ("pack", "off", Pack(mode="off")),
        ("pack", {"max": 18}, Pack(mode="max", max=18)),
        ("baseline", "token_only", {"arm": "token_only"}),
        ("workers", 3, 3),
        ("arms", {"a": None}, {"a": {}}),
        ("config", None, {}),
        ("stages", None, ()),
        ("seeds", [2**32 - 1, 0], (2**32 - 1, 0)),
    ],
)
def test_what_is_read_as_what(block: str, value: object, read_as: object):
    assert getattr(read(**{block: value}), block) == read_as


def test_a_gate_says_which_way_is_better():
    gates = [
        {"metric": "m", "pass": "> 1"},
        {"metric": "m", "pass": "< 1"},
        {"metric": "m", "pass": "< 1", "goal": "max"},
    ]
    file = read(stages=[{"name": f"s{i}", "gate": gate} for i, gate in enumerate(gates)])
    assert [stage.gate.direction for stage in file.stages if stage.gate] == ["max", "min", "max"]


def test_needs_may_be_one_name_or_a_list():
    file = read(stages=[{"name": "a"}, {"name": "b", "needs": "a"}, {"name": "c", "needs": ["a", "b"]}])
    assert [stage.needs for stage in file.stages] == [(), ("a",), ("a", "b")]


@pytest.mark.parametrize("value", ["mean", "all", "ci_lower", "2_of_3", "3_of_3", "2_of_n"])
def test_ways_to_add_up_seeds(value: str):
    assert read(stages=[{"name": "a", "gate": {"metric": "m", "pass": "> 1", "over_seeds": value}}])


def test_rules_are_blocks_or_names_of_shared_sets():
    rules = read(rules=["shared", {"id": "a", "metric": "x / y", "fail": "< 0.1", "stays": 50}]).rules
    assert rules[0] == "shared"
    assert isinstance(rules[1], Rule)
    assert (rules[1].fail, rules[1].stays, rules[1].action, rules[1].until_step) == ("< 0.1", 50, "warn", None)


@pytest.mark.parametrize(
    ("block", "value", "location"),
    [
        ("seeds", [1.0], ("seeds", 0)),
        ("seeds", ["1"], ("seeds", 0)),
        ("seeds", [True], ("seeds", 0)),
        ("seeds", [-1], ("seeds", 0)),
        ("seeds", [2**32], ("seeds", 0)),
        ("seeds", [], ("seeds",)),
        ("seeds", 3, ("seeds",)),
        ("pack", "on", ("pack",)),
        ("pack", {"max": 0}, ("pack", "max")),
        ("pack", {"maxx": 1}, ("pack", "maxx")),
        ("workers", 0, ("workers",)),
        ("workers", True, ("workers",)),
        ("workers", "many", ("workers",)),
        ("resources", {"threads": 0}, ("resources", "threads")),
        ("resources", {"threads": "1"}, ("resources", "threads")),
        ("resources", {"memory": "2"}, ("resources", "memory")),
        ("checkpoint", {"every": "50"}, ("checkpoint", "every")),
        ("checkpoint", {"every": 50}, ("checkpoint", "every")),
        ("checkpoint", {"keep": []}, ("checkpoint", "keep")),
        ("checkpoint", {"keep": ["first"]}, ("checkpoint", "keep", 0)),
        ("rules", [{"id": "a", "metric": "m"}], ("rules", 0, "rule")),
        ("rules", [{"id": "a", "metric": "m", "fail": "0.1"}], ("rules", 0, "rule", "fail")),
        ("rules", [{"id": "a", "metric": "m", "patience": 3}], ("rules", 0, "rule")),
        ("rules", [{"id": "a", "metric": "m", "fail": "< 1", "action": "kill"}], ("rules", 0, "rule", "action")),
        ("rules", [{"id": "a", "metric": "m", "fail": "< 1", "from_step": 5, "until_step": 2}], ("rules", 0, "rule")),
        ("stages", [{"name": "a", "gate": {"metric": "m"}}], ("stages", 0, "gate", "pass")),
        ("stages", [{"name": "a", "gate": {"metric": "m", "pass": "0.9"}}], ("stages", 0, "gate", "pass")),
        (
            "stages",
            [{"name": "a", "gate": {"metric": "m", "pass": "> 1", "over_seeds": "4_of_3"}}],
            ("stages", 0, "gate", "over_seeds"),
        ),
        ("panels", [{"title": "t", "metrics": []}], ("panels", 0, "metrics")),
        ("diagrams", [{"x": "a", "metric": "m"}], ("diagrams", 0, "y")),
        ("diagrams", [{"x": "a", "y": "b", "metric": "m", "classes": {}}], ("diagrams", 0, "classes")),
        ("diagrams", [{"x": "a", "y": "b", "metric": "m", "classes": {"c": "> 1"}}], ("diagrams", 0, "classes", "c")),
        ("diagrams", [{"x": "a", "y": "b", "metric": "m", "classes": {"c": 1}}], ("diagrams", 0, "classes", "c")),
        ("diagrams", [{"x": "a", "y": "b", "metric": "m", "classes": ["c"]}], ("diagrams", 0, "classes")),
        ("study", "  ", ("study",)),
        ("question", 5, ("question",)),
        ("arms", {"a": 3}, ("arms", "a")),
        ("unknown", 1, ("unknown",)),
    ],
)
def test_what_is_refused_and_where(block: str, value: object, location: tuple[object, ...]):
    with pytest.raises(ValidationError) as caught:
        read(**{block: value})
    assert caught.value.errors()[0]["loc"] == location


def test_a_file_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        read().study = "other"  # pyright: ignore[reportAttributeAccessIssue]


def test_a_trend_and_a_smallest_improvement_are_rules():
    flat = {"id": "flat", "metric": "loss", "trend": {"window": 5, "against": 3, "fail": "> 0.05"}, "action": "stop"}
    stuck = {"id": "stuck", "metric": "loss", "patience": 10, "goal": "min", "min_delta": 1}
    first, second = read(rules=[flat, stuck]).rules
    assert isinstance(first, Rule)
    assert isinstance(second, Rule)
    assert first.trend is not None
    assert (first.trend.window, first.trend.against, first.trend.fail) == (5, 3, "> 0.05")
    assert second.min_delta == 1.0


def test_a_diagram_may_name_the_classes_of_its_cells():
    block = {"x": "gamma", "y": "n_layers", "metric": "test/acc"}
    plain, classed = read(diagrams=[block, {**block, "classes": {"composite": " test/acc >= 0.5 "}}]).diagrams
    assert plain.classes is None
    assert classed.classes == {"composite": "test/acc >= 0.5"}
    # A diagram without classes says what it said before there were any: its plan keeps its hash.
    assert "classes" not in plain.model_dump(exclude_none=True)
