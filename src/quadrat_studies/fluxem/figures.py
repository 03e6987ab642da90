"""Pictures of what was measured: ladders, how many problems an arm needs, and wrong answers, as SVG.

    python -m quadrat_studies.fluxem.figures results/fluxem_arms_small
    python -m quadrat_studies.fluxem.figures results/fluxem_sample_efficiency --into pictures

A run leaves its own; this draws the runs of a study beside each other. Plain text, no drawing library: files that any
browser opens, with the same bytes for the same tables. Means that colour or height shows are printed as well.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from itertools import accumulate, groupby, pairwise
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quadrat import UsageError
from quadrat_studies.fluxem.gallery import EXAMPLES
from quadrat_studies.fluxem.significance import read_ladder, read_tables, t_half_width

Tables = Mapping[str, Sequence[Sequence[Mapping[str, Any]]]]
"""By arm: the rows of one table for each seed."""
Scores = NDArray[np.float64]

WIDTH, GAP, ROW = 900, 14, 20
DARK = (8, 48, 107)
"""The colour of exact match 1; 0 is white, and what is between is mixed."""
LEVELS = (0.9, 0.99)
STYLES = (
    ("#0072b2", "none", "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z"),
    ("#d55e00", "7 4", "M-4.5-4.5h9v9h-9z"),
    ("#009e73", "2 3", "M0-6l5.5 9.5h-11z"),
    ("#8a4f7d", "10 3 2 3", "M0-6.5l5.5 6.5-5.5 6.5-5.5-6.5z"),
    ("#56606e", "4 2", "M-5.5-3.5h11l-5.5 9.5z"),
)
"""Colour, dash and mark of an arm; told apart without colour too. A sixth arm begins again with open marks."""
COLUMNS = (28, 116, 330, 640, 770)
"""Where the columns of wrong answers begin."""

_STYLE = (
    "text{font:11px sans-serif;fill:#16181d}.h{font-size:14px;font-weight:bold}.b{font-weight:bold}"
    ".s{font-size:10px;fill:#4a515e}.n{font-size:10px}.m{text-anchor:middle}.e{text-anchor:end}.w{fill:#fff}"
    ".k{font-family:monospace}.c{stroke:#c4c8d0;stroke-width:.5}"
    ".o,.p{fill:none;stroke:#16181d;stroke-width:3;stroke-linecap:square}.g{fill:none;stroke:#c4c8d0}"
    ".l{fill:none;stroke:#4a515e;stroke-dasharray:1 3}.t{fill:none;stroke:#7d8594;stroke-width:.8}.d{fill:#4a515e}"
    ".a{fill:none;stroke:#08306b;stroke-width:2.5}.r{fill:#e4e7ec}.q{fill:#3d6499}.j{fill:none;stroke-width:1.8}"
    ".i{fill:none;stroke-width:1.4}.seed{fill:none;stroke-width:2}.p{stroke:#fff;stroke-width:6}"
)
_MEANS = " Thin lines and dots: seeds. Thick line and numbers above: mean."


class _Block(NamedTuple):
    """Part of a picture: how high it is, and its SVG."""

    height: float
    body: str


class _Cell(NamedTuple):
    """One rung of a ladder: could training have shown it, and the exact match of each seed."""

    trained: bool
    scores: dict[int, float]


_NOTHING = _Block(24, f'<text x="{GAP}" y="14">Nothing was measured.</text>')


def draw_magnitude(tables: Tables, *, title: str) -> str:
    """Exact match on operands of i and j digits (``tables/magnitude.jsonl``): a map for each arm and operation, the
    mean over seeds in every cell, what training could have shown inside a thick outline."""
    return _sheet(title, [_maps(tables)])


def draw_ladder(tables: Tables, *, rung: str, title: str) -> str:
    """Exact match against the column ``rung`` (``operands`` or ``carries``) of the table of that name: a panel for each
    arm and operation, a thin line with dots for each seed, the mean thick and printed, trained rungs outlined."""
    return _sheet(title, [_curves(tables, rung)])


def draw_ladders(ladders: Mapping[str, Tables], *, title: str) -> str:
    """Several ladders in one picture, by the names of their tables."""
    return _sheet(title, [_maps(t) if name == "magnitude" else _curves(t, name) for name, t in ladders.items()])


def draw_samples(ladders: Mapping[str, tuple[Sequence[int], Scores]], *, title: str) -> str:
    """Exact match against the number of training problems, on a logarithmic axis with lines at ``LEVELS``: seeds, means
    and 95 % t intervals. ``ladders`` are sizes and scores ``[seeds, sizes]`` by arm (``significance.read_ladder``)."""
    sizes = sorted({size for measured, _ in ladders.values() for size in measured})
    if not sizes:
        return _sheet(title, [_NOTHING])
    left, right, top, bottom = 190, WIDTH - 70, 40, 400
    reach = math.log(sizes[-1] / sizes[0]) or 1.0
    across = {size: left + 45 + (right - left - 90) * math.log(size / sizes[0]) / reach for size in sizes}
    up = lambda score: bottom - (bottom - top) * (min(1.04, max(-0.04, score)) + 0.04) / 1.08  # noqa: E731
    ticks = "".join(f"M{_n(x)} {bottom}v5" for x in across.values())
    parts = [
        _text(
            GAP,
            16,
            "Exact match on unseen problems (upwards) by number of training problems. Arms stand side by side.",
            "s",
        ),
        _text(GAP, 29, "Line and large marks: mean. Small marks: seeds. Bars: 95 % t interval, cut at the frame.", "s"),
        f'<path class="g" d="M{left} {top}H{right}V{bottom}H{left}z{ticks}"/>',
    ]
    parts += [_text(left - 6, up(i / 4) + 4, _score(i / 4), "s e") for i in range(5)]
    parts += [f'<path class="l" d="M{left} {_n(up(level))}H{right}"/>' for level in LEVELS]
    parts += [_text(right + 6, up(level) + 4, _score(level), "s") for level in LEVELS]
    parts += [_text(x, bottom + 18, f"{size:,}", "m") for size, x in across.items()]
    room = min((b - a for a, b in pairwise(across.values())), default=WIDTH)
    apart = min(18.0, 0.7 * room / len(ladders))
    for number, (label, (measured, scores)) in enumerate(ladders.items()):
        shift = (number - (len(ladders) - 1) / 2) * apart
        columns = [(across[size], np.asarray(scores, float)[:, place]) for place, size in enumerate(measured)]
        drawn = _arm([(x + shift, column) for x, column in columns], number, apart / 3, up)
        parts.append(f'<g stroke="{STYLES[number % len(STYLES)][0]}">{"".join(drawn)}</g>')
        parts.append(_at(0, bottom + 46 + 34 * number, "".join(_printed(label, number, columns, room))))
    return _sheet(title, [_Block(bottom + 42 + 34 * len(ladders), "".join(parts))])


def draw_errors(tables: Mapping[str, Sequence[Mapping[str, Any]]], *, title: str, examples: int = EXAMPLES) -> str:
    """Wrong answers by kind, from each arm's rows of ``tables/errors.jsonl`` (``gallery.error_gallery``): how many of
    them, with a bar, and up to ``examples`` problems with the right and the given answer."""
    heads = ("kind", "share and number of the split's problems", "problem", "right", "given")
    blocks = [_Block(24, "".join(_text(x, 16, words, "s") for x, words in zip(COLUMNS, heads, strict=True)))]
    for label, rows in tables.items():
        blocks.append(_Block(18, _text(GAP, 14, label, "b", most=90)))
        for split, members in groupby(rows, lambda row: row["split"]):
            kinds = [list(found) for _, found in groupby(members, lambda row: row["kind"])]
            wrong = sum(kind[0]["of_this_kind"] for kind in kinds)
            blocks.append(_Block(19, _text(GAP, 14, f"{split}: {wrong} of {kinds[0][0]['items']} wrong", most=90)))
            blocks += [_kind(kind[: max(1, examples)]) for kind in kinds]
            blocks.append(_Block(8, ""))
        if not rows:
            blocks.append(_Block(24, _text(GAP, 14, "No wrong answer.")))
        blocks.append(_Block(14, ""))
    return _sheet(title, blocks if tables else [_NOTHING])


def _cells(tables: Tables, *columns: str) -> dict[str, dict[tuple[int, ...], _Cell]]:
    """By arm and operation: every cell, in order, with all seeds that have it."""
    found: dict[str, dict[tuple[int, ...], _Cell]] = {}
    for label, runs in tables.items():
        for seed, rows in enumerate(runs):
            for row in rows:
                heading = f"{label}: {row['operation']}" if "operation" in row else label
                place = tuple(int(row[name]) for name in columns)
                cell = found.setdefault(heading, {}).setdefault(place, _Cell(bool(row["trained"]), {}))
                cell.scores[seed] = float(row["exact_match"])
    return {heading: dict(sorted(cells.items())) for heading, cells in found.items()}


def _maps(tables: Tables) -> _Block:
    found = _cells(tables, "digits_left", "digits_right")
    if not found:
        return _NOTHING
    most = max(max(place) for cells in found.values() for place in cells)
    operations = {heading.rpartition(": ")[2] for heading in found}
    beside = min(4, max(2, len(operations))) if most <= 10 else 2
    side = min(38.0, ((WIDTH - 2 * GAP) / beside - 40) / most)
    counts = sorted({len(runs) for runs in tables.values()})
    seeds = f", mean over {' to '.join(map(str, sorted({counts[0], counts[-1]})))} seeds" if counts[-1] > 1 else ""
    words = f"Exact match{seeds}. Down: digits of the first operand; across: of the second."
    key = "".join(_tile(38 * i, 0, side=38, score=i / 4) for i in range(5))
    head = _Block(56, _said(words, found).body + _at(WIDTH - 230, 10, key))
    panels = [_map(heading, cells, side=side, most=most) for heading, cells in found.items()]
    return _page([head, *_spread(panels, beside)])


def _map(heading: str, cells: Mapping[tuple[int, ...], _Cell], *, side: float, most: int) -> _Block:
    parts = [
        _tile((right - 1) * side, (left - 1) * ROW, side=side, score=fmean(cell.scores.values()))
        for (left, right), cell in cells.items()
    ]
    parts += [_text((digits - 0.5) * side, -5, str(digits), "s m") for digits in range(1, most + 1)]
    parts += [_text(-6, ROW * digits - 6, str(digits), "s e") for digits in range(1, most + 1)]
    parts.append(_outline({(left, right) for (left, right), cell in cells.items() if cell.trained}, side, ROW))
    return _Block(50 + ROW * most, _text(24, 12, heading, most=44) + _at(24, 32, "".join(parts)))


def _tile(x: float, y: float, *, side: float, score: float) -> str:
    red, green, blue = (round(255 + (full - 255) * score) for full in DARK)
    size = f'x="{_n(x)}" y="{_n(y)}" width="{_n(side)}" height="{ROW}"'
    words = _text(x + side / 2, y + 14, _score(score), "n m w" if score > 0.62 else "n m")
    return f'<rect class="c" {size} fill="#{red:02x}{green:02x}{blue:02x}"/>{words}'


def _outline(places: set[tuple[int, int]], wide: float, high: float) -> str:
    """The border of a set of cells, rows and columns from 1. White below black: seen on dark cells as well."""
    lines: list[str] = []
    for row, column in sorted(places):
        x, y, x_end, y_end = (_n(v) for v in ((column - 1) * wide, (row - 1) * high, column * wide, row * high))
        lines += [f"M{x} {y}H{x_end}"] * ((row - 1, column) not in places)
        lines += [f"M{x} {y_end}H{x_end}"] * ((row + 1, column) not in places)
        lines += [f"M{x} {y}V{y_end}"] * ((row, column - 1) not in places)
        lines += [f"M{x_end} {y}V{y_end}"] * ((row, column + 1) not in places)
    return "".join(f'<path class="{look}" d="{"".join(lines)}"/>' for look in ("p", "o")) if lines else ""


def _curves(tables: Tables, rung: str) -> _Block:
    found = _cells(tables, rung)
    if not found:
        return _NOTHING
    beside = 4 if max(map(len, found.values())) <= 6 else 2
    digits = sorted({row["digits"] for runs in tables.values() for rows in runs for row in rows if "digits" in row})
    which = f", operands of {' and '.join(map(str, digits))} digits" if digits else ""
    words = f"Exact match by number of {rung}{which}." + _MEANS * (max(map(len, tables.values())) > 1)
    panels = [_curve(heading, cells, wide=(WIDTH - 2 * GAP) / beside) for heading, cells in found.items()]
    return _page([_said(words, found), *_spread(panels, beside)])


def _curve(heading: str, cells: Mapping[tuple[int, ...], _Cell], *, wide: float) -> _Block:
    tall, step = 84, (wide - 44) / len(cells)
    at = {place: step * (number + 0.5) for number, place in enumerate(cells)}
    up = lambda score: 6 + (tall - 12) * (1 - score)  # noqa: E731
    means = {place: fmean(cell.scores.values()) for place, cell in cells.items()}
    seeds = sorted({seed for cell in cells.values() for seed in cell.scores})
    # Seeds stand a little apart: they often agree.
    shifts = [(place - (len(seeds) - 1) / 2) * min(3.5, 0.6 * step / len(seeds)) for place in range(len(seeds))]
    points = [
        [(at[place] + shift, up(cell.scores[seed])) for place, cell in cells.items() if seed in cell.scores]
        for seed, shift in zip(seeds, shifts, strict=True)
    ]
    parts = [f'<path class="g" d="M0 {_n(up(score))}H{_n(step * len(at))}"/>' for score in (0, 0.5, 1)]
    parts.append(_outline({(1, i + 1) for i, place in enumerate(at) if cells[place].trained}, step, tall))
    parts += [_text(-5, up(score) + 4, _score(score), "s e") for score in (0, 0.5, 1)]
    parts += [_line(line, "t") for line in points]
    parts.append(_line([(x, up(means[place])) for place, x in at.items()], "a"))
    parts += [f'<circle class="d" cx="{_n(x)}" cy="{_n(y)}" r="1.8"/>' for line in points for x, y in line]
    parts += [_text(x, -6, _score(means[place]), "n m") for place, x in at.items()]
    parts += [_text(x, tall + 13, str(place[0]), "s m") for place, x in at.items()]
    return _Block(tall + 62, _text(24, 12, heading, most=34) + _at(24, 34, "".join(parts)))


def _said(words: str, found: Mapping[str, Mapping[tuple[int, ...], _Cell]]) -> _Block:
    """What the panels below have in common, and the key to their outlines."""
    parts = [_text(GAP, 12, words, "s")]
    if any(cell.trained for cells in found.values() for cell in cells.values()):
        parts.append(_at(GAP + 2, 20, _outline({(1, 1)}, 26, ROW - 6)))
        parts.append(_text(GAP + 36, 31, "Training could have shown what is inside a thick outline.", "s"))
    else:
        parts.append(_text(GAP, 31, "Training could have shown none of these problems.", "s"))
    return _Block(46, "".join(parts))


def _arm(
    points: Sequence[tuple[float, Scores]], number: int, aside: float, up: Callable[[float], float]
) -> Iterator[str]:
    """Line, bars and marks of an arm, from the scores of its seeds at each place."""
    yield _line([(x, up(float(scores.mean()))) for x, scores in points], "j", dash=STYLES[number % len(STYLES)][1])
    for x, scores in points:
        mean, half = float(scores.mean()), t_half_width(scores)
        if math.isfinite(half):
            yield f'<path class="i" d="M{_n(x - 4)} {_n(up(mean - half))}h8m-4 0V{_n(up(mean + half))}m-4 0h8"/>'
        for seed, score in enumerate(scores):
            yield _mark(number, x + (aside if seed % 2 else -aside), up(float(score)), is_seed=True)
        yield _mark(number, x, up(mean))


def _mark(number: int, x: float, y: float, *, is_seed: bool = False) -> str:
    colour, _, shape = STYLES[number % len(STYLES)]
    look = 'class="seed"' if is_seed else f'class="mean" fill="{colour if number < len(STYLES) else "#fff"}"'
    scale = " scale(.5)" if is_seed else ""
    return f'<path {look} d="{shape}" transform="translate({_n(x)} {_n(y)}){scale}"/>'


def _printed(label: str, number: int, columns: Sequence[tuple[float, Scores]], room: float) -> Iterator[str]:
    """An arm's line below the axis, which is its key as well: means, and intervals where there is room."""
    colour, dash, _ = STYLES[number % len(STYLES)]
    key = _line([(GAP, 0), (GAP + 40, 0)], "j", dash=dash) + _mark(number, GAP + 20, 0)
    yield f'<g stroke="{colour}">{key}</g>' + _text(GAP + 48, 0, label, most=20)
    yield _text(GAP + 48, 13, f"seeds: {max(len(scores) for _, scores in columns)}", "s")
    for x, scores in columns:
        mean, half = float(scores.mean()), t_half_width(scores)
        yield _text(x, 0, f"{mean:.3f}", "m")
        if math.isfinite(half) and room >= 76:
            yield _text(x, 13, f"[{mean - half:.3f}, {mean + half:.3f}]", "s m")


