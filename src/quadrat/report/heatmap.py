"""The picture of a phase diagram: a cell's colour is its mean, and the text in it says how sure that is.

Nothing is told by colour alone: the mean is written in the cell, a class is a letter and a line around its region,
missing runs are a hatched frame. A grid too fine for all of the text keeps the mean and leaves the rest to the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import fill, wrap
from typing import TYPE_CHECKING, Any, Final, final

from quadrat.analyze.declaration import plain
from quadrat.analyze.diagram import Cell, PhaseDiagram, Place
from quadrat.analyze.phase import ENOUGH, outside
from quadrat.report.cells import UNSETTLED, Words, headline, letters, mark, spoken, upwards
from quadrat.report.colour_scale import Scale, draw_bar, ink_on, scale_of
from quadrat.report.drawing import INK, MUTED, PAPER, RULE, Drawing, printable, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SMALLEST: Final = 4.6  # points; a text that would be smaller is left to the table
_OF_A_LETTER: Final = 0.62  # of the size: the font's digits are 0.636 wide, its signs less
_OF_A_TICK: Final = 0.072  # inches a letter at the axes
_OF_A_NOTE: Final = 0.06  # inches a letter below the axes
_FILLED: Final = 0.88  # of a cell's width, at most, by text
_LONGEST_TICK: Final = 24
_HATCH: Final = "//////"
_BROKEN: Final = (0, (1.6, 1.1))


@final
@dataclass(frozen=True, slots=True)
class _Sheet:
    """Sizes in inches, of a cell and of what stands around the grid; sizes of text in points, 0 for none.

    ``turned``: whether the columns' names are too long to stand side by side. ``basis``: the largest size of the line
    below the mean; one that is long for its cell is smaller, or only says n.
    """

    columns: int
    rows: int
    wide: float
    tall: float
    left: float
    below: float
    turned: bool
    mean: float
    basis: float

    @property
    def grid(self) -> tuple[float, float]:
        return self.columns * self.wide, self.rows * self.tall

    @property
    def page(self) -> tuple[float, float]:
        return self.left + self.grid[0] + 0.95, self.below + self.grid[1] + 0.4

    def box(self, *, left: float = 0.0, width: float | None = None) -> tuple[float, float, float, float]:
        """A box as tall as the grid, ``left`` from its left edge, in shares of the page."""
        (wide, tall), (across, up) = self.page, self.grid
        return (self.left + left) / wide, self.below / tall, (across if width is None else width) / wide, up / tall


def draw_heatmap(diagram: PhaseDiagram) -> Drawing:
    """A phase diagram; the first value of a numeric y axis is at the bottom, as on any plot."""
    from matplotlib.figure import Figure

    declared, sheet = diagram.declared, _sheet(diagram)
    scale = scale_of((cell.estimate.mean for _, cell in diagram.cells()), goal=declared.goal)
    with style():
        figure = Figure(figsize=sheet.page)
        ax = figure.add_axes(sheet.box())
        _frame(ax, diagram, sheet=sheet)
        board = _Board(ax, diagram, sheet=sheet, scale=scale)
        for place, cell in diagram.cells():
            board.put(place, cell)
        _boundary(ax, diagram)
        if diagram.measured:
            bar = figure.add_axes(sheet.box(left=sheet.grid[0] + 0.16, width=0.13))
            own = [demand for demand in declared.classes.values() if demand.metric == declared.metric]
            marks = [demand.comparison.threshold for demand in own]
            draw_bar(bar, scale, thresholds=marks, is_short=sheet.grid[1] < 1.2)
        _legend(figure, diagram, sheet=sheet)
    return Drawing(figure, title=spoken(diagram))


def _sheet(diagram: PhaseDiagram) -> _Sheet:
    columns, rows = len(diagram.xs), len(diagram.ys)
    most = max(columns, rows)
    words, cells = Words.of(diagram), [cell for _, cell in diagram.cells() if cell.estimate.measured]
    sure = [cell for cell in cells if cell.estimate.has_interval]
    means = [words.mean(cell) for cell in cells]
    # However fine the grid is, a cell has room for its mean.
    least = 1.05 * _OF_A_LETTER * _SMALLEST / 72 / _FILLED * max(map(len, means), default=1)
    wide = 0.98 if columns <= 8 else (0.74 if columns <= 14 else max(0.36, 10.2 / columns, least))
    small = 7.0 if most <= 8 else 6.2
    longest = max(len(_tick(x)) for x in diagram.xs)
    turned = longest * _OF_A_TICK > wide
    return _Sheet(
        columns=columns,
        rows=rows,
        wide=wide,
        tall=0.62 if most <= 8 else (0.48 if most <= 14 else (0.42 if columns <= 14 else 0.36)),
        left=0.34 + _OF_A_TICK * max(len(_tick(y)) for y in diagram.ys),
        below=0.5 + (0.04 * longest if turned else 0.0),
        turned=turned,
        mean=_fit(means, wide * _FILLED, most=10.0 if most <= 8 else (8.0 if most <= 14 else 7.0)),
        basis=small if _fit([words.basis(cell) for cell in sure or cells], wide * _FILLED, most=small) else 0.0,
    )


def _fit(texts: Sequence[str], width: float, *, most: float) -> float:
    """The size at which the longest text is no wider than ``width`` inches; 0 when nobody could read it."""
    size = min(most, width * 72 / (_OF_A_LETTER * max(map(len, texts), default=1)))
    return size if size >= _SMALLEST else 0.0


def _tick(value: Any) -> str:
    text = printable(plain(value))
    return text if len(text) <= _LONGEST_TICK else f"{text[: _LONGEST_TICK - 1]}…"


def _frame(ax: Axes, diagram: PhaseDiagram, *, sheet: _Sheet) -> None:
    """Axes with every declared value, and the headline."""
    declared = diagram.declared
    ax.set_xlim(0, sheet.columns)
    ax.set_ylim(*((0, sheet.rows) if upwards(diagram) else (sheet.rows, 0)))
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.tick_params(length=0, pad=4)
    turn: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if sheet.turned else {}
    ax.set_xticks([i + 0.5 for i in range(sheet.columns)], list(map(_tick, diagram.xs)), color=INK, **turn)
    ax.set_yticks([j + 0.5 for j in range(sheet.rows)], list(map(_tick, diagram.ys)), color=INK)
    ax.set_xlabel(_tick(declared.x), fontsize=8.5)
    ax.set_ylabel(_tick(declared.y), fontsize=8.5)
    room = max(44, int(sheet.grid[0] / 0.08))
    ax.set_title(fill(printable(headline(diagram)), room, max_lines=3, placeholder=" …"), color=INK, pad=8)


@final
class _Board:
    """Puts cells on the axes: ground, rim, numbers, letter."""

    def __init__(self, ax: Axes, diagram: PhaseDiagram, *, sheet: _Sheet, scale: Scale) -> None:
        self._ax, self._sheet, self._scale = ax, sheet, scale
        self._words = Words.of(diagram)
        self._known = letters(tuple(diagram.declared.classes))
        self._is_upward = upwards(diagram)

    def put(self, place: Place, cell: Cell) -> None:
        """One cell: coloured by its mean, grey where nothing is measured, with a hatched rim where runs are missing."""
        measured = cell.estimate.measured > 0
        ground = self._scale.colour(cell.estimate.mean) if measured else RULE
        ink = ink_on(ground) if measured else INK
        self._field(place, facecolor=ground, edgecolor=PAPER, linewidth=1.2)
        rim = min(0.055, self._sheet.wide / 12) if measured and cell.missing else 0.0
        if rim:
            self._field(place, facecolor="none", edgecolor=ink, linewidth=0, hatch=_HATCH)
            self._field(place, inset=rim, facecolor=ground, linewidth=0)
        letter = mark(cell, self._known)
        self._numbers(place, cell, colour=ink, is_low=bool(letter))
        if letter:
            self._letter(place, letter, colour=ink, inset=max(rim + 0.02, min(0.055, self._sheet.wide / 10)))

    def _field(self, place: Place, *, inset: float = 0.0, **look: Any) -> None:
        from matplotlib.patches import Rectangle

        dx, dy = inset / self._sheet.wide, inset / self._sheet.tall
        self._ax.add_patch(Rectangle((place[0] + dx, place[1] + dy), 1 - 2 * dx, 1 - 2 * dy, **look))

    def _height(self, place: Place, inches: float) -> float:
        """Where ``inches`` below the upper edge of a cell is on the y axis."""
        share = inches / self._sheet.tall
        return place[1] + (1 - share if self._is_upward else share)

    def _numbers(self, place: Place, cell: Cell, *, colour: str, is_low: bool) -> None:
        """The mean and what it rests on, in the middle; a little lower where a letter stands above."""
        sheet = self._sheet
        below, room = self._words.basis(cell), sheet.wide * _FILLED
        if not _fit([below], room, most=sheet.basis):
            below = self._words.count(cell)
        lines = [(self._words.mean(cell), sheet.mean), (below, _fit([below], room, most=sheet.basis))]
        if not cell.estimate.measured:
            lines = [(self._words.basis(cell), max(_SMALLEST, min(7.5, sheet.wide * 14)))]
        shown = [(text, size, size / 72 * 1.25) for text, size in lines if text and size]
        top = (sheet.tall - sum(tall for *_, tall in shown)) / 2 + (0.05 if len(shown) == 1 else 0.02) * is_low
        for text, size, tall in shown:
            y = self._height(place, top + tall / 2)
            self._ax.text(place[0] + 0.5, y, text, size=size, color=colour, ha="center", va="center_baseline")
            top += tall

    def _letter(self, place: Place, text: str, *, colour: str, inset: float) -> None:
        """The class in the upper left corner; the named ones stand out."""
        is_named = not text.startswith(list(self._known.values())[-1])
        self._ax.text(
            place[0] + (inset + 0.015) / self._sheet.wide,
            self._height(place, inset),
            text,
            size=max(5.4, min(7.5, self._sheet.wide * 9)),
            weight="bold" if is_named else "normal",
            color=colour,
            va="top",
        )


def _boundary(ax: Axes, diagram: PhaseDiagram) -> None:
    """A line between classes with a seam of paper on both sides, so that it is seen on every colour."""
    for edge in diagram.boundary():
        (i, j), (right, up) = edge.first, edge.second
        line = ([right, right], [j, j + 1]) if right > i else ([i, i + 1], [up, up])
        ax.plot(*line, color=PAPER, linewidth=4.2, solid_capstyle="projecting", zorder=3, clip_on=False)
        dash: Any = "solid" if edge.settled else _BROKEN
        ax.plot(*line, color=INK, linewidth=2.0, linestyle=dash, solid_capstyle="projecting", zorder=4, clip_on=False)


def _legend(figure: Figure, diagram: PhaseDiagram, *, sheet: _Sheet) -> None:
    """How to read a cell, and what the signs mean, as far as they occur."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    cells = [cell for _, cell in diagram.cells()]
    settled = {edge.settled for edge in diagram.boundary()}
    some = any(cell.missing and cell.estimate.measured for cell in cells)
    none = any(not cell.estimate.measured for cell in cells)
    found: list[tuple[Any, str, bool]] = [
        (Patch(facecolor=PAPER, edgecolor=INK, hatch=_HATCH, linewidth=0.8), "some runs not measured", some),
        (Patch(facecolor=RULE, edgecolor=MUTED, linewidth=0.8), "nothing measured", none),
        (Line2D([], [], color=INK, linewidth=2.0), "between classes", True in settled),
        (Line2D([], [], color=INK, linewidth=2.0, linestyle=_BROKEN), "between classes, not settled", False in settled),
    ]
    shown = [(handle, text) for handle, text, there in found if there]
    notes = [line for note in _notes(diagram, sheet) for line in note]
    left = sheet.left / sheet.page[0]
    figure.text(left, 0.0, "\n".join(notes), fontsize=7.5, color=MUTED, va="top", linespacing=1.5)
    if shown:
        figure.legend(
            [handle for handle, _ in shown],
            [f" {text}" for _, text in shown],
            loc="upper left",
            bbox_to_anchor=(left, -(0.16 * len(notes) + 0.08) / sheet.page[1]),
            ncols=2 if sheet.grid[0] > 3.5 else 1,
            borderpad=0,
            borderaxespad=0,
            fontsize=7.5,
            labelcolor=MUTED,
        )


