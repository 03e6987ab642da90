"""The back-test of the ETRM study's health rules: the figures of seed 002 and of its authors' table, replayed."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from quadrat.health.replay import replay
from quadrat.health.rules import parse_rules
from quadrat.health.sets import read_set

FOLDER = Path(__file__).parents[3] / "src" / "quadrat_studies" / "etrm"
ETRM, ORIGIN = read_set(FOLDER / "rules.yaml"), read_set(FOLDER / "origin_rules.yaml")

EM, VAR, GRAD = "train/exact_accuracy", "train/encoder_cross_sample_var", "grad/encoder_norm"


def told(*, em, var=None, grad=None, **more):
    """One row's metrics under our names and under the authors' own."""
    row = {EM: em, VAR: var, GRAD: grad, f"origin/{VAR}": var, f"origin/{GRAD}": grad, **more}
    return {name: value for name, value in row.items() if value is not None}


def held(values, *, steps=500, every=5):
    """A run that shows the same figures all along."""
    return [{"step": step, "metrics": values} for step in range(0, steps + 1, every)]


def at_the_end(values, *, step):
    """A run of which only the last figures are known."""
    return [{"step": step, "metrics": values}]


def named(rules, rows):
    return {row["id"] for row in replay(rules, rows).report if row["state"] == "fail"}


def test_every_rule_says_what_it_means_and_what_to_try():
    rules = parse_rules([*ETRM, *ORIGIN, "nonfinite"])
    assert all(rule.diagnosis and rule.remedy for rule in rules)


def test_the_good_run_of_the_seed_is_borderline_and_goes_on():
    rows = [
        {"step": step, "metrics": told(em=0.238 * step / 749, var=0.13, grad=0.20, **{"train/steps": 6.2})}
        for step in range(1, 750)
    ]
    seen = replay(ETRM, rows)
    assert (seen.label, seen.stop) == ("warning", None)
    assert replay(ORIGIN, rows).label == "warning"


def test_the_bad_run_of_the_seed_is_called_by_its_names():
    rows = held(told(em=0.506, var=0.05, grad=0.02, **{"train/steps": 8.5}))
    assert replay(ETRM, rows).label == "failed"
    assert {"starved_by_exactness", "weak_encoder"} <= named(ETRM, rows)
    starving = next(found for found in replay(ETRM, rows).findings if found.rule == "starved_by_exactness")
    assert "Gradient starvation" in starving.diagnosis
    assert (starving.value, starving.window) == (0.02, (10, 60))


def test_starvation_stops_a_run_that_has_much_to_learn_and_none_that_has_learned_it():
    def run(loss):
        return [{"step": step, "metrics": {GRAD: 0.03, "train/lm_loss": loss}} for step in range(0, 501, 10)]

    stop = replay(ETRM, run(0.8)).stop
    assert (stop.rule, stop.step) == ("starved_while_unsolved", 60)
    assert replay(ETRM, run(0.2)).stop is None


def test_a_loss_that_has_stopped_falling_is_stuck_and_one_that_falls_slowly_is_not():
    def run(loss):
        draw = random.Random(0)
        return [
            {"step": step, "metrics": {"train/lm_loss": loss(step) + draw.gauss(0, 0.004)}}
            for step in range(0, 501, 20)
        ]

    stop = replay(ETRM, run(lambda step: 1.6 if step >= 60 else 2.5 - 0.015 * step)).stop
    assert stop is not None and stop.rule == "stuck"
    assert replay(ETRM, run(lambda step: 1.6 - 0.0005 * step)).stop is None


def test_a_loss_that_settles_too_high_is_told_and_one_that_settles_low_is_not():
    def states(level):
        rows = [
            {"step": step, "metrics": {"train/lm_loss": level + math.exp(-step / 100)}} for step in range(0, 2000, 10)
        ]
        return {row["id"]: row["state"] for row in replay(ETRM, rows).report}

    assert states(0.5)["flat_loss"] == "warn"
    assert states(0.1)["flat_loss"] == "not_measured"


@pytest.mark.parametrize(
    ("run", "step", "values"),
    [
        ("D1-full, the best run", 73_026, {"em": 0.957, "var": 0.42, "grad": 0.007}),
        ("SF5, the best on held-out tasks", 3_492, {"em": 0.434, "var": 0.093, "grad": 0.3}),
    ],
)
def test_runs_that_the_authors_label_called_failed_and_that_were_their_best(run, step, values):
    rows = at_the_end(told(**values), step=step)
    assert replay(ORIGIN, rows).label == "failed", run
    assert (named(ETRM, rows), replay(ETRM, rows).stop) == (set(), None), run


@pytest.mark.parametrize(("em", "share"), [(0.82, 0.08), (0.805, 0.75)])
def test_runs_that_solve_most_and_always_run_to_the_limit_are_not_failed(em, share):
    more = {"grad/total_norm": 0.3 / share, "train/halted_at_limit": 1.0, "train/steps": 4.0}
    rows = held(told(em=em, var=0.4, grad=0.3, **more))
    assert replay(ETRM, rows).label == "warning"


def test_a_run_that_solves_nothing_is_not_healthy_however_good_its_gradients():
    rows = held(told(em=0.0, var=0.3, grad=0.3), steps=1200)
    assert replay(ORIGIN, rows).label == "healthy"
    assert named(ETRM, rows) == {"never_solves"}


@pytest.mark.parametrize(
    ("run", "em", "var", "grad"),
    [
        ("E1a", 0.238, 0.128, None),
        ("E1b", 0.371, 0.338, None),
        ("E1c", 0.410, 0.243, None),
        ("E1d", 0.484, 0.416, None),
        ("E3a", 0.496, 0.375, 0.095),
        ("E3b", 0.281, 0.148, None),
        ("E2a", 0.195, 0.15, None),
        ("E2b", 0.234, 0.21, 0.073),
        ("E2c", 0.297, 0.39, None),
    ],
)
def test_no_run_of_the_overfit_table_is_failed_or_stopped_by_its_last_figures(run, em, var, grad):
    seen = replay(ETRM, at_the_end(told(em=em, var=var, grad=grad), step=2500))
    assert (seen.label in ("healthy", "not measured"), seen.stop) == (True, None), run


@pytest.mark.parametrize(
    ("run", "step", "em", "unseen"),
    [
        ("SF5", 3_492, 0.434, 0.125),
        ("LPN2", 1_746, 0.121, 0.094),
        ("SF1", 6_970, 0.375, 0.063),
        ("F1", 174_622, 0.789, 0.0),
        ("F2", 174_240, 0.406, 0.0),
        ("F3", 87_310, 0.512, 0.0),
        ("D1-full", 73_026, 0.957, 0.0225),
    ],
)
def test_the_table_of_the_full_training_set_is_neither_failed_nor_stopped_by_its_last_figures(run, step, em, unseen):
    rows = at_the_end(told(em=em, **{"all.exact_accuracy": unseen}), step=step)
    assert (named(ETRM, rows), replay(ETRM, rows).stop) == (set(), None), run


def test_tasks_by_heart_and_no_unseen_one_is_told_as_not_transferable():
    rows = at_the_end(told(em=0.957, **{"all.exact_accuracy": 0.0}), step=73_026)
    assert named(ETRM, rows) == {"not_transferable"}


@pytest.mark.parametrize(
    ("run", "var", "grad"),
    [("VKL2 and VKL5, 0 percent and called healthy", 0.3, 0.3), ("SF4, the same", 0.2, 0.5)],
)
def test_the_authors_label_calls_runs_healthy_that_solved_nothing_and_ours_does_not(run, var, grad):
    rows = held(told(em=0.0, var=var, grad=grad), steps=3_500, every=10)
    assert replay(ORIGIN, rows).label == "healthy", run
    assert "never_solves" in named(ETRM, rows), run


def test_what_settles_in_a_band_is_told_by_the_band():
    assert "plateau_low" in named(ETRM, held(told(em=0.42, var=0.4, grad=0.3)))
    assert "plateau_high" in named(ETRM, held(told(em=0.75, var=0.4, grad=0.3)))
    rising = [{"step": step, "metrics": {EM: 0.35 + 0.15 * step / 500}} for step in range(501)]
    assert named(ETRM, rising) == set()


def test_a_cached_context_is_stopped_before_step_100_as_starvation():
    rows = [{"step": s, "metrics": {"train/encoder_gradient_coverage": max(1 / 16, 1 / s)}} for s in range(1, 200)]
    stop = replay(ETRM, rows).stop
    assert (stop.rule, stop.step < 100) == ("gradient_starvation", True)
    assert "starvation" in stop.diagnosis


def test_a_detached_encoder_is_stopped_at_the_first_step():
    stop = replay(ETRM, [{"step": 1, "metrics": {"train/encoder_gradient_coverage": 0.0}}]).stop
    assert (stop.rule, stop.step) == ("detached_encoder", 1)


def test_a_decoder_that_ignores_the_demonstrations_is_named_once_it_is_fluent():
    dumb = [{"step": 100, "metrics": {"train/accuracy": 0.5, "train/demo_use_gap": 0.0}}]
    fluent = [
        *dumb,
        {"step": 200, "metrics": {"train/accuracy": 0.9}},
        {"step": 200, "metrics": {"train/demo_use_gap": 0.02}},
    ]
    assert "demo_blind" not in named(ETRM, dumb)
    assert "demo_blind" in named(ETRM, fluent)


def test_a_collapse_is_stopped_and_one_odd_row_is_not():
    rows = [{"step": step, "metrics": {VAR: 0.4 if step < 100 else 0.02}} for step in range(300)]
    stop = replay(ETRM, rows).stop
    assert stop.rule == "collapsed_encoder"
    assert stop.step == 119
    odd = [{"step": step, "metrics": {VAR: 0.02 if step == 150 else 0.4}} for step in range(300)]
    assert replay(ETRM, odd).stop is None


def test_an_encoder_that_starts_with_one_context_and_spreads_in_time_goes_on():
    rows = [{"step": step, "metrics": {VAR: min(0.4, 0.01 * 1.05**step)}} for step in range(0, 500, 10)]
    assert (named(ETRM, rows), replay(ETRM, rows).stop) == (set(), None)


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_divergence_stops_at_once_and_an_explosion_soon(odd):
    assert replay(ETRM, [{"step": 3, "metrics": {"train/lm_loss": odd}}]).stop.rule in ("diverged", "exploding_loss")
    rows = [{"step": step, "metrics": {"train/lm_loss": 0.8 if step < 100 else 4.0}} for step in range(200)]
    stop = replay(ETRM, rows).stop
    assert (stop.rule, stop.step, stop.value) == ("exploding_loss", 110, pytest.approx(5.0))


@pytest.mark.parametrize("seed", range(8))
def test_a_healthy_log_that_converges_gives_no_stop_and_no_failure(seed):
    draw = random.Random(seed)
    rows = []
    for step in range(1, 1101):
        far = math.exp(-step / 180)
        solved = 1 / (1 + math.exp(-(step - 420) / 70))
        wobble = draw.gauss(1.0, 0.1)
        row = {
            "train/lm_loss": (2.4 * far + 0.01) * wobble,
            "train/accuracy": min(1.0, 1 - 0.9 * far * wobble),
            EM: min(1.0, max(0.0, solved + draw.gauss(0, 0.02))),
            VAR: 0.2 + 0.3 * (1 - far),
            GRAD: (0.6 * far + 0.02) * wobble,
            "grad/total_norm": (1.6 * far + 0.07) * wobble,
            "train/steps": 2.5 + 5.5 * (1 - solved),
            "train/halted_at_limit": max(0.0, 1 - 1.1 * solved),
            "train/q_halt_accuracy": 0.93 + draw.gauss(0, 0.02),
            "train/encoder_gradient_coverage": 1.0,
        }
        if step % 250 == 0:
            row |= {"train/demo_use_gap": 0.4 * solved, "all.exact_accuracy": 0.9 * solved}
        rows.append({"step": step, "metrics": row})
    seen = replay([*ETRM, "nonfinite"], rows)
    assert (seen.stop, named(ETRM, rows)) == (None, set())


def test_steps_that_take_ten_times_as_long_as_warm_ones_are_named_and_a_cold_start_or_one_hiccup_is_not():
    speed = "time/steps_per_second"
    cold = [{"step": step, "metrics": {speed: 0.3}} for step in range(10, 20, 10)]
    warm = [{"step": step, "metrics": {speed: 5.0}} for step in range(20, 200, 10)]
    hiccup = [{"step": 200, "metrics": {speed: 0.2}}]
    after = [{"step": step, "metrics": {speed: 5.0}} for step in range(210, 300, 10)]
    assert "slow_steps" not in named(ETRM, [*cold, *warm, *hiccup, *after])
    slow = [{"step": step, "metrics": {speed: 0.4}} for step in range(210, 300, 10)]
    found = next(f for f in replay(ETRM, [*cold, *warm, *slow]).findings if f.rule == "slow_steps")
    assert found.action == "warn" and 210 < found.step <= 260


def test_a_solver_that_gives_the_input_back_is_named_however_many_cells_are_right():
    copied = "trivial/copy_input/accuracy"
    seen = {value: held({"all.accuracy": value, copied: 0.467}, steps=1600, every=400) for value in (0.46, 0.5, 0.9)}
    states = {value: {row["id"]: row["state"] for row in replay(ETRM, rows).report} for value, rows in seen.items()}
    assert [states[value]["copies_the_input"] for value in seen] == ["fail", "warn", "ok"]
    assert "copies_the_input" not in named(ETRM, held({"all.accuracy": 0.46, copied: 0.467}, steps=999, every=400))
