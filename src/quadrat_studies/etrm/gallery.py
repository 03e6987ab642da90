"""Grids to look at: each question's input, target and prediction side by side, wrong cells hatched, as one SVG.

Plain text, no drawing library: a file that any browser opens, with the same bytes for the same answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

COLOURS = (
    *("#000000", "#0074d9", "#ff4136", "#2ecc40", "#ffdc00"),
    *("#aaaaaa", "#f012be", "#ff851b", "#7fdbff", "#870c25"),
)
"""As ARC's own pages show the ten colours."""
CELL, GAP, HEAD, FOOT = 12, 18, 30, 16
PANELS = ("input", "target", "prediction")

_STYLE = (
    "text{font:11px sans-serif;fill:#16181d}.s{fill:#5b6270;font-size:9px}.e{fill:#fff;stroke:#d9dce1;stroke-width:.5}"
    ".g{fill:none;stroke:#555;stroke-width:.5}.w{fill:url(#wrong)}.h{font-weight:bold}"
)
_HATCH = (
    '<pattern id="wrong" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="5" height="5" fill="#fff" fill-opacity=".45"/><path d="M0 0V5" stroke="#16181d" stroke-width="3"/>'
    "</pattern>"
)


def wrong_cells(target: Sequence[Sequence[int]], prediction: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Row and column of every cell in which two grids differ, cells that only one of them has among them.

    A grid without cells is a target that is not known: then nothing is wrong.
    """
    if not target:
        return []
    return [
        (row, column)
        for row in range(max(len(target), len(prediction)))
        for column in range(max(_width(target), _width(prediction)))
        if _at(target, row, column) != _at(prediction, row, column)
    ]


def draw_gallery(rows: Sequence[Mapping[str, Any]], *, title: str) -> str:
    """The SVG of rows of a prediction table (``measuring.prediction_rows``), one under the other.

    Args:
        rows: with ``version``, ``query``, ``correct``, ``steps``, ``confidence`` and the grids of ``PANELS``, cells 0
            to 9, anything else for a cell without a colour.
        title: what is shown; the heading, and what a screen reader says first.
    """
    places = [max(1, *(_width(row[name]) for row in rows for name in PANELS)) * CELL if rows else CELL for _ in PANELS]
    lefts = [GAP + number * (place + GAP) for number, place in enumerate(places)]
    parts, top = [f'<text x="{GAP}" y="20" class="h">{escape(title)}</text>'], HEAD
    for row in rows:
        parts.append(f'<g transform="translate(0 {top})">{"".join(_question(row, lefts))}</g>')
        top += HEAD + CELL * max(1, *(len(row[name]) for name in PANELS)) + FOOT
    width = max(lefts[-1] + places[-1] + GAP, 360)
    solved = sum(bool(row["correct"]) for row in rows)
    size = f'viewBox="0 0 {width} {top}" width="{width}" height="{top}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
        f"<title>{escape(title)}: {solved} of {len(rows)} right</title><style>{_STYLE}</style><defs>{_HATCH}</defs>"
        f'<rect width="{width}" height="{top}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _question(row: Mapping[str, Any], lefts: Sequence[int]) -> Iterator[str]:
    wrong = wrong_cells(row["target"], row["prediction"])
    told = "right" if row["correct"] else f"{len(wrong)} cells wrong" if row["target"] else "no target"
    steps = f"{row['steps']} steps, confidence {row['confidence']:.2f}"
    yield f'<text x="{GAP}" y="10">{escape(row["version"])}, query {row["query"]}: {told}, {steps}</text>'
    for name, left in zip(PANELS, lefts, strict=True):
        yield f'<text class="s" x="{left}" y="{HEAD - 6}">{name}</text>'
        marks = wrong if name == "prediction" else ()
        yield f'<g transform="translate({left} {HEAD})">{"".join(_grid(row[name], name, marks))}</g>'


def _grid(grid: Sequence[Sequence[int]], name: str, marks: Sequence[tuple[int, int]]) -> Iterator[str]:
    """Runs of one colour as one rectangle; then the lines between cells, then what is wrong."""
    yield f"<title>{name}: {escape(_spoken(grid))}</title>"
    for number, line in enumerate(grid):
        column = 0
        for colour, run in groupby(line):
            length = len(list(run))
            fill = f'fill="{COLOURS[colour]}"' if 0 <= colour < len(COLOURS) else 'class="e"'
            yield f'<rect x="{column * CELL}" y="{number * CELL}" width="{length * CELL}" height="{CELL}" {fill}/>'
            column += length
    high, wide = len(grid) * CELL, _width(grid) * CELL
    across = "".join(f"M0 {y}H{wide}" for y in range(0, high + 1, CELL)) if wide else ""
    down = "".join(f"M{x} 0V{high}" for x in range(0, wide + 1, CELL)) if high else ""
    yield f'<path class="g" d="{across}{down}"/>'
    for row, column in marks:
        yield f'<rect class="w" x="{column * CELL}" y="{row * CELL}" width="{CELL}" height="{CELL}"/>'


def _spoken(grid: Sequence[Sequence[int]]) -> str:
    return " / ".join("".join(str(cell) if 0 <= cell < len(COLOURS) else "." for cell in line) for line in grid)


def _width(grid: Sequence[Sequence[int]]) -> int:
    return max((len(line) for line in grid), default=0)


def _at(grid: Sequence[Sequence[int]], row: int, column: int) -> int | None:
    return grid[row][column] if row < len(grid) and column < len(grid[row]) else None
