"""The figures of a study: curves with every seed drawn, and final values by condition with every seed as a dot.

Nothing is told by colour alone: lines differ in dash, dots in shape, and every condition is named.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill, shorten
from typing import TYPE_CHECKING, Any, Final, Literal, final

import numpy as np
from numpy.typing import NDArray

from quadrat.analyze.stats import Estimate
from quadrat.analyze.student import t_quantile
from quadrat.core.verdicts import Status
from quadrat.report.drawing import INK, MUTED, PALETTE, PAPER, Drawing, printable, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_TOGETHER: Final = 6
"""More conditions than this are drawn side by side, one small plot each, instead of over one another."""

_POINTS: Final = 240  # vertices of one drawn line; more would only fill the file
_DASHES: Final[tuple[Any, ...]] = ("solid", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (5, 1.4, 1.2, 1.4)))
_SHAPES: Final = ("o", "s", "^", "D", "v", "P", "X")
_ENDS: Final = {Status.FAILED: "x", Status.LOST: "x", Status.STOPPED: "s", Status.PREEMPTED: "|"}


@final
@dataclass(frozen=True, slots=True)
class Curve:
    """One run's metric, step by step."""

    seed: int | None
    status: Status
    steps: NDArray[np.int64]
    values: NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True)
class Bundle:
    """The curves of one condition. ``planned`` counts the declared runs, drawn or not; ``number`` picks its colour."""

    number: int
    label: str
    planned: int
    curves: tuple[Curve, ...]


@final
@dataclass(frozen=True, slots=True)
class Mean:
    """The mean curve and its band. ``count`` says over how many runs each point is.

    ``half`` is the half width of the band, NaN where not all runs are there.
    """

    steps: NDArray[np.int64]
    mean: NDArray[np.float64]
    half: NDArray[np.float64]
    count: NDArray[np.int64]


def mean_curve(curves: Sequence[Curve], *, confidence: float = 0.95) -> Mean:
    """The mean over runs at every step that any of them has, with a t band where all of them are there.

    Past the step where a run ends or turns non-finite the mean covers survivors only; it is kept, without a band, so
    that a drawing can mark it as such.
    """
    steps = np.unique(np.concatenate([curve.steps for curve in curves])) if curves else np.array([], np.int64)
    grid = np.full((len(curves), steps.size), np.nan)
    for row, curve in zip(grid, curves, strict=True):
        row[np.searchsorted(steps, curve.steps)] = np.where(np.isfinite(curve.values), curve.values, np.nan)
    there = np.isfinite(grid)
    count = there.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean = np.where(there, grid, 0.0).sum(axis=0) / np.where(count > 0, count, np.nan)
        half = np.full(steps.size, np.nan)
        if len(curves) >= 3:
            spread = np.where(there, grid - mean, 0.0)
            deviation = np.sqrt((spread**2).sum(axis=0) / (len(curves) - 1))
            factor = t_quantile(len(curves) - 1, confidence=confidence) / math.sqrt(len(curves))
            half = np.where(count == len(curves), factor * deviation, np.nan)
    return Mean(steps=steps, mean=mean, half=half, count=count.astype(np.int64))


def draw_curves(metric: str, bundles: Sequence[Bundle]) -> Drawing:
    """Every seed thin, the mean thick, a t band where all seeds are there; NaN and infinities as marks on the frame."""
    shown = [bundle for bundle in bundles if any(curve.steps.size for curve in bundle.curves)]
    with style():
        figure = _apart(metric, shown) if len(shown) > MOST_TOGETHER else _together(metric, shown)
    return Drawing(figure, title=f"{metric} by step, every seed drawn: {', '.join(map(_named, shown))}")


