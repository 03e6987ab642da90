"""One rule at work: reads its number out of each row, has it judged, and remembers what was found."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, Final, final

from quadrat.core.verdicts import Diagnosis
from quadrat.health.judge import FAIL, NOT_JUDGED, NOT_MEASURED, OK, STATES, Judge
from quadrat.health.patience import PatienceJudge
from quadrat.health.reading import number, plain, ratio
from quadrat.health.rules import Rule
from quadrat.health.shaping import WORDS, Past, Smoother
from quadrat.health.threshold import StaysJudge, WithinJudge
from quadrat.health.trend import TrendJudge

KEPT_TRANSITIONS: Final = 200
"""A metric that flutters around a threshold must not make health.json as long as metrics.ndjson."""


def judge_for(rule: Rule) -> Judge:
    """The judge of a rule's kind."""
    if rule.patience is not None:
        wait = rule.patience
        return PatienceJudge(patience=wait.steps, goal=wait.goal, min_delta=wait.min_delta)
    if rule.within is None:
        banded = StaysJudge(rule.bands, stays=rule.stays)
    else:
        banded = WithinJudge(rule.bands, from_step=rule.from_step, deadline=rule.from_step + rule.within)
    if rule.trend is None:
        return banded
    return TrendJudge(banded, recent=rule.trend.window, against=rule.trend.against)


@final
class Watch:
    """The state of one rule over a run."""

    __slots__ = (
        *("_bottom", "_found", "_from", "_judge", "_latest", "_left_out", "_now", "_past", "_smoother", "_top"),
        *("_transitions", "_until", "_worst", "rule"),
    )

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._top = rule.parts[0]
        self._bottom = rule.parts[1] if len(rule.parts) > 1 else None
        self._from = rule.from_step
        self._until = inf if rule.until_step is None else rule.until_step
        self._judge = judge_for(rule)
        self._past = Past(rule.relative) if rule.relative else None
        self._smoother = Smoother(rule.smooth.statistic, rule.smooth.steps) if rule.smooth else None
        self._latest: dict[str, float] = {}
        self._now = NOT_JUDGED
        self._worst = OK
        self._found: Diagnosis | None = None
        self._transitions: list[dict[str, Any]] = []
        self._left_out = 0

    def see(self, step: int, values: Mapping[str, Any]) -> Diagnosis | None:
        """Take in a row; returns a finding when a level is reached that is worse than any before."""
        if self.rule.when:
            self._look_aside(values)
        if not self._from <= step <= self._until:
            return None
        value = self._read(values)
        value = None if value is None else self._shape(step, value)
        if value is None:
            return None
        if not self._is_due():
            self._judge.skip(step, value)
            return None
        level = self._judge.see(step, value)
        if level in (self._now, NOT_JUDGED):
            return None
        self._now = level
        self._note(step, level)
        if level <= self._worst:
            return None
        self._worst = level
        self._found = self._diagnose(step, level)
        return self._found

    def report(self) -> dict[str, Any]:
        """The rule's line of health.json: its worst state and what that rests on, as plain JSON data."""
        rule, found = self.rule, self._found
        judged = self._now != NOT_JUDGED
        return {
            "id": rule.id,
            "state": STATES[self._worst] if judged else NOT_MEASURED,
            "first_step": found.step if found else None,
            "metric": rule.metric,
            "value": found.value if found else plain(self._judge.measured) if judged else None,
            "threshold": found.threshold if found else self._threshold(rule.worst_level),
            "window": list(found.window) if found else None,
            "action": found.action if found else rule.action,
            "diagnosis": found.diagnosis if found else "",
            "remedy": found.remedy if found else "",
            "transitions": [dict(transition) for transition in self._transitions],
            "transitions_left_out": self._left_out,
        }

    def _read(self, values: Mapping[str, Any]) -> float | None:
        top = number(values.get(self._top))
        if self._bottom is None or top is None:
            return top
        bottom = number(values.get(self._bottom))
        return None if bottom is None else ratio(top, bottom)

    def _shape(self, step: int, value: float) -> float | None:
        """The value as the rule wants it: over its own past, then smoothed."""
        if self._past is not None:
            value = self._past.relate(value)
        return value if self._smoother is None else self._smoother.add(step, value)

    def _look_aside(self, values: Mapping[str, Any]) -> None:
        for name in self.rule.when:
            value = number(values.get(name))
            if value is not None:
                self._latest[name] = value

    def _is_due(self) -> bool:
        """Whether the latest values of the metrics under ``when`` ask for judging; one not seen yet does not."""
        latest = self._latest
        return all(name in latest and asked.holds(latest[name]) for name, asked in self.rule.when.items())

    def _threshold(self, level: int) -> str:
        """What has to hold for ``level``, with everything that was done to the value."""
        rule, text = self.rule, self._judge.threshold(level)
        if rule.smooth is not None:
            text = f"{rule.smooth.statistic} of {rule.smooth.steps} steps {text}"
        if rule.relative is not None:
            text = f"over its {WORDS[rule.relative]} value so far {text}"
        asked = " and ".join(f"{name} {condition.text}" for name, condition in rule.when.items())
        return f"{text} while {asked}" if asked else text

    def _window(self, window: tuple[int, int]) -> tuple[int, int]:
        """The steps a finding rests on, those that were smoothed over included."""
        reach = self.rule.smooth.steps - 1 if self.rule.smooth else 0
        return max(0, window[0] - reach), window[1]

    def _note(self, step: int, level: int) -> None:
        if len(self._transitions) >= KEPT_TRANSITIONS:
            self._left_out += 1
            return
        self._transitions.append({"step": step, "state": STATES[level], "value": plain(self._judge.measured)})

    def _diagnose(self, step: int, level: int) -> Diagnosis:
        rule, evidence = self.rule, self._judge.evidence(step, level)
        words = [rule.diagnosis] if rule.diagnosis else []
        if evidence.odd is not None:
            # The rule's own words may be about a small or a large number; say first that it was none at all.
            odd_step, odd = evidence.odd
            name = "the change" if rule.trend else rule.metric
            words.insert(0, f"At step {odd_step} {name} was {plain(odd)}, and what is not finite counts as breaking.")
        return Diagnosis(
            rule=rule.id,
            step=step,
            metric=rule.metric,
            value=plain(evidence.value),
            threshold=self._threshold(level),
            level=STATES[level],
            action=rule.action if level == FAIL else "warn",
            window=self._window(evidence.window),
            diagnosis=" ".join(words),
            remedy=rule.remedy,
        )
