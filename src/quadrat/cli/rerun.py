"""``quadrat rerun``: make a run again and say how alike the two are."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from quadrat.cli.targets import print_json, root_of, run_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quadrat.analyze.rerun import Comparison, Effects

MOST_LINES = 8


@click.command("rerun")
@click.argument("run")
@click.option("--here", is_flag=True, help="With the code at hand instead of the recorded commit.")
@click.option("--rtol", type=click.FloatRange(min=0), default=1e-6, help="Relative tolerance, 1e-6 when not given.")
@click.option("--atol", type=click.FloatRange(min=0), default=1e-9, help="Absolute tolerance, 1e-9 when not given.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_context
def command(ctx: click.Context, *, run: str, here: bool, rtol: float, atol: float, as_json: bool) -> int:
    """Make RUN again, beside it, and compare: identical bytes, within tolerance, statistically consistent, differs.

    The code is that of the recorded commit with the saved diff, in a clean checkout; outside a git repository it is the
    code at hand, and that is said. The original is never touched. Ends with 1 when the two differ.
    """
    from quadrat.analyze.rerun import Level, Tolerance
    from quadrat.conduct.rerun import Wish, rerun
    from quadrat.journal.atomic import read_json

    root = root_of(ctx)
    wish = Wish(
        here=here,
        tolerance=Tolerance(relative=rtol, absolute=atol),
        argv=("quadrat", *sys.argv[1:]),
        say=lambda line: click.echo(line, err=True),
    )
    try:
        made = rerun(run_of(root, run), root=root, wish=wish)
    except KeyboardInterrupt as stopped:
        click.echo("interrupted; nothing of the re-run is left.", err=True)
        return 128 + (stopped.args[0] if stopped.args else 2)
    found = made.comparison
    if as_json:
        print_json(
            "rerun", {key: value for key, value in read_json(made.folder / "rerun.json").items() if key != "schema"}
        )
    else:
        for line in _lines(found):
            click.echo(line)
    click.echo(f"all of it in {made.folder.relative_to(root).as_posix()}", err=True)
    _fill(ctx, made.run.path.relative_to(root).parts[1])
    return 1 if found.level is Level.DIFFERS else 0


def _lines(found: Comparison) -> Iterator[str]:
    """Causes first, then effects, then the verdict."""
    yield "causes"
    for name, items in found.causes.items():
        if not items:
            yield f"  {name:<12}as recorded"
        for item in items[:MOST_LINES]:
            yield f"  {name:<12}{item.key}: {item.a} then, {item.b} now"
        if len(items) > MOST_LINES:
            yield f"  {name:<12}and {len(items) - MOST_LINES} more"
    yield "effects"
    yield from _effects(found.effects)
    yield f"verdict: {found.conclusion}"
    if found.level != found.expected:
        yield f"         {found.expected} was to be expected"


def _effects(effects: Effects) -> Iterator[str]:
    same = ", the same bytes" if effects.same_bytes else ""
    yield f"  {'rows':<12}{effects.rows[0]} then, {effects.rows[1]} now{same}"
    if effects.first:
        yield f"  {'first':<12}{effects.first.words()}"
    if effects.beyond and effects.beyond != effects.first:
        yield f"  {'beyond':<12}{effects.beyond.words()}"
    for name, (then, now) in list(effects.finals.items())[:MOST_LINES]:
        yield f"  {'final':<12}{name}: {then} then, {now} now"
    for item in effects.outcome:
        yield f"  {'outcome':<12}{item.key}: {item.a} then, {item.b} now"
    unlike = f", {len(effects.files)} other: {', '.join(effects.files[:MOST_LINES])}" if effects.files else ""
    yield f"  {'files':<12}{effects.same_files} with the same bytes{unlike}"
    if effects.clocks:
        yield f"  {'left out':<12}clocks: {', '.join(effects.clocks)}"


def _fill(ctx: click.Context, study: str) -> None:
    """Write the verdict into the study's record, when there is one."""
    from quadrat.journal.audit import evidence_of
    from quadrat.report.record import write_record

    root = root_of(ctx)
    if any(kept.with_name(f"{kept.name}.md").is_file() for kept in evidence_of(root, study)):
        written = write_record(root, study)
        for line in written.conflicts:
            click.echo(f"{written.path.name}:{line}", err=True)
        click.echo(f"filled in: {written.path.relative_to(root).as_posix()}", err=True)
