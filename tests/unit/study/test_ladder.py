"""The ways through stages with retries: how many, what they are called, what they inherit."""

from __future__ import annotations

import pytest

from quadrat.core.errors import StudyError
from quadrat.study.ladder import MAX_TRACKS, count_tracks, steps_of, tracks
from quadrat.study.load import load_study

STUDY = """\
study: toy
question: Does it?
trainable: quadrat.testing.toy:train
config: {{steps: 20, noise: 0.0}}
arms: {{slow: {{rate: 0.1}}, fast: {{rate: 0.5}}}}
seeds: [0]
stages:
  - {{name: overfit, gate: {{metric: test/gap, pass: "< 1"}}, on_fail: {on_fail}}}
  - {{name: generalize, needs: overfit, config: {{noise: 0.1}}}}
{more}
"""


@pytest.fixture
def load(tmp_path):
    def read(on_fail, more=""):
        path = tmp_path / "toy.yaml"
        path.write_text(STUDY.format(on_fail=on_fail, more=more), encoding="utf-8")
        return load_study(path)

    return read


def test_retries_multiply_along_a_chain():
    rungs = [{"config": {"x": 1}}, "abandon"]
    steps = steps_of(
        [
            {"name": "a", "on_fail": rungs},
            {"name": "b", "needs": ["a"], "on_fail": [*rungs[:1], *rungs]},
            {"name": "c", "needs": ["b"]},
            {"name": "d"},
        ]
    )
    found = tracks(steps)
    assert len(found) == count_tracks(steps) == 2 + 6 + 6 + 1
    names = [track.name for track in found]
    assert len(set(names)) == len(names)
    last = next(track for track in found if track.name == "c.a_retry1.b_retry2")
    assert last.needs == ("b.a_retry1.retry2",)
    second = next(track for track in found if track.name == "b.a_retry1.retry2")
    assert (second.needs, second.before) == (("a.retry1",), "b.a_retry1.retry1")
    assert [track.is_last_try for track in found if track.step.name == "a"] == [False, True]


def test_what_is_no_stage_and_no_gate_in_a_damaged_lock_is_passed_over():
    (step,) = steps_of([{}, {"name": "a", "needs": 3, "gate": {"pass": "high"}, "on_fail": 7}])
    assert (step.needs, step.gate, step.retries, step.goes_on) == ((), None, 0, False)


def test_the_runs_of_retries_are_apart_from_the_declared_ones(load):
    study = load("[{config: {steps: 40}}, {config: {points: 16, noise: 0.5}}, abandon]")
    assert [run.path for run in study.runs] == [
        "toy/overfit/slow_S0",
        "toy/overfit/fast_S0",
        "toy/generalize/slow_S0",
        "toy/generalize/fast_S0",
    ]
    assert len(study.retries) == 8


def test_a_change_that_passed_holds_in_what_follows_but_not_against_its_own_words(load):
    study = load("[{config: {steps: 40, noise: 0.7}}]")
    by_path = {run.path: run.config for run in study.retries}
    assert by_path["toy/overfit.retry1/slow_S0"]["noise"] == 0.7
    after = by_path["toy/generalize.overfit_retry1/slow_S0"]
    assert (after["steps"], after["noise"], after["rate"]) == (40, 0.1, 0.1)


def test_a_retry_that_changes_nothing_is_refused(load):
    with pytest.raises(StudyError, match=r"retry 'overfit\.retry1' changes nothing for arm 'slow'"):
        load("[{config: {steps: 20}}]")


def test_a_misspelt_key_of_a_retry_is_found_before_anything_runs(load):
    with pytest.raises(StudyError, match=r"(?s)setps.*steps"):
        load("[{config: {setps: 40}}]")


@pytest.mark.parametrize("on_fail", ["perhaps", "[]", "[abandon]", "[abandon, {config: {steps: 3}}]", "[{config: {}}]"])
def test_what_is_no_ladder_is_refused(load, on_fail):
    with pytest.raises(StudyError, match="should be stop, continue or a list of retries"):
        load(on_fail)


def test_too_many_ways_are_refused_by_count(load):
    many = ", ".join(f"{{config: {{steps: {30 + i}}}}}" for i in range(MAX_TRACKS))
    with pytest.raises(StudyError, match="ways through the stages"):
        load(f"[{many}]")


def test_the_checkpoint_policy_of_a_retry_is_that_of_its_stage(load):
    study = load("[{config: {steps: 40}}]", "checkpoint: {every: 5 steps, keep: [best]}")
    assert study.saving("overfit.retry1").metric == "test/gap"
    assert study.saving("generalize.overfit_retry1") == study.saving("generalize")


def test_a_queue_names_arms_once(load):
    assert [place.arm for place in load("stop", "queue: [fast, {arm: slow, retest: wrong rate}]").file.queue] == [
        "fast",
        "slow",
    ]
    with pytest.raises(StudyError, match="did you mean 'fast'"):
        load("stop", "queue: [fats]")
    with pytest.raises(StudyError, match="queued twice"):
        load("stop", "queue: [fast, fast]")


def test_a_stage_cannot_be_called_like_a_retry(tmp_path):
    path = tmp_path / "toy.yaml"
    path.write_text(STUDY.format(on_fail="stop", more="").replace("name: generalize", "name: overfit.retry1"))
    with pytest.raises(StudyError, match="those of retries"):
        load_study(path)