def _together(metric: str, bundles: Sequence[Bundle]) -> Figure:
    """All conditions over one another, told apart by colour and dash."""
    from matplotlib.figure import Figure

    handles, labels = _legend(bundles)
    below = 0.62 + 0.17 * (math.ceil(len(labels) / 2) + 1)  # inches under the axes: tick labels, then the legend
    figure = Figure(figsize=(5.2, 2.3 + below))
    ax = figure.add_axes((0.1, below / (2.3 + below), 0.88, 2.1 / (2.3 + below)))
    for bundle in bundles:
        _bundle(ax, bundle, number=bundle.number)
    _scale(ax, bundles)
    ax.set_title(printable(metric), color=INK)
    ax.set_xlabel("step", fontsize=8)
    figure.legend(
        handles,
        labels,
        loc="upper left",
        bbox_to_anchor=(0.085, (below - 0.48) / (2.3 + below)),
        ncols=2 if len(labels) > 1 else 1,
        title=_reading(bundles),
        alignment="left",
        title_fontsize=7.5,
        borderpad=0,
        borderaxespad=0,
    )
    return figure


def _apart(metric: str, bundles: Sequence[Bundle]) -> Figure:
    """One small plot per condition on shared axes."""
    from matplotlib.figure import Figure

    columns = 4
    rows = math.ceil(len(bundles) / columns)
    tall = 1.45 * rows
    figure = Figure(figsize=(7.4, tall + 0.6))
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    figure.subplots_adjust(
        left=0.07, right=0.99, bottom=0.5 / (tall + 0.6), top=tall / (tall + 0.6), wspace=0.1, hspace=0.5
    )
    axes: list[Axes] = list(grid.flat)
    for ax, bundle in zip(axes, bundles, strict=False):
        _bundle(ax, bundle, number=0)
        ax.set_title(fill(printable(bundle.label), 27, max_lines=2), fontsize=7, color=INK, linespacing=1.0)
    for ax in axes[len(bundles) :]:
        ax.set_axis_off()
    for ax in axes[max(0, len(bundles) - columns) : len(bundles)]:
        ax.tick_params(labelbottom=True)
    _scale(axes[0], bundles)
    figure.suptitle(
        printable(metric), x=0.07, y=(tall + 0.3) / (tall + 0.6), ha="left", va="bottom", fontsize=9, color=INK
    )
    counts = sorted({bundle.planned for bundle in bundles})
    seeds = f"n = {' or '.join(map(str, counts))} seeds each; " if counts else ""
    figure.text(0.07, 0.0, f"by step; {seeds}{_reading(bundles)}", fontsize=7.5, color=MUTED, va="bottom")
    return figure


def _reading(bundles: Sequence[Bundle]) -> str:
    """How to read the lines, as far as these bundles need it."""
    parts = ["thin: every seed"]
    drawn = [[curve for curve in bundle.curves if curve.steps.size] for bundle in bundles]
    means = [mean_curve(curves) for curves in drawn if len(curves) > 1]
    if means:
        parts.append("thick: mean")
    if any(np.isfinite(mean.half).any() for mean in means):
        parts.append("band: 95 % t interval of the mean")
    if any((mean.count < mean.count.max()).any() for mean in means):
        parts.append("dotted: mean of fewer seeds")
    return "; ".join(parts)


def _named(bundle: Bundle) -> str:
    drawn = sum(1 for curve in bundle.curves if curve.steps.size)
    missing = f", {drawn} drawn" if drawn < bundle.planned else ""
    return f"{bundle.label} (n = {bundle.planned}{missing})"


def _bundle(ax: Axes, bundle: Bundle, *, number: int) -> None:
    colour, dash = _colour(number), _dash(number)
    curves = [curve for curve in bundle.curves if curve.steps.size]
    for curve in curves:
        steps, values = envelope(curve.steps, curve.values)
        # Few points are shown as points: a line between them is a guess.
        dots = "." if curve.steps.size <= 12 else None
        ax.plot(steps, values, color=colour, linewidth=0.7, alpha=0.5, marker=dots, markersize=4)
        _marks(ax, curve, colour=colour)
    if len(curves) < 2:
        for curve in curves:
            ax.plot(*envelope(curve.steps, curve.values), color=colour, linewidth=1.2, linestyle=dash)
        return
    mean = mean_curve(curves)
    pick = np.unique(np.linspace(0, mean.steps.size - 1, _POINTS).round().astype(int))
    steps, height, half = mean.steps[pick], mean.mean[pick], mean.half[pick]
    full = mean.count[pick] == len(curves)
    ax.plot(steps, np.where(full, height, np.nan), color=colour, linewidth=1.7, linestyle=dash)
    if not full.all():
        ax.plot(steps, np.where(full, np.nan, height), color=colour, linewidth=1.0, linestyle=(0, (1, 3)))
    if np.isfinite(half).any():
        ax.fill_between(steps, height - half, height + half, color=colour, alpha=0.14, linewidth=0)


