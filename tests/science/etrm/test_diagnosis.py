"""Planted faults in live runs: the rules of the study name each, and stop in time those that cannot heal."""

from __future__ import annotations

from pathlib import Path

import pytest

from quadrat import Metrics
from quadrat.health.monitor import Monitor
from quadrat.health.sets import read_set
from quadrat_studies.etrm.experiment import train

ETRM = read_set(Path(__file__).parents[3] / "src" / "quadrat_studies" / "etrm" / "rules.yaml")


@pytest.fixture(scope="module")
def watched(tiny, context_of):
    """Drives a run as the instrument does, until a rule stops it; the monitor, that finding (or None), the rows."""

    def watch(**arch):
        config = tiny(
            max_train_groups=2, arch=arch, training={"max_steps": 125, "lr": 5e-3, "query": "test_only"},
            evaluation={"every": 125},
        )  # fmt: skip
        monitor, rows = Monitor([*ETRM, "nonfinite"]), []
        for event in train(config, context_of(config)):
            if isinstance(event, Metrics):
                rows.append(event.values)
                found = monitor.observe(event.step, event.values)
                if stop := next((one for one in found if one.action == "stop"), None):
                    return monitor, stop, rows
        return monitor, None, rows

    return watch


def test_a_sound_run_is_not_stopped(watched):
    _, stop, rows = watched()
    assert stop is None
    assert rows[-1]["all.n_evaluated"] > 0, "it came to its end"


def test_a_cached_context_is_stopped_before_step_100_as_gradient_starvation(watched):
    _, stop, _ = watched(context_mode="cached")
    assert (stop.rule, stop.step < 100) == ("gradient_starvation", True)
    assert stop.diagnosis.startswith("Gradient starvation")


def test_a_detached_encoder_is_stopped_at_step_1(watched):
    _, stop, _ = watched(fault="detached")
    assert (stop.rule, stop.step) == ("detached_encoder", 1)


def test_a_collapse_is_named_and_stopped(watched):
    monitor, stop, _ = watched(fault="collapsed")
    assert {"weak_encoder", "collapsed_encoder"} <= {found.rule for found in monitor.findings}
    assert stop.rule == "collapsed_encoder"
    assert "collapsed to one context" in stop.diagnosis


def test_a_decoder_that_sees_no_demonstrations_is_named(watched):
    monitor, stop, rows = watched(fault="demo_blind")
    assert rows[-1]["train/demo_use_gap"] == 0.0
    assert max(row.get("train/accuracy", 0.0) for row in rows) > 0.85, "or there would be nothing to lose"
    blind = next(found for found in monitor.findings if found.rule == "demo_blind")
    assert (blind.level, stop) == ("fail", None)
    assert "ignores the demonstrations" in blind.diagnosis
