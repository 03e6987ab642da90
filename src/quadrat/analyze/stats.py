"""What may be claimed from a handful of seeds.

The unit is the run (the seed), never the step or the batch. A run without a finite value (it failed, was lost, never
logged the metric, or logged NaN or infinity) stays in ``n``: the estimate then covers the measured runs only, and says
so. With three measured runs or more the interval of the mean is a t interval; a bootstrap of three values would hold
the true mean 76 times in 100 where 95 are promised. Two values are shown as values, without an interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist
from typing import final

from quadrat.analyze.student import t_quantile, two_sided_tail

_ROUNDING = 8 * 2.0**-52  # a difference of two floats is known to a few units in their last place, not better


class Method(StrEnum):
    """How the interval of an estimate was made, or why there is none."""

    T = "t interval"
    NO_VARIATION = "no variation"
    VALUES = "values only"
    ONE = "one value"
    NONE = "no values"


@final
@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over runs with all that is needed to judge it.

    Attributes:
        n: the runs that were planned, whatever became of them.
        failed: those of them without a finite value; the mean covers the others.
        mean: the mean of the measured values; NaN when there are none.
        sd: their standard deviation (n - 1 in the denominator); NaN below two values.
        low: lower end of the interval of the mean; NaN when there is no interval.
        high: upper end of it.
        method: how the interval was made, or why there is none.
        values: one value per planned run, in their order; NaN or infinite where nothing finite was measured.
        confidence: what share of such intervals hold the true mean.
    """

    n: int
    failed: int
    mean: float
    sd: float
    low: float
    high: float
    method: Method
    values: tuple[float, ...]
    confidence: float = 0.95

    @property
    def measured(self) -> int:
        """How many runs the mean covers."""
        return self.n - self.failed

    @property
    def finite(self) -> tuple[float, ...]:
        """The measured values, in the order of their runs."""
        return tuple(value for value in self.values if math.isfinite(value))

    @property
    def is_partial(self) -> bool:
        """Whether the mean leaves runs out because they have no finite value."""
        return self.failed > 0

    @property
    def has_interval(self) -> bool:
        """Whether ``low`` and ``high`` are numbers."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def basis(self) -> str:
        """The interval's method and what it stands on, for a table cell: ``t interval 95 %, 2 of 3 measured``."""
        level = f" {100 * self.confidence:g} %" if self.method is Method.T else ""
        covered = f", {self.measured} of {self.n} measured" if self.is_partial else ""
        return f"{self.method}{level}{covered}"


def t_interval(values: Sequence[float], *, confidence: float = 0.95) -> Estimate:
    """The mean of one value per planned run, with a t interval where three or more are measured.

    Args:
        values: one entry per planned run. NaN and infinities mark runs without a usable value; they count in ``n``.
        confidence: the level of the interval.
    """
    return _estimate([float(value) for value in values], slack=0.0, confidence=confidence)


def _estimate(values: list[float], *, slack: float, confidence: float) -> Estimate:
    """The estimate over ``values``; spreads no larger than ``slack`` count as none."""
    kept = [value for value in values if math.isfinite(value)]
    k = len(kept)
    nan = math.nan
    mean = sd = low = high = nan
    if k:
        total = _sum(kept)
        mean = total / k if math.isfinite(total) else math.fsum(value / k for value in kept)
    alike = k >= 2 and max(kept) - min(kept) <= slack
    if alike:
        mean, sd = (kept[0] if slack == 0.0 else mean), 0.0
        method = Method.NO_VARIATION
    elif k >= 2:
        sd = _deviation(kept, mean=mean)
        method = Method.T if k >= 3 else Method.VALUES
    else:
        method = Method.ONE if k == 1 else Method.NONE
    if method is Method.T:
        half = t_quantile(k - 1, confidence=confidence) * sd / math.sqrt(k)
        low, high = mean - half, mean + half
    return Estimate(
        n=len(values),
        failed=len(values) - k,
        mean=mean,
        sd=sd,
        low=low,
        high=high,
        method=method,
        values=tuple(values),
        confidence=confidence,
    )