def envelope(steps: NDArray[np.int64], values: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """A line of few vertices that keeps every peak: the least and the greatest of each stretch of steps."""
    values = np.where(np.isfinite(values), values, np.nan)
    if steps.size <= _POINTS:
        return steps, values
    keep: set[int] = {0, int(steps.size) - 1}
    for part in np.array_split(np.arange(steps.size), _POINTS // 2):
        if np.isfinite(values[part]).any():
            keep |= {int(part[np.nanargmin(values[part])]), int(part[np.nanargmax(values[part])])}
        else:
            keep.add(int(part[0]))
    chosen = np.array(sorted(keep))
    return steps[chosen], values[chosen]


def _marks(ax: Axes, curve: Curve, *, colour: str) -> None:
    """NaN and infinities on the frame, and how a run that did not complete ended."""
    frame = ax.get_xaxis_transform()
    kinds = (
        (np.isnan(curve.values), "|", 1.0),
        (np.isposinf(curve.values), "^", 1.0),
        (np.isneginf(curve.values), "v", 0.0),
    )
    for mask, shape, height in kinds:
        where = curve.steps[mask][:: max(1, int(mask.sum()) // 24)]
        if where.size:
            ax.plot(
                where, np.full(where.size, height), shape, color=colour, markersize=4, transform=frame, clip_on=False
            )
    finite = np.flatnonzero(np.isfinite(curve.values))
    if curve.status in _ENDS and finite.size:
        last = finite[-1]
        ax.plot(
            curve.steps[last : last + 1], curve.values[last : last + 1], _ENDS[curve.status], color=colour, markersize=5
        )


def _scale(ax: Axes, bundles: Sequence[Bundle]) -> None:
    """Whole steps, and a logarithmic axis when everything is positive and spans more than two decades."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    values = [curve.values[np.isfinite(curve.values)] for bundle in bundles for curve in bundle.curves]
    if spans_decades(np.concatenate(values) if values else np.array([])):
        _logarithmic(ax, "y")


def _logarithmic(ax: Axes, side: Literal["x", "y"]) -> None:
    """A logarithmic axis whose numbers are plain text."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis = ax.xaxis if side == "x" else ax.yaxis
    (ax.set_xscale if side == "x" else ax.set_yscale)("log")
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def spans_decades(values: NDArray[np.float64]) -> bool:
    """Whether values are all positive and differ by more than a factor of 100."""
    return bool(values.size and values.min() > 0 and values.max() > 100 * values.min())


def _legend(bundles: Sequence[Bundle]) -> tuple[list[Any], list[str]]:
    """Handles and labels: the conditions, then the marks that occur."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=_colour(bundle.number), linestyle=_dash(bundle.number), linewidth=1.7)
        for bundle in bundles
    ]
    # A label that begins with an underscore would be taken for a private one and left out.
    labels = [f" {shorten(printable(_named(bundle)), 44)}" for bundle in bundles]
    curves = [curve for bundle in bundles for curve in bundle.curves if curve.steps.size]
    lost = "failed or lost" if _any(curves, Status.LOST) else "failed"
    marks = (
        ("x", f" {lost} here", _any(curves, Status.FAILED, Status.LOST)),
        ("s", " stopped here by a rule", _any(curves, Status.STOPPED)),
        ("|", " on the frame: not a number", _nonfinite(curves, np.isnan)),
        ("^", " on the frame: infinite", _nonfinite(curves, np.isinf)),
    )
    for shape, text, there in marks:
        if there:
            handles.append(Line2D([], [], color=MUTED, marker=shape, linestyle="none", markersize=4.5))
            labels.append(text)
    return handles, labels


def _colour(number: int) -> str:
    return PALETTE[number % len(PALETTE)]


def _dash(number: int) -> Any:
    return _DASHES[number % len(_DASHES)]


def _any(curves: Sequence[Curve], *statuses: Status) -> bool:
    return any(curve.status in statuses for curve in curves)


def _nonfinite(curves: Sequence[Curve], test: Any) -> bool:
    return any(bool(test(curve.values).any()) for curve in curves)


@final
@dataclass(frozen=True, slots=True)
class Dots:
    """The final values of one condition.

    ``number`` picks colour and shape; ``kind`` is ``baseline``, ``reference`` or empty.
    """

    number: int
    label: str
    estimate: Estimate
    kind: str = ""


def draw_dots(metric: str, groups: Sequence[Dots]) -> Drawing:
    """Each seed a dot, the mean a bar across, the interval a line; what was not measured is written beside it."""
    from matplotlib.figure import Figure

    finite = np.array([value for group in groups for value in group.estimate.values if math.isfinite(value)])
    logarithmic = spans_decades(finite)
    with style():
        tall = 0.34 * len(groups)
        figure = Figure(figsize=(5.2, tall + 0.7))
        ax = figure.add_axes((0.3, 0.35 / (tall + 0.7), 0.5, tall / (tall + 0.7)))
        if logarithmic:
            _logarithmic(ax, "x")
        for place, group in enumerate(groups):
            _group(ax, group, place=place, logarithmic=logarithmic)
        ax.set_yticks(
            range(len(groups)), [fill(printable(_lettered(group)), 30, max_lines=2) for group in groups], color=INK
        )
        ax.set_ylim(len(groups) - 0.5, -0.5)
        ax.grid(visible=False, axis="y")
        ax.tick_params(axis="y", length=0)
        ax.set_title(printable(metric), color=INK)
        ax.margins(x=0.06)
    return Drawing(figure, title=f"Final {metric} by condition: {'; '.join(map(_spoken, groups))}")


def _lettered(group: Dots) -> str:
    return f"{group.label} ({group.kind})" if group.kind else group.label


def _spoken(group: Dots) -> str:
    estimate = group.estimate
    interval = f", {estimate.low:.4g} to {estimate.high:.4g}" if estimate.has_interval else ""
    return f"{_lettered(group)} mean {estimate.mean:.4g}{interval}, n = {estimate.n}"


def _group(ax: Axes, group: Dots, *, place: int, logarithmic: bool) -> None:
    estimate = group.estimate
    colour = MUTED if group.kind == "reference" else _colour(group.number)
    shape = "D" if group.kind == "reference" else _SHAPES[group.number % len(_SHAPES)]
    if estimate.has_interval:
        low = estimate.low if estimate.low > 0 or not logarithmic else min(v for v in estimate.values if v > 0) / 3
        ax.plot([low, estimate.high], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt")
    if estimate.measured >= 2 and group.kind != "reference":
        ax.plot([estimate.mean] * 2, [place - 0.27, place + 0.27], color=colour, linewidth=1.9)
    # Yardsticks are the same in every run, as a rule: one mark says so better than a heap.
    values = np.array(sorted(set(estimate.finite)) if group.kind == "reference" else estimate.values, dtype=float)
    # Seeds of one value would hide one another: they are set off by their order, the same way every time.
    offsets = np.linspace(-0.16, 0.16, values.size) if values.size > 1 else np.zeros(1)
    there = np.isfinite(values)
    ax.plot(
        values[there],
        place + offsets[there],
        shape,
        markersize=4.6,
        markerfacecolor=PAPER,
        markeredgecolor=colour,
        markeredgewidth=1.1,
        zorder=3,
    )
    note = f"n = {estimate.n}" + (f", {estimate.failed} not measured" if estimate.failed else "")
    ax.text(1.015, place, note, transform=ax.get_yaxis_transform(), va="center", fontsize=7.5, color=MUTED)
