"""All rules of a run at once: rows in, findings out, live or over stored rows with the same result.

Pure: what is found depends on the rules and the rows, not on a clock, a random number or the machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, final

from quadrat.core.errors import StoreError
from quadrat.core.verdicts import Diagnosis
from quadrat.health.rules import Written, parse_rules
from quadrat.health.watch import Watch


@final
class Monitor:
    """Holds every metrics row of a run against the rules.

    Args:
        rules: the ``rules`` of a study: mappings, and names of shared sets.

    Raises:
        StudyError: (a UsageError) with everything that is wrong with the rules.
    """

    def __init__(self, rules: Iterable[Written]) -> None:
        self._watches = tuple(Watch(rule) for rule in parse_rules(rules))
        self._found: list[Diagnosis] = []
        by_metric: dict[str, list[int]] = {}
        for order, watch in enumerate(self._watches):
            for name in dict.fromkeys((watch.rule.parts[0], *watch.rule.when)):
                by_metric.setdefault(name, []).append(order)
        self._by_metric = by_metric
        self._names = frozenset(by_metric)

    @classmethod
    def replay(cls, rules: Iterable[Written], rows: Iterable[Mapping[str, Any]]) -> Monitor:
        """A monitor that has seen ``rows`` of metrics.ndjson, ready to go on with the rows that follow.

        Raises:
            StoreError: a row that no writer wrote.
        """
        monitor = cls(rules)
        for count, row in enumerate(rows, start=1):
            step, values = row.get("step"), row.get("metrics")
            if not isinstance(step, int) or not isinstance(values, Mapping):
                raise StoreError(
                    f"row {count} has no whole step or no metrics: {str(dict(row))[:80]}.",
                    where="metrics.ndjson",
                    remedy="take the row out, or rerun the run.",
                )
            monitor.observe(step, values)
        return monitor

    @property
    def findings(self) -> tuple[Diagnosis, ...]:
        """Everything found so far, oldest first."""
        return tuple(self._found)

    def observe(self, step: int, values: Mapping[str, float]) -> list[Diagnosis]:
        """Take in a row; returns what it brought to light, in the order of the rules.

        A rule fires once for each level, so a finding with the action ``stop`` comes once in a run.
        """
        if self._names.isdisjoint(values):
            return []
        concerned = {order for name in values for order in self._by_metric.get(name, ())}
        fresh: list[Diagnosis] = []
        for order in sorted(concerned):
            diagnosis = self._watches[order].see(step, values)
            if diagnosis is not None:
                fresh.append(diagnosis)
        self._found.extend(fresh)
        return fresh

    def report(self) -> list[dict[str, Any]]:
        """The rows of health.json, one for each rule in the order declared."""
        return [watch.report() for watch in self._watches]