def _sum(values: Sequence[float]) -> float:
    """The exact sum, infinite where it is too large for a float."""
    try:
        return math.fsum(values)
    except OverflowError:
        return math.inf


def _deviation(values: Sequence[float], *, mean: float) -> float:
    """The standard deviation, scaled so that very large values do not overflow when squared."""
    scale = max(abs(value - mean) for value in values)
    if scale == 0.0 or math.isinf(scale):
        return scale
    squares = math.fsum(((value - mean) / scale) ** 2 for value in values)
    return scale * math.sqrt(squares / (len(values) - 1))


@final
@dataclass(frozen=True, slots=True)
class Proportion:
    """A share of test items with its Wilson interval. About one run's items, never about seeds."""

    hits: int
    n: int
    share: float
    low: float
    high: float
    confidence: float = 0.95


def wilson(hits: int, n: int, *, confidence: float = 0.95) -> Proportion:
    """The share ``hits / n`` with a Wilson score interval, which stays inside [0, 1] and works at 0 and at n."""
    if n < 0 or not 0 <= hits <= n:
        raise ValueError(f"a proportion needs 0 <= hits <= n, got {hits} of {n}")
    if n == 0:
        return Proportion(hits=0, n=0, share=math.nan, low=0.0, high=1.0, confidence=confidence)
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    share = hits / n
    width = z * math.sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n))
    shrink = 1.0 + z * z / n
    centre = (share + z * z / (2.0 * n)) / shrink
    # At the ends the formula is exact in algebra and off by rounding in floats.
    low = 0.0 if hits == 0 else max(0.0, centre - width / shrink)
    high = 1.0 if hits == n else min(1.0, centre + width / shrink)
    return Proportion(hits=hits, n=n, share=share, low=low, high=high, confidence=confidence)


@final
@dataclass(frozen=True, slots=True)
class Paired:
    """The difference of two conditions, seed by seed.

    Attributes:
        difference: estimate over the differences; its ``n`` is every seed either side planned, so a seed that only
            one side has, or that failed on either, is counted and not measured.
        seeds: the seeds, in the order of ``difference.values``.
        t: the t statistic; NaN when there is no test.
        p: the two-sided p value of the paired t test; None below three pairs or when the differences do not vary.
    """

    difference: Estimate
    seeds: tuple[int, ...]
    t: float
    p: float | None

    @property
    def pairs(self) -> int:
        """How many seeds have a finite value on both sides."""
        return self.difference.measured


def paired(a: Mapping[int, float], b: Mapping[int, float], *, confidence: float = 0.95) -> Paired:
    """``a - b`` paired by seed.

    Args:
        a: seed to value, of the condition under study.
        b: seed to value, of the baseline.
        confidence: the level of the interval of the mean difference.
    """
    seeds = tuple(sorted(a.keys() | b.keys()))
    differences = [_minus(a.get(seed, math.nan), b.get(seed, math.nan)) for seed in seeds]
    sizes = [abs(value) for value in (*a.values(), *b.values()) if math.isfinite(value)]
    slack = _ROUNDING * max(sizes, default=0.0)
    difference = _estimate(differences, slack=slack, confidence=confidence)
    if difference.method is not Method.T:
        return Paired(difference=difference, seeds=seeds, t=math.nan, p=None)
    k = difference.measured
    t = difference.mean / (difference.sd / math.sqrt(k))
    return Paired(difference=difference, seeds=seeds, t=t, p=two_sided_tail(t, k - 1))


def _minus(left: float, right: float) -> float:
    """The difference of two finite numbers; NaN when either is not finite (infinity is not a measurement here)."""
    return left - right if math.isfinite(left) and math.isfinite(right) else math.nan


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment over one declared family.

    A comparison that could not be tested (None) stays None and still counts in the family: what was declared does not
    shrink because runs failed.
    """
    family = len(ps)
    tested = sorted((p, index) for index, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * family
    running = 0.0
    for rank, (p, index) in enumerate(tested):
        running = max(running, min(1.0, (family - rank) * p))
        adjusted[index] = running
    return adjusted