def _kind(rows: Sequence[Mapping[str, Any]]) -> _Block:
    name, bar, *places = COLUMNS
    many, items, full = rows[0]["of_this_kind"], rows[0]["items"], 110
    parts = [_text(name, 12, rows[0]["kind"], "s", most=16), _text(bar + full + 6, 12, f"{many} of {items}", "s")]
    for look, wide in (("r", full), ("q", full * many / items)):
        parts.append(f'<rect class="{look}" x="{bar}" y="3" width="{_n(wide)}" height="10"/>')
    for number, row in enumerate(rows):
        for x, field, most in zip(places, ("text", "target", "prediction"), (50, 20, 19), strict=True):
            parts.append(_text(x, 12 + 16 * number, row[field] or "(nothing)", "s k", most=most))
    return _Block(16 * len(rows), "".join(parts))


def _sheet(title: str, blocks: Sequence[_Block]) -> str:
    whole = _page(blocks)
    high = math.ceil(48 + whole.height)
    size, box = f'width="{WIDTH}" height="{high}"', f'viewBox="0 0 {WIDTH} {high}"'
    head = f'<rect {size} fill="#fff"/>{_text(GAP, 22, title, "h", most=100)}'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} {size} role="img"><title>{_words(title)}</title>'
        f"<style>{_STYLE}</style>{head}{_at(0, 34, whole.body)}</svg>\n"
    )


