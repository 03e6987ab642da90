from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from quadrat.sinks.base import RunProgress, Snapshot
from quadrat.sinks.console import ConsoleSink, account, clean, duration

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def shot(
    ended: int, *, planned: int = 20, failed: int = 0, stopped: int = 0, elapsed: float = 0.0, eta: float | None = None
) -> Snapshot:
    running = (RunProgress("L2_G0.5_S42", 10 * ended, 210, 0.5, "train/loss 0.41"),) if ended < planned else ()
    left = planned - ended
    return Snapshot("phase_diagram", planned, ended - failed - stopped, failed, stopped, running, left, elapsed, eta)


def plain(shots: list[Snapshot]) -> list[str]:
    stream = io.StringIO()
    sink = ConsoleSink(stream=stream, force_terminal=False)
    for each in shots:
        sink.update(each)
    return stream.getvalue().splitlines()


STORY = """
import sys, time
from quadrat.sinks.base import RunProgress, Snapshot
from quadrat.sinks.console import ConsoleSink
sink = ConsoleSink()
sink.start("phase_diagram", 20)
for ended in range(21):
    running = () if ended == 20 else (RunProgress("L2_G0.5_S42", 10 * ended, 210, ended / 21, "train/loss 0.41"),)
    failed = min(2, ended)
    sink.update(Snapshot("phase_diagram", 20, ended - failed, failed, 0, running, 20 - ended, 7.0 * ended, 7.0))
    if ended == 5:
        sink.message("run [a] failed: \\x1b[31mboom")
    time.sleep(0.01)
    if ended == 10 and "die" in sys.argv:
        print("half", flush=True)
        time.sleep(60)
sink.close("20 planned = 18 completed + 2 failed")
"""


@pytest.fixture
def terminal():
    """Runs the story on a real terminal of a given size; gives all that the terminal received."""
    running = []

    def run(*words: str, columns: int = 100, kill_after: str = "", **environ: str) -> str:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        scrubbed = {k: v for k, v in os.environ.items() if k not in {"CI", "NO_COLOR", "COLUMNS", "FORCE_COLOR"}}
        process = subprocess.Popen(
            [sys.executable, "-c", STORY, *words],
            stdin=slave,
            stdout=subprocess.DEVNULL if not kill_after else slave,
            stderr=slave,
            env={**scrubbed, "TERM": "xterm-256color", **environ},
        )
        running.append(process)
        os.close(slave)
        seen = b""
        try:
            while piece := os.read(master, 65536):
                seen += piece
                if kill_after and kill_after.encode() in seen:
                    process.send_signal(signal.SIGKILL)
        except OSError:  # the terminal's other side is closed
            pass
        os.close(master)
        assert process.wait(10) == (-signal.SIGKILL if kill_after else 0)
        return seen.decode()

    yield run
    for process in running:
        process.kill()
        process.wait()


def test_a_terminal_sees_bars_and_keeps_the_outcome(terminal):
    text = terminal()
    frames = ESCAPE.sub("", text)
    assert "\x1b[1A" in text, "bars are redrawn in place"
    assert re.search(r"phase_diagram .*\d+ done, 2 failed, \d+ left, about 7 s to go", frames)
    assert re.search(r"L2_G0.5_S42 .*step \d+ of 210, train/loss 0.41", frames)
    assert "run [a] failed: ?[31mboom" in frames, "the message is not obeyed, neither as markup nor as escape"
    last = [line for line in re.split(r"[\r\n]+", frames) if line.strip()][-2:]
    assert "18 done, 2 failed, 0 left" in last[0]
    assert last[1] == "20 planned = 18 completed + 2 failed"


def test_the_terminal_is_left_as_it_was_even_after_a_kill(terminal):
    for text in (terminal(), terminal("die", kill_after="half")):
        changes = re.findall(r"\x1b\[\?(\d+)([hl])", text)
        assert {mode for mode, _ in changes} <= {"25"}, "a mode other than the cursor was touched"
        assert not changes or changes[-1] == ("25", "h"), "the cursor stays hidden"
        assert text.rindex("\x1b[0m") > max((m.start() for m in re.finditer(r"\x1b\[\d*[1-9]m", text)), default=0)


def test_no_color_means_none(terminal):
    assert re.search(r"\x1b\[[0-9;]*m", terminal())
    assert not re.search(r"\x1b\[[0-9;]*[1-9][0-9;]*m", terminal(NO_COLOR="1"))


