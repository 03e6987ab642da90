"""The picture of a running study: fits the screen, cuts nothing on paper, obeys nothing it shows."""

from __future__ import annotations

import re

import pytest

from quadrat.analyze.heartbeats import Devices, Vitals
from quadrat.analyze.live import Ended, Picture
from quadrat.analyze.run_watch import Working
from quadrat.analyze.table import Coverage
from quadrat.cli.scene import plain_text, screen_lines
from quadrat.core.verdicts import Status
from quadrat.journal.process import ProcessId

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
GPU = Devices(percent=(97.0,), memory=(3 * 2.0**30,), watts=(250.4,), celsius=(61.0,))


def working(number, *, pid=None, vitals=None):
    vitals = vitals or Vitals(age=0.5, cpu_percent=98.0, rss=512 * 2**20)
    place = f"generalize/L2_G0.5_S{number}"
    return Working(place, 1200, 5000, ("test/acc", 0.4131), vitals, pid=pid or number, host="h", seconds=60.0, rest=9.0)


def picture(running=(), troubled=(), **values):
    counts = {Status.COMPLETED: 40, Status.FAILED: len(troubled), Status.RUNNING: len(running), Status.PENDING: 9}
    known = {"conductor": ProcessId.current(), "seconds": 720.0, "eta": 1500.0, "at_work": True}
    return Picture(
        "phase_diagram", Coverage(counts), **known | values, running=tuple(running), troubled=tuple(troubled)
    )


def bad(number, reason="RuntimeError: boom"):
    return Ended(f"L3_S{number}", Status.FAILED, reason)


def shown(seen, columns=100, lines=30):
    return [ESCAPE.sub("", line) for line in screen_lines(seen, columns=columns, lines=lines)]


def test_everything_a_person_asks_is_there():
    text = plain_text(picture([working(1)], [bad(1)]))
    assert "phase_diagram: 51 planned = 40 completed + 1 failed + 1 running + 9 missing" in text
    assert "41 of 51 ended, 12 min so far, about 25 min to go" in text
    (line,) = [line for line in text.splitlines() if "L2_G0.5_S1" in line]
    assert " ".join(line.split()) == "generalize/L2_G0.5_S1 1200 of 5000 test/acc 0.4131 98 % 512 MiB 1 0 s ago"
    (line,) = [line for line in text.splitlines() if "L3_S1" in line]
    assert line.split(maxsplit=2) == ["L3_S1", "failed", "RuntimeError: boom"]


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
@pytest.mark.parametrize("lines", [5, 12, 24, 60])
def test_it_fits_the_screen(columns, lines):
    seen = shown(picture([working(n) for n in range(90)], [bad(n, "x" * 300) for n in range(40)]), columns, lines)
    assert len(seen) <= lines
    assert max(len(line) for line in seen) <= columns
    assert "q leaves"[:columns] in seen[-1]


def test_what_has_no_room_is_counted():
    seen = shown(picture([working(n) for n in range(90)], [bad(n) for n in range(40)]), lines=24)
    more = [int(re.search(r"and (\d+) more", line)[1]) for line in seen if "more" in line]
    runs = sum("L2_G0.5" in line for line in seen)
    assert more == [90 - runs, 40 - sum("L3_S" in line for line in seen)]
    assert runs >= 8


def test_on_paper_nothing_is_cut():
    text = plain_text(picture([working(n) for n in range(90)], [bad(n) for n in range(40)]))
    assert (text.count("L2_G0.5"), text.count("L3_S")) == (90, 40)
    assert "more" not in text
    assert "\x1b" not in text
    assert text.isascii()


def test_members_of_a_pack_count_as_one_process():
    text = plain_text(picture([working(n, pid=7) for n in range(18)] + [working(99, pid=8)]))
    assert "2 processes at work: 196 % CPU, 1.0 GiB" in text


def test_devices_have_a_column_when_anybody_has_any():
    plain, with_gpu = working(1), working(2, vitals=Vitals(age=1.0, devices=GPU))
    assert "gpu" not in plain_text(picture([plain]))
    text = plain_text(picture([plain, with_gpu]))
    assert "97 %, 3.0 GiB, 250 W, 61 C" in text
    unknown = working(3, vitals=Vitals(devices=Devices(unknown=True)))
    assert "unknown" in plain_text(picture([unknown]))


def test_what_is_not_known_is_a_dash():
    blank = Working("x", 0, None, None, Vitals(), pid=None, host=None, seconds=None, rest=None)
    (line,) = [line for line in plain_text(picture([blank])).splitlines() if line.startswith("x ")]
    assert line.split() == ["x", "0", "-", "-", "-", "-", "-"]


def test_nothing_shown_is_obeyed():
    seen = picture([], [bad(1, "\x1b[2J[red]bold[/red] :smile:\nnext")], conductor=None)
    text = plain_text(seen)
    assert "?[2J[red]bold[/red] :smile: next" in text
    assert any("[red]bold[/red] :smile:" in line for line in shown(seen))


def test_nobody_at_work_is_said():
    text = plain_text(picture(conductor=None, seconds=None, eta=None, at_work=False))
    assert "nobody is running it" in text
    assert "to go" not in text


@pytest.mark.parametrize("counts", [{}, {Status.COMPLETED: 1}, {Status.FAILED: 1, Status.PENDING: 10000}])
def test_the_bar_has_one_length(counts):
    text = plain_text(Picture("s", Coverage(counts), None, None, None, (), (), at_work=False))
    assert len(re.search(r"\[(.*)\]", text)[1]) == 60 if counts else "0 of 0 ended" in text
