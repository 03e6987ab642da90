"""Holds the runs of a stage against its gate: one point or arm, all its seeds.

Pure: the outcome depends on the criterion and on what the runs measured. A run that crashed, was lost, never logged
the metric or logged NaN stays in ``n`` and counts against the gate, as the worst value there is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from quadrat.analyze.stats import Estimate, t_interval
from quadrat.core.verdicts import Outcome, Status, Verdict
from quadrat.study.quantities import Comparison

ENDED: Final = (Status.COMPLETED, Status.STOPPED, Status.FAILED, Status.LOST)
COUNTED: Final = (Status.COMPLETED, Status.STOPPED)
CONFIDENCE: Final = 0.95
SHOWN: Final = 5
"""How many values a sentence can hold."""

EVERY_RUN: Final = "every run completes"
"""The criterion of a stage without a gate that another stage needs."""


@final
@dataclass(frozen=True, slots=True)
class Sample:
    """What one run brings before a gate. ``value`` is None where it has none."""

    run: str
    status: Status
    value: float | None = None

    @property
    def counted(self) -> float | None:
        """The value, if it is a number and the run came to an end of its own or of a rule's."""
        usable = self.status in COUNTED and self.value is not None and math.isfinite(self.value)
        return self.value if usable else None


def criterion(gate: Mapping[str, Any]) -> str:
    """A gate in words: ``mean over seeds of the last train/exact_accuracy: pass > 0.90, partial > 0``."""
    over, value = gate.get("over_seeds", "mean"), gate.get("value", "last")
    bars = ", ".join(f"{name} {gate[name]}" for name in ("pass", "partial") if gate.get(name) is not None)
    return f"{over} over seeds of the {value} {gate.get('metric')}: {bars}"


def value_of(gate: Mapping[str, Any] | None, *, final: Mapping[str, Any], best: Mapping[str, Any]) -> float | None:
    """The number of a run that a gate looks at, out of the final and best values of ``metrics.json``."""
    if gate is None:
        return None
    name = str(gate.get("metric"))
    if gate.get("value", "last") == "last":
        return _number(final.get(name))
    extremes = best.get(name)
    return _number(extremes.get(_goal(gate))) if isinstance(extremes, Mapping) else None


def judge(stage: str, gate: Mapping[str, Any] | None, *, samples: Sequence[Sample]) -> Verdict:
    """The verdict over the seeds of one point in one stage.

    Args:
        stage: the stage's name, for the verdict.
        gate: ``metric``, ``pass`` and, where declared, ``value``, ``over_seeds``, ``partial``, ``goal``; None for a
            stage without a gate, which is passed when every run completes.
        samples: one entry per declared run.
    """
    said = criterion(gate) if gate is not None else EVERY_RUN
    against = [sample.run for sample in samples if sample.status in ENDED and sample.counted is None]
    evidence: dict[str, Any] = {
        "runs": [{"run": s.run, "status": str(s.status), "value": _plain(s.value)} for s in samples],
        "against": against if gate is not None else [s.run for s in samples if s.status is not Status.COMPLETED],
    }
    ended = sum(sample.status in ENDED for sample in samples)
    if ended < len(samples) or not samples:
        told = f"{ended} of {len(samples)} runs have ended"
        return Verdict(stage, Outcome.NOT_RUN, said, told, len(samples), evidence)
    if gate is None:
        done = sum(sample.status is Status.COMPLETED for sample in samples)
        outcome = Outcome.PASS if done == len(samples) else Outcome.FAIL
        return Verdict(stage, outcome, said, f"{done} of {len(samples)} runs completed", len(samples), evidence)
    found = _Hearing(gate, tuple(samples))
    outcome, told, more = found.over_seeds()
    note = f"; no value, so counted against it: {', '.join(against)}" if against else ""
    return Verdict(stage, outcome, said, told + note, len(samples), {**evidence, **more})