def test_lines_fit_the_columns(terminal):
    for text in (terminal(columns=60), terminal(columns=200, COLUMNS="60")):
        lines = [line for line in re.split(r"[\r\n]+", ESCAPE.sub("", text)) if "phase_diagram" in line]
        assert lines
        assert max(len(line) for line in lines) <= 60


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {"CI": "true"}, {"TERM": ""}])
def test_where_nothing_may_move_nothing_does(terminal, environ):
    text = terminal(**environ)
    assert "\x1b" not in text
    assert "\r" not in text.replace("\r\n", "")
    assert "phase_diagram: 20 of 20 ended (18 completed, 2 failed, 0 left" in text


def test_a_pipe_gets_plain_lines_even_when_colour_is_forced():
    environ = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm"}
    done = subprocess.run([sys.executable, "-c", STORY], stderr=subprocess.PIPE, env=environ, check=True)
    assert b"\x1b" not in done.stderr
    assert b"\r" not in done.stderr


def test_a_pipe_that_is_closed_makes_it_silent():
    reading, writing = os.pipe()
    os.close(reading)
    code = STORY.replace("ConsoleSink()", "ConsoleSink(force_terminal='live' in sys.argv)")
    for words in ((), ("live",)):
        command = [sys.executable, "-c", code + "print('survived')", *words]
        process = subprocess.run(command, stdout=subprocess.PIPE, stderr=writing, check=False)
        assert (process.returncode, process.stdout) == (0, b"survived\n")
    os.close(writing)


@pytest.mark.parametrize("live", [True, False])
def test_a_stream_that_is_closed_under_it_makes_it_silent(live):
    stream = io.StringIO()
    sink = ConsoleSink(stream=stream, force_terminal=live)
    sink.start("study", 3)
    stream.close()
    sink.update(shot(1, planned=3, failed=1))
    sink.message("anyone?")
    sink.close("no")


def test_a_stream_that_knows_no_unicode_gets_what_it_can_show():
    below = io.BytesIO()
    sink = ConsoleSink(stream=io.TextIOWrapper(below, encoding="ascii"), force_terminal=True)
    sink.start("café", 20)
    sink.update(shot(3))
    sink.message("caf\u00e9 \udcff")
    sink.close("the end")
    text = ESCAPE.sub("", below.getvalue().decode("ascii"))
    assert "caf? ?" in text
    assert "3 done, 17 left" in text
    assert text.endswith("the end\n")


def test_plain_lines_come_with_each_tenth():
    lines = plain([shot(ended, planned=200) for ended in range(201)])
    assert [int(line.split()[1]) for line in lines] == list(range(20, 201, 20))


def test_plain_lines_come_every_30_s_of_quiet():
    lines = plain([shot(0, elapsed=0.5 * tick) for tick in range(250)])
    assert len(lines) == 4


def test_plain_lines_come_with_each_failure():
    lines = plain([shot(1, planned=100), shot(2, planned=100, failed=1), shot(3, planned=100, failed=1, stopped=1)])
    assert len(lines) == 2
    assert "1 completed, 1 failed, 1 stopped" in lines[1]


def test_the_next_stage_starts_counting_anew():
    stream = io.StringIO()
    sink = ConsoleSink(stream=stream, force_terminal=False)
    for _ in range(2):
        sink.start("phase_diagram", 2)
        for ended in range(3):
            sink.update(shot(ended, planned=2, elapsed=100.0 * ended))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 6
    assert lines[:3] == lines[3:]


def test_bars_are_drawn_ten_times_a_second_at_most():
    stream = io.StringIO()
    sink = ConsoleSink(stream=stream, force_terminal=True)
    sink.start("phase_diagram", 20)
    began = time.monotonic()
    for _ in range(500):
        sink.update(shot(3))
    allowed = 2 + (time.monotonic() - began) / 0.1
    assert stream.getvalue().count("step 30 of 210") <= allowed
    sink.close()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (-3, "0 s"), (59.4, "59 s"), (60, "1 min"), (3570, "1 h 00 min"), (5400, "1 h 30 min"),
        (90000, "1 d 1 h"), (float("nan"), "unknown time"), (float("inf"), "unknown time"),
    ],
)  # fmt: skip
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text


def test_a_line_accounts_for_every_run():
    line = account(shot(12, failed=2, stopped=1, elapsed=700.0, eta=480.0))
    assert line == (
        "phase_diagram: 12 of 20 ended (9 completed, 2 failed, 1 stopped, 8 left, 12 min elapsed, about 8 min to go)"
    )


def test_nothing_that_a_terminal_would_obey_is_left():
    assert clean("a\x1b]0;title\x07b\x9b31m\tc\nd\x00\r") == "a?]0;title?b?31m\tc\nd??"