def _page(blocks: Sequence[_Block]) -> _Block:
    """One under the other."""
    tops = [*accumulate((block.height for block in blocks), initial=0.0)]
    return _Block(tops[-1], "".join(_at(0, top, block.body) for top, block in zip(tops, blocks, strict=False)))


def _spread(panels: Sequence[_Block], beside: int) -> Iterator[_Block]:
    """Rows of panels."""
    wide = (WIDTH - 2 * GAP) / beside
    for start in range(0, len(panels), beside):
        row = panels[start : start + beside]
        body = "".join(_at(GAP + wide * place, 0, panel.body) for place, panel in enumerate(row))
        yield _Block(max(panel.height for panel in row), body)


def _at(x: float, y: float, body: str) -> str:
    return f'<g transform="translate({_n(x)} {_n(y)})">{body}</g>'


def _line(points: Sequence[tuple[float, float]], look: str, *, dash: str = "none") -> str:
    places = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
    dashes = "" if dash == "none" else f' stroke-dasharray="{dash}"'
    return f'<polyline class="{look}"{dashes} points="{places}"/>'


def _text(x: float, y: float, words: str, look: str = "", *, most: int | None = None) -> str:
    attribute = f' class="{look}"' if look else ""
    return f'<text{attribute} x="{_n(x)}" y="{_n(y)}">{_words(words, most)}</text>'


