"""The phase diagrams of a page: picture, boundary in words, columns compared, and the same numbers as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from quadrat.analyze.contrast import Contrast
from quadrat.analyze.declaration import plain
from quadrat.analyze.diagram import Cell, Crossing, PhaseDiagram
from quadrat.report.cells import Words, headline, upwards
from quadrat.report.gallery import Shown, diagram_slugs
from quadrat.report.markup import Markup, join, table, tag
from quadrat.report.measures import plain_estimate
from quadrat.report.numbers import NONE, decimals
from quadrat.report.results import difference

_PIXELS = 118  # to an inch of a figure: a little larger than life, for the small print in the cells


def diagrams(found: Sequence[PhaseDiagram], figures: Sequence[Shown]) -> Markup:
    """Every phase diagram of a study, drawn or not."""
    drawn = {shown.slug: shown for shown in figures}
    return join([_part(diagram, drawn.get(slug)) for slug, diagram in diagram_slugs(found).items()])


def _part(diagram: PhaseDiagram, shown: Shown | None) -> Markup:
    if not diagram.measured:
        note = f"Nothing of it has been measured yet: 0 of {diagram.planned} runs."
        return tag("div", tag("h3", headline(diagram)), tag("p", note, class_="note"), class_="measure")
    grid = _grid(diagram)
    return tag(
        "div",
        tag("h3", headline(diagram)),
        _figure(shown) if shown else None,
        _boundary(diagram),
        _contrasts(diagram),
        tag("details", tag("summary", "The same numbers as a table"), grid) if shown else grid,
        class_="measure",
    )


def _figure(shown: Shown) -> Markup:
    wide = f"max-width: {shown.drawing.inches * _PIXELS:.0f}px"
    return tag("figure", Markup(shown.drawing.inline(shown.slug)), style=wide)


def _boundary(diagram: PhaseDiagram) -> Markup | None:
    """Where the class changes, line by line."""
    if not diagram.declared.classes:
        return None
    crossings = diagram.crossings()
    if not crossings:
        said = "No two neighbouring cells along the axis differ in class."
        return tag("p", said, class_="note")
    held = diagram.declared.y if crossings[0].along == diagram.declared.x else diagram.declared.x
    body = [_crossing(crossing) for crossing in crossings]
    caption = (
        "The boundary between classes. A class is that of the mean; it is not settled where the interval of a mean "
        "holds the threshold, or fewer than three runs are measured."
    )
    return table(caption, body, head=[held, "From", "To", f"Between {crossings[0].along}", "Settled"])


def _crossing(crossing: Crossing) -> tuple[str, ...]:
    between = f"{plain(crossing.before)} and {plain(crossing.after)}"
    return plain(crossing.at), crossing.old, crossing.new, between, "yes" if crossing.settled else "no"


def _contrasts(diagram: PhaseDiagram) -> Markup | None:
    """Every column against the baseline's."""
    if not diagram.contrasts:
        return None
    declared, first = diagram.declared, diagram.contrasts[0]
    places = decimals(value for found in diagram.contrasts for value in found.result.difference.finite)
    body = [
        (plain(found.x), _rows(found), found.result.difference.n, *difference(_as_row(found), places))
        for found in diagram.contrasts
    ]
    caption = (
        f"{declared.x} against {declared.x} = {plain(first.baseline)}, the baseline's, paired by seed: each seed "
        f"counts once, with its mean over the values of {declared.y} at which every run of both is measured. "
        f"p is Holm's over these {first.family}, a family of its own."
    )
    head = [declared.x, declared.y, "n", "Difference", "95 % t interval", "p (Holm)"]
    return table(caption, body, head=head, numeric=(2, 3, 4, 5))


def _rows(found: Contrast) -> str:
    """The rows that a contrast covers."""
    if not found.ys:
        return f"none of {found.rows} complete"
    named = ", ".join(map(plain, found.ys))
    return named if len(found.ys) == found.rows else f"{named} ({len(found.ys)} of {found.rows})"


def _as_row(found: Contrast) -> Mapping[str, object]:
    estimate = plain_estimate(found.result.difference)
    return {**estimate, "difference": estimate["mean"], "p_holm": found.p_holm}


def _grid(diagram: PhaseDiagram) -> Markup:
    """The cells in the order of the picture."""
    declared, words = diagram.declared, Words.of(diagram)
    lines = list(zip(diagram.ys, diagram.rows, strict=True))
    body = [
        (plain(y), *(NONE if cell is None else _cell(cell, words) for cell in row))
        for y, row in (reversed(lines) if upwards(diagram) else lines)
    ]
    asked = "".join(f" {name}: {demand}." for name, demand in declared.classes.items())
    caption = (
        f"{declared.metric}: mean over the measured runs ± half-width of its 95 % t interval (n); below it the least "
        f"and the greatest run{' and the class' if asked else ''}.{asked}"
    )
    corner = join([declared.y, Markup("&nbsp;↓"), tag("br"), declared.x, Markup("&nbsp;→")])
    head = [corner, *map(plain, diagram.xs)]
    return table(caption, body, head=head, numeric=range(1, len(head)))


def _cell(cell: Cell, words: Words) -> Markup:
    """Mean, half-width and n; below them the runs, the class, and what is missing."""
    estimate = cell.estimate
    interval = f" ± {words.number(cell.half)}" if estimate.has_interval else ""
    lines = [f"{words.mean(cell)}{interval} {words.count(cell)}" if estimate.measured else words.basis(cell)]
    small = [*_runs(cell, words), *_class(cell)]
    flags = [tag("small", line, class_="flag") for line in _missing(cell)]
    return join([*lines, *([tag("br"), line] for line in (*(tag("small", line) for line in small), *flags))])


def _runs(cell: Cell, words: Words) -> Iterator[str]:
    low, high = map(words.number, cell.spread)
    if cell.estimate.measured > 1:
        yield str(cell.estimate.method) if low == high else f"{low} to {high}"


def _class(cell: Cell) -> Iterator[str]:
    """The class of the means, and those of the runs where they are not all of one."""
    if cell.phase:
        yield cell.phase.label if cell.phase.settled else f"{cell.phase.label}, not settled"
        if len(cell.phase.runs) > 1:
            yield f"runs: {', '.join(f'{count} {name}' for name, count in cell.phase.runs.items())}"


def _missing(cell: Cell) -> Iterator[str]:
    """Why runs are missing, and which: a line for each reason."""
    for why in dict.fromkeys(missing.why for missing in cell.missing):
        seeds = [str(missing.seed) for missing in cell.missing if missing.why == why]
        yield (
            f"all {why}"
            if len(seeds) == cell.estimate.n > 1
            else f"seed{'s' * (len(seeds) > 1)} {', '.join(seeds)} {why}"
        )
