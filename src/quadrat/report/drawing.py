"""A finished figure as SVG text or PNG bytes: the same bytes for the same data, on every machine with the same fonts.

matplotlib is imported inside the functions that need it; a page without figures needs none of it.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any, Final, cast, final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK: Final = "#16181d"
MUTED: Final = "#5b6270"
RULE: Final = "#d9dce1"
PAPER: Final = "#ffffff"

PALETTE: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK)
"""Okabe and Ito's colours for colour-blind readers, the strongest on white first; yellow is left out."""

_THEMED: Final[Mapping[str, str]] = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    PAPER: "var(--paper)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(PALETTE) if colour != INK},
}

_SETTINGS: Final[Mapping[str, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "quadrat",
    "text.parse_math": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.formatter.limits": (-4, 5),
    "axes.formatter.use_mathtext": False,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": PAPER,
}

_FONT = re.compile(r"font-family: [^;\"]+;? ?|(?<=px )'DejaVu Sans'[^;\"]*")
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_GEOMETRY = re.compile(r'(?<= )(d|x|y|transform|points)="([^"]*)"')
_DROPPED = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>|<style.*?</style>", re.DOTALL)
_POINTED = re.compile(r'(?:url\(|href=")#([\w-]+)')
_NAMED = re.compile(r' id="([^"]*)"')


def available() -> bool:
    """Whether figures can be drawn here."""
    try:
        import matplotlib as mpl
    except ImportError:
        return False
    return bool(mpl.__version__)


@contextmanager
def style() -> Generator[None]:
    """Draw inside this: the house look, whatever a person's own matplotlib settings are."""
    import matplotlib as mpl

    with mpl.rc_context(), warnings.catch_warnings():
        # A glyph that the font lacks is drawn as a box; that is no reason to fail or to talk.
        warnings.simplefilter("ignore")
        mpl.rcdefaults()
        mpl.rcParams.update(cast("Any", _SETTINGS))
        yield


@final
class Drawing:
    """One figure.

    Args:
        figure: the matplotlib figure, finished.
        title: what it shows, for those who cannot see it.
    """

    def __init__(self, figure: Figure, *, title: str) -> None:
        self._figure = figure
        self.title = printable(title)

    @property
    def is_wide(self) -> bool:
        """Whether it needs the width of a page."""
        return self.inches > 6

    @property
    def inches(self) -> float:
        """How wide it is meant to be seen."""
        return float(self._figure.get_figwidth())

    def svg(self) -> str:
        """The figure as a file of its own: light ground, no date, text as text."""
        out = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        with style():
            self._figure.savefig(out, format="svg", metadata=nothing, bbox_inches="tight", pad_inches=0.06)
        text = _GEOMETRY.sub(lambda found: f'{found[1]}="{_NUMBER.sub(_rounded, found[2])}"', out.getvalue())
        return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"

    def inline(self, prefix: str) -> str:
        """The figure as an element of a page: colours from the page's variables, font from the page.

        Args:
            prefix: unique on the page, so that no two figures share an element id.
        """
        text = _DROPPED.sub("", self.svg())
        used = set(_POINTED.findall(text))
        text = _NAMED.sub(lambda found: f' id="{prefix}-{found[1]}"' if found[1] in used else "", text)
        text = _POINTED.sub(lambda found: found[0].replace(f"#{found[1]}", f"#{prefix}-{found[1]}"), text)
        for colour, variable in _THEMED.items():
            text = text.replace(colour, variable)
        text = _FONT.sub(lambda found: "" if found[0].startswith("font-family") else "inherit", text)
        start = text.index("<svg")
        end = text.index(">", start)
        box = re.search(r'viewBox="([^"]*)"', text[start:end])
        opening = (
            f'<svg class="figure" role="img" viewBox="{box[1] if box else "0 0 1 1"}" aria-labelledby="{prefix}-title">'
        )
        body = text[end + 1 :].replace("xlink:href", "href")
        lines = "".join(line.strip() + "\n" for line in body.splitlines() if line.strip())
        return f'{opening}<title id="{prefix}-title">{escape(self.title)}</title>{lines}'

    def png(self) -> bytes:
        """The figure as PNG, at twice the size of a screen pixel."""
        out = io.BytesIO()
        with style():
            self._figure.savefig(
                out, format="png", dpi=160, metadata={"Software": None}, bbox_inches="tight", pad_inches=0.06
            )
        return out.getvalue()


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def printable(text: str) -> str:
    """``text`` without the control characters that XML cannot hold."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
