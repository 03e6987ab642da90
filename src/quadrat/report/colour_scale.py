"""From a number to a colour, and the bar that shows how.

The colours are viridis: even to the eye, and safe for colour-blind readers. Brighter is better, whether the metric is
to be high or low.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, final

import numpy as np

from quadrat.report.drawing import INK, PAPER
from quadrat.report.figures import spans_decades
from quadrat.report.numbers import MINUS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# As far apart as colours are, or the middle of the scale would carry no readable text. Not INK and PAPER, which change
# places on a dark page, while a cell keeps its colour.
_DARK, _LIGHT = "#010101", "#fefefe"
_STEPS: Final = 48
_FAR: Final = 1e300


@final
@dataclass(frozen=True, slots=True)
class Scale:
    """Colours from ``low`` to ``high``, by factors where ``logarithmic``; where ``reverse``, the low end is bright."""

    low: float
    high: float
    logarithmic: bool = False
    reverse: bool = False

    def colour(self, value: float) -> str:
        """The colour of a value, as a hex text."""
        from matplotlib import colormaps
        from matplotlib.colors import to_hex

        share = (self._on(value) - self._on(self.low)) / (self._on(self.high) - self._on(self.low))
        return to_hex(colormaps["viridis_r" if self.reverse else "viridis"](min(1.0, max(0.0, share))))

    def _on(self, value: float) -> float:
        return math.log10(value) if self.logarithmic else value

    def steps(self) -> list[tuple[float, float]]:
        """The scale cut into pieces that look as one."""
        if self.logarithmic:
            return list(pairwise(np.geomspace(self.low, self.high, _STEPS + 1).tolist()))
        return list(pairwise(np.linspace(self.low, self.high, _STEPS + 1).tolist()))


def scale_of(means: Iterable[float], *, goal: str = "max") -> Scale:
    """The scale for some means, of which those that are not finite do not count.

    A score to be maximised that lies in [0, 1] is drawn on the whole of it: small differences then look small, and two
    diagrams can be compared. Everything else goes from the least to the greatest, by factors where they differ by more
    than a hundredfold.
    """
    found = np.array([mean for mean in means if math.isfinite(mean)])
    if not found.size or (goal == "max" and found.min() >= 0.0 and found.max() <= 1.0):
        return Scale(0.0, 1.0, reverse=goal == "min")
    # Farther out, the width of the scale itself would be no number any more.
    low, high = float(max(found.min(), -_FAR)), float(min(found.max(), _FAR))
    if low == high:
        low, high = low - max(abs(low), 1e-9) / 2, high + max(abs(high), 1e-9) / 2
    return Scale(low, high, logarithmic=spans_decades(found), reverse=goal == "min")


def ink_on(colour: str) -> str:
    """A dark or a light text colour, whichever stands out more."""
    light = luminance(colour) + 0.05
    return _DARK if light / (luminance(_DARK) + 0.05) > (luminance(_LIGHT) + 0.05) / light else _LIGHT


def luminance(colour: str) -> float:
    """How bright a colour is to the eye, from 0 to 1, as the rules for readable text define it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def draw_bar(ax: Axes, scale: Scale, *, thresholds: Iterable[float] = (), is_short: bool = False) -> None:
    """The scale as an upright bar, with a stroke across at every threshold."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    for low, high in scale.steps():
        middle = math.sqrt(low) * math.sqrt(high) if scale.logarithmic else (low + high) / 2
        ax.axhspan(low, high, color=scale.colour(middle), linewidth=0.3)
    ax.set_yscale("log" if scale.logarithmic else "linear")
    ax.set_ylim(scale.low, scale.high)
    ax.set_xlim(0, 1)
    ax.set_xticks([])
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.yaxis.tick_right()
    if (scale.low, scale.high) == (0.0, 1.0):
        ax.set_yticks([0, 0.5, 1] if is_short else [0, 0.25, 0.5, 0.75, 1])
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", MINUS)))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(length=2, labelsize=7.5)
    for at in thresholds:
        if scale.low < at < scale.high:
            ax.axhline(at, color=PAPER, linewidth=3.0)
            ax.axhline(at, color=INK, linewidth=1.4)
