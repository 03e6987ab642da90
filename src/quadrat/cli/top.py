"""``quadrat top``: a running study, live in the terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from quadrat.cli.targets import print_json, root_of, study_of

if TYPE_CHECKING:
    from quadrat.analyze.live import LiveStudy, Picture
    from quadrat.analyze.run_watch import Working
    from quadrat.journal.layout import StudyFolder

EVERY_SECONDS: Final = 1.0
REST_FOR_WORK: Final = 10.0
"""Looking may take a tenth of one core at most: a study so large that a look takes a second is looked at less often."""


@click.command("top")
@click.argument("study", required=False)
@click.option("--once", is_flag=True, help="Print one plain picture and exit; so it is when not on a terminal.")
@click.option("--json", "as_json", is_flag=True, help="One picture as a JSON document on standard output.")
@click.pass_context
def command(ctx: click.Context, study: str | None, once: bool, as_json: bool) -> None:
    """Watch STUDY (default: the one that is running) until it ends; q leaves and never touches it.

    Works from the journal alone, so the study may run in another terminal or on another machine.
    """
    from quadrat.analyze.live import LiveStudy
    from quadrat.cli.screen import is_terminal

    live = LiveStudy(_study_meant(root_of(ctx), study))
    picture = live.picture()
    if as_json:
        print_json("top", _document(picture))
        return
    watched = not once and picture.at_work and is_terminal()
    last = _watch(live, picture) if watched else picture
    if last is not None:
        _print(last)


def _watch(live: LiveStudy, picture: Picture) -> Picture | None:
    """Show the study until it ends; its last picture, or None when the person has left before."""
    from quadrat.cli.screen import Screen

    took = 0.0
    with Screen() as screen:
        while picture.at_work:
            draw = _drawer(picture)
            screen.show(draw)
            if not screen.wait(max(EVERY_SECONDS, REST_FOR_WORK * took), draw):
                return None
            began = time.monotonic()
            picture = live.picture()
            took = time.monotonic() - began
    return picture


def _drawer(picture: Picture) -> Callable[[int, int], list[str]]:
    """Draws ``picture`` on a terminal of any size."""
    from quadrat.cli.scene import screen_lines

    return lambda columns, lines: screen_lines(picture, columns=columns, lines=lines)


def _study_meant(root: Path, text: str | None) -> StudyFolder:
    """The study named; without a name the only one, or the only one that somebody conducts."""
    from quadrat.journal.layout import StudyFolder, studies
    from quadrat.journal.lock import conductor_of

    known = studies(root)
    if text is None and len(known) > 1:
        folders = [StudyFolder(root, name) for name in known]
        conducted = [folder for folder in folders if (noted := conductor_of(folder)) is not None and noted.is_alive()]
        if len(conducted) == 1:
            return conducted[0]
    return study_of(root, text, known=known)


def _print(picture: Picture) -> None:
    from quadrat.cli.scene import plain_text

    encoding = sys.stdout.encoding or "utf-8"
    click.echo(plain_text(picture).encode(encoding, "replace").decode(encoding))


def _document(picture: Picture) -> dict[str, Any]:
    conductor = picture.conductor
    return {
        "study": picture.study,
        "account": picture.coverage.text,
        "planned": picture.coverage.planned,
        "ended": picture.ended,
        "at_work": picture.at_work,
        "conductor": None if conductor is None else {"pid": conductor.pid, "host": conductor.host},
        "seconds": picture.seconds,
        "eta": picture.eta,
        "running": [_working(run) for run in picture.running],
        "troubled": [asdict(run) for run in picture.troubled],
    }


def _working(run: Working) -> dict[str, Any]:
    name, value = run.metric or (None, None)
    return {**asdict(run), "metric": None if name is None else {"name": name, "value": value}}