def _words(text: str, most: int | None = None) -> str:
    """Escaped, and cut to ``most`` characters; what cannot be printed shows as a box."""
    shown = "".join(character if character.isprintable() else "\u25a1" for character in text)
    return escape(shown if most is None or len(shown) <= most else f"{shown[: most - 1]}\u2026")


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _score(value: float) -> str:
    """Two digits; 0 and 1 only where it is so."""
    rounded = f"{value:.2f}"
    return str(int(value)) if value in (0, 1) else {"0.00": "<.01", "1.00": ">.99"}.get(rounded, rounded[1:])


def draw_study(results: Path, *, split: str) -> dict[str, str]:
    """Every picture that a study's results hold something for, by file name; a UsageError where there is none."""
    name, drawn = results.resolve().name, dict[str, str]()
    for ladder, rungs in (("magnitude", "digits"), ("operands", "operands"), ("carries", "carries")):
        if found := {arm: list(seeds.values()) for arm, seeds in read_tables(results, ladder).items()}:
            drawn[f"{ladder}.svg"] = draw_ladders({ladder: found}, title=f"{name}: exact match by {rungs}")
    if errors := read_tables(results, "errors"):
        first = {f"{arm}, seed {min(seeds)}": seeds[min(seeds)] for arm, seeds in errors.items()}
        drawn["errors.svg"] = draw_errors(first, title=f"{name}: wrong answers by kind", examples=1)
    if ladders := read_ladder(results, f"{split}/exact_match"):
        drawn["samples.svg"] = draw_samples(ladders, title=f"{name}: exact match by training problems, {split}")
    if not drawn:
        raise UsageError(
            f"{results} holds no run with a table of a ladder or of errors.",
            remedy="name the results folder of a study whose runs have ended, such as results/fluxem_arms_small.",
        )
    return drawn


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw a study's finished runs and print where: 0, or 2 where there is nothing to draw."""
    import argparse

    parser = argparse.ArgumentParser(description="Pictures of the finished runs of a study.")
    parser.add_argument("results", type=Path)
    parser.add_argument("--into", type=Path, help="folder for the pictures (default: figures, in the results)")
    parser.add_argument("--split", default="test_id", help="of a sample-efficiency ladder")
    told = parser.parse_args(arguments)
    try:
        drawn = draw_study(told.results, split=told.split)
    except (UsageError, ValueError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return UsageError.exit_code
    into = told.into or told.results / "figures"
    into.mkdir(parents=True, exist_ok=True)
    for name, text in drawn.items():
        (into / name).write_text(text, encoding="utf-8", newline="\n")
        print(into / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