@final
@dataclass(frozen=True, slots=True)
class _Hearing:
    """One gate and the ended runs before it."""

    gate: Mapping[str, Any]
    samples: tuple[Sample, ...]

    @property
    def values(self) -> list[float]:
        """One number per run; the worst there is where a run has none."""
        worst = -math.inf if _bar(self.gate, "pass").goal == "max" else math.inf
        return [worst if sample.counted is None else sample.counted for sample in self.samples]

    def over_seeds(self) -> tuple[Outcome, str, dict[str, Any]]:
        how = str(self.gate.get("over_seeds", "mean"))
        if how == "mean":
            return self._mean()
        if how == "ci_lower":
            return self._interval()
        asked, _, total = how.partition("_of_")
        need = len(self.samples) if how == "all" or asked == "n" else int(asked)
        return self._count(need, promised=int(total) if total.isdecimal() else len(self.samples))

    def _count(self, need: int, *, promised: int) -> tuple[Outcome, str, dict[str, Any]]:
        n = len(self.samples)
        if promised != n:
            told = f"the criterion speaks of {promised} seeds, and {n} are declared"
            return Outcome.INCONCLUSIVE, told, {}
        good = {name: sum(bar.holds(value) for value in self.values) for name, bar in self._bars()}
        low, high = success_interval(good["pass"], n)
        told = f"{good['pass']} of {n} runs pass (success rate {low:.2f} to {high:.2f} at 95 %)"
        told += "".join(
            f"; {sample.run}: {sample.counted:.6g}"
            for sample in self.samples
            if n <= SHOWN and sample.counted is not None
        )
        outcome = next((Outcome(name) for name, count in good.items() if count >= need), Outcome.FAIL)
        return outcome, told, {"passed": good["pass"], "needed": need, "low": low, "high": high}

    def _mean(self) -> tuple[Outcome, str, dict[str, Any]]:
        estimate = self._estimate()
        mean = estimate.mean if not estimate.failed else self.values_sum()
        outcome = next((Outcome(name) for name, bar in self._bars() if bar.holds(mean)), Outcome.FAIL)
        return outcome, _told(estimate), _figures(estimate)

    def values_sum(self) -> float:
        """The mean with the worst there is in it: an infinity of the wrong sign."""
        return sum(self.values)

    def _interval(self) -> tuple[Outcome, str, dict[str, Any]]:
        estimate = self._estimate()
        facts = _figures(estimate)
        if estimate.failed:
            return Outcome.FAIL, _told(estimate), facts
        low, high = estimate.low, estimate.high
        if estimate.sd == 0.0 and estimate.measured > 1:
            low = high = estimate.mean
        if not (math.isfinite(low) and math.isfinite(high)):
            return Outcome.INCONCLUSIVE, f"{_told(estimate)}; an interval needs three seeds", facts
        goal_is_max = _bar(self.gate, "pass").goal == "max"
        near, far = (low, high) if goal_is_max else (high, low)
        for name, bar in self._bars():
            if bar.holds(near):
                return Outcome(name), _told(estimate), facts
        within_reach = any(bar.holds(far) for _, bar in self._bars())
        return (Outcome.INCONCLUSIVE if within_reach else Outcome.FAIL), _told(estimate), facts

    def _estimate(self) -> Estimate:
        return t_interval([math.nan if s.counted is None else s.counted for s in self.samples], confidence=CONFIDENCE)

    def _bars(self) -> list[tuple[str, Comparison]]:
        return [(name, _bar(self.gate, name)) for name in ("pass", "partial") if self.gate.get(name) is not None]


def success_interval(successes: int, n: int, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The exact (Clopper-Pearson) interval of a success rate. Three of three is 0.29 to 1: not to be over-read."""
    tail = (1 - confidence) / 2
    low = 0.0 if successes == 0 else _solve(lambda p: 1 - _at_most(successes - 1, n, p), tail)
    high = 1.0 if successes == n else _solve(lambda p: -_at_most(successes, n, p), -tail)
    return low, high


def _solve(rising: Any, wanted: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return (low + high) / 2


def _at_most(k: int, n: int, p: float) -> float:
    return math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


def _bar(gate: Mapping[str, Any], name: str) -> Comparison:
    return Comparison.parse(str(gate[name]))


def _goal(gate: Mapping[str, Any]) -> str:
    return str(gate.get("goal") or _bar(gate, "pass").goal)


def _told(estimate: Estimate) -> str:
    if not estimate.measured:
        return "nothing measured"
    words = f"mean {estimate.mean:.6g}" if estimate.measured > 1 else f"{estimate.mean:.6g}"
    if estimate.has_interval:
        words += f" [{estimate.low:.6g}, {estimate.high:.6g}]"
    return f"{words}, {estimate.measured} of {estimate.n} measured"


def _figures(estimate: Estimate) -> dict[str, Any]:
    figures = {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}
    return {name: _plain(value) for name, value in figures.items()} | {"method": estimate.basis}


def _plain(value: float | None) -> float | None:
    """A number that strict JSON can hold; what is not finite is no measurement here."""
    return value if value is not None and math.isfinite(value) else None


def _number(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except ValueError:
        return None
