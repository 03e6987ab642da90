"""How points come through the stages: needs, retries, overrides, and what is skipped."""

from __future__ import annotations

from quadrat.analyze.gates import Sample
from quadrat.analyze.staging import Cell, Way, key_of, progress, unmet
from quadrat.core.verdicts import Status
from quadrat.study.ladder import steps_of, tracks

GATE = {"metric": "acc", "pass": "> 0.9"}
ONE = {"name": "one", "gate": GATE}
TWO = {"name": "two", "needs": ["one"], "gate": GATE}
THREE = {"name": "three", "needs": ["two"], "gate": GATE}
LADDER = {**ONE, "on_fail": [{"config": {"lr": 1}}, {"config": {"lr": 2}}, "abandon"]}


def look(stages, values, overrides=()):
    """Ways and outcomes by track; ``values`` gives what arm a measured, by track."""
    known = tracks(steps_of(stages))
    key = key_of("a", {})
    cells = {}
    for track in known:
        value = values.get(track.name)
        status = Status.PENDING if value is None else Status.COMPLETED
        cells[track.name, key] = Cell("a", (Sample("a_S0", status, value),))
    found = progress(known, cells, overrides=overrides)
    return {name: standing for (name, _), standing in found.items()}


def ways(found):
    return {name: str(standing.way) for name, standing in found.items()}


def test_a_stage_waits_for_the_one_it_needs():
    assert ways(look([ONE, TWO, THREE], {})) == {"one": "open", "two": "waiting", "three": "waiting"}
    assert ways(look([ONE, TWO, THREE], {"one": 0.95})) == {"one": "open", "two": "open", "three": "waiting"}


def test_a_missed_gate_skips_all_that_follows():
    found = look([ONE, TWO, THREE], {"one": 0.5})
    assert ways(found) == {"one": "open", "two": "skipped", "three": "skipped"}
    assert found["two"].why == "one: fail, 0.5, 1 of 1 measured"
    assert found["three"].why == "two was skipped"
    assert [missed.track.name for missed in unmet({("x", name): s for name, s in found.items()})] == ["one"]


def test_a_stage_that_goes_on_lets_through_and_is_still_unmet():
    found = look([{**ONE, "on_fail": "continue"}, TWO], {"one": 0.5})
    assert ways(found) == {"one": "open", "two": "open"}
    assert len(unmet({("x", name): s for name, s in found.items()})) == 1


def test_an_override_lets_one_arm_through_and_not_another():
    told = [{"stage": "one", "arm": "a", "because": "we look"}]
    found = look([ONE, TWO], {"one": 0.5}, told)
    assert ways(found) == {"one": "open", "two": "open"}
    assert found["one"].override == told[0]
    assert unmet({("x", name): s for name, s in found.items()}) == []
    other = look([ONE, TWO], {"one": 0.5}, [{"stage": "one", "arm": "b", "because": "we look"}])
    assert ways(other) == {"one": "open", "two": "skipped"}


def test_a_retry_becomes_due_only_when_the_try_before_has_failed():
    found = look([LADDER, TWO], {})
    assert {name for name, way in ways(found).items() if way == "idle"} == {
        "one.retry1",
        "one.retry2",
        "two.one_retry1",
        "two.one_retry2",
    }
    found = ways(look([LADDER, TWO], {"one": 0.5}))
    assert (found["one.retry1"], found["one.retry2"]) == ("open", "idle")
    assert (found["two"], found["two.one_retry1"], found["two.one_retry2"]) == ("skipped", "waiting", "idle")


def test_what_follows_a_retry_that_passed_goes_by_that_retry():
    found = look([LADDER, TWO], {"one": 0.5, "one.retry1": 0.95})
    assert ways(found)["two.one_retry1"] == "open"
    assert ways(found)["one.retry2"] == "idle"
    assert unmet({(s.track.name, "a"): s for s in found.values()}) == []


def test_a_ladder_that_is_used_up_is_unmet_once():
    found = look([LADDER, TWO], {"one": 0.5, "one.retry1": 0.6, "one.retry2": 0.7})
    (missed,) = unmet({(s.track.name, "a"): s for s in found.values()})
    assert missed.track.name == "one.retry2"
    assert {way for name, way in ways(found).items() if name.startswith("two.")} == {"idle"}


def test_a_ladder_may_end_in_going_on():
    going = {**LADDER, "on_fail": [{"config": {"lr": 1}}, "continue"]}
    assert ways(look([going, TWO], {"one": 0.5}))["two"] == "skipped"
    assert ways(look([going, TWO], {"one": 0.5, "one.retry1": 0.5}))["two.one_retry1"] == "open"


def test_two_needs_have_both_to_be_passed():
    both = {"name": "three", "needs": ["one", "two"]}
    two = {**TWO, "needs": []}
    assert ways(look([ONE, two, both], {"one": 0.95}))["three"] == "waiting"
    assert ways(look([ONE, two, both], {"one": 0.95, "two": 0.1}))["three"] == "skipped"
    assert look([ONE, two, both], {"one": 0.95, "two": 0.95})["three"].way is Way.OPEN


def test_a_point_is_known_by_its_arm_or_its_values():
    assert key_of("a", {"x": 1}) == key_of("a", {"x": 2})
    assert key_of(None, {"x": 1, "seed": 4}) == key_of(None, {"x": 1, "seed": 5}) != key_of(None, {"x": 2})
