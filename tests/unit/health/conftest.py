"""One series under one rule: the shortest way to ask what a rule finds."""

from __future__ import annotations

import pytest

from quadrat.health.monitor import Monitor


@pytest.fixture(scope="session")
def watch():
    """``watch(rule, series)`` gives the findings and the rule's row of health.json."""

    def run(rule, series):
        monitor = Monitor([{"id": "r", "metric": "m", **rule}])
        for step, value in series:
            monitor.observe(step, {"m": value, "other": 1.0})
        return monitor.findings, monitor.report()[0]

    return run