def _notes(diagram: PhaseDiagram, sheet: _Sheet) -> Iterator[list[str]]:
    """What stands in a cell, then what the letters stand for: lines that are no wider than the page."""
    declared, names = diagram.declared, tuple(diagram.declared.classes)
    room = max(70, int((sheet.page[0] - sheet.left) / _OF_A_NOTE))
    rest = " ± half-width of its 95 % t interval (n runs)" if sheet.basis else "; half-widths and n are in the table"
    part = f"; {diagram.measured} of {diagram.planned} runs measured" if diagram.measured < diagram.planned else ""
    low = "; lower is better" if declared.goal == "min" else ""
    yield wrap(printable(f"mean of {declared.metric}{rest}{part}{low}"), room, max_lines=2, placeholder=" …")
    if names:
        known = letters(names)
        signs = [f"{known[name]} {name}: {demand}" for name, demand in declared.classes.items()]
        signs.append(f"{known[outside(names)]} {outside(names)}")
        if any(cell.phase and not cell.phase.settled for _, cell in diagram.cells()):
            signs.append(f"{UNSETTLED} threshold inside the interval, or fewer than {ENOUGH} runs")
        yield _packed([printable(sign) for sign in signs], room)


def _packed(parts: Sequence[str], room: int) -> list[str]:
    """Parts side by side, as many to a line as there is room for."""
    lines: list[str] = []
    for part in parts:
        text = part if len(part) <= room else f"{part[: room - 1]}…"
        together = f"{lines[-1]}  ·  {text}" if lines else text
        lines = [*lines[:-1], together] if len(together) <= room else [*lines, text]
    return lines
