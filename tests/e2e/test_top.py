"""A study seen live, through the real command line on a real terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SLOW = ("run", "toy.yaml", "seconds_per_step=0.05", "steps=2000", "seeds=[7]")
FAULTS = """\
rules: [{id: nonfinite_loss, metric: train/loss, fail: nonfinite, action: stop}]
arms: {bad: {crash_at: 7}, sick: {nan_at: 4}}
"""


class Terminal:
    """``quadrat top`` on a terminal of 100 x 20."""

    def __init__(self, lab, *words, **environ):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 100, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        # What a new session opens first becomes its terminal, so that keys such as Ctrl-C reach it as signals.
        opening = ["sh", "-c", 'exec "$@" <"$0" >"$0" 2>&1', os.ttyname(self.slave)]
        self.process = subprocess.Popen(
            [*opening, sys.executable, "-m", "quadrat", "top", *words],
            cwd=lab.root,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "OMP_NUM_THREADS": "1", **environ},
        )

    @property
    def text(self):
        return ESCAPE.sub("", self.seen.decode(errors="replace"))

    def read(self, seconds=0.1):
        while select.select([self.master], [], [], seconds)[0]:
            self.seen += os.read(self.master, 65536)
            seconds = 0

    def read_until(self, pattern, timeout=30):
        until = time.monotonic() + timeout
        while not re.search(pattern, self.text):
            assert time.monotonic() < until, self.text
            self.read()

    def end(self, code):
        until = time.monotonic() + 30
        while self.process.poll() is None:
            assert time.monotonic() < until, self.text
            self.read()
        self.read()
        assert self.process.returncode == code, self.text
        assert "Traceback" not in self.text

    def assert_restored(self):
        assert self.seen.rindex(b"\x1b[?1049l") > self.seen.rindex(b"\x1b[?1049h")
        assert self.seen.rindex(b"\x1b[?25h") > self.seen.rindex(b"\x1b[?25l")
        assert termios.tcgetattr(self.slave) == self.before

    def close(self):
        self.process.kill()
        self.process.wait()
        for descriptor in (self.master, self.slave):
            os.close(descriptor)


@pytest.fixture
def top():
    opened = []

    def start(lab, *words, **environ):
        opened.append(Terminal(lab, *words, **environ))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def begin(lab):
    process = lab.start(*SLOW)
    events = lab.run_folder("R0.5_S7") / "events.ndjson"
    until = time.monotonic() + 30
    while not (events.exists() and b"heartbeat" in events.read_bytes()):
        assert time.monotonic() < until, "it never began"
        time.sleep(0.02)
    return process


@pytest.fixture(scope="module")
def at_work(tmp_path_factory, make_lab):
    """A laboratory with a study at work, which takes 100 seconds if nobody stops it; and its process."""
    lab = make_lab(tmp_path_factory.mktemp("top"))
    process = begin(lab)
    yield lab, process
    process.kill()
    process.communicate()


def test_it_shows_how_far_each_run_is(at_work):
    lab, study = at_work
    said = lab.quadrat("top", "--once").stdout
    assert "toy: 2 planned = 2 running" in said
    assert f"process {study.pid}" in said
    (line,) = [line for line in said.splitlines() if line.startswith("R0.5_S7")]
    assert re.search(r"R0.5_S7 +\d+ of 2000 +train/loss [\d.e-]+ .* \d+ MiB +\d+ +\d+ s ago", line)
    assert "\x1b" not in said
    found = json.loads(lab.quadrat("top", "toy", "--json").stdout)
    assert found["schema"] == "quadrat.top/1"
    assert [run["place"] for run in found["running"]] == ["R0.1_S7", "R0.5_S7"]
    assert found["conductor"]["pid"] == study.pid


def test_q_leaves_and_the_study_goes_on(at_work, top):
    lab, study = at_work
    screen = top(lab)
    screen.read_until(r"R0.5_S7 +\d+ of 2000")
    screen.read_until(r"R0.5_S7 +\d+ of 2000[^$]*R0.5_S7 +\d+ of 2000")  # it was drawn again
    assert screen.seen.count(b"\x1b[2J") == 0  # never cleared, so nothing flickers
    os.write(screen.master, b"q")
    screen.end(0)
    screen.assert_restored()
    assert study.poll() is None
    size = (lab.run_folder("R0.5_S7") / "metrics.ndjson").stat().st_size
    time.sleep(0.3)
    assert (lab.run_folder("R0.5_S7") / "metrics.ndjson").stat().st_size > size


def test_ctrl_c_leaves_and_the_study_goes_on(at_work, top):
    lab, study = at_work
    screen = top(lab, "toy")
    screen.read_until(r"q leaves")
    os.write(screen.master, b"\x03")
    screen.end(130)
    screen.assert_restored()
    assert study.poll() is None


def test_a_signal_leaves_the_terminal_as_it_was(at_work, top):
    lab, study = at_work
    screen = top(lab, "toy")
    screen.read_until(r"q leaves")
    screen.process.send_signal(signal.SIGTERM)
    screen.end(143)
    screen.assert_restored()
    assert study.poll() is None


def test_when_the_study_ends_its_last_picture_stays(lab, top):
    study = begin(lab)
    screen = top(lab, "toy")
    screen.read_until(r"q leaves")
    study.kill()
    study.communicate()
    screen.end(0)
    screen.assert_restored()
    last = ESCAPE.sub("", screen.seen[screen.seen.rindex(b"\x1b[?1049l") :].decode())
    assert "nobody is running it" in last
    assert re.search(r"R0.5_S7 +(lost|preempted)", last)


def test_a_finished_study_is_one_picture_with_reasons_and_touches_nothing(lab, top):
    lab.write(more=FAULTS)
    lab.quadrat("run", "toy.yaml", "seeds=[0]", code=1)
    before = {str(path): path.stat().st_mtime_ns for path in lab.root.rglob("*")}
    said = lab.quadrat("top", "toy").stdout
    assert "4 planned = 2 completed + 1 failed + 1 stopped" in said
    assert re.search(r"bad\S* +failed +RuntimeError: the toy was told to crash at step 7", said)
    assert re.search(r"sick\S* +stopped +nonfinite_loss at step 4: train/loss = NaN", said)
    screen = top(lab, "toy")
    screen.end(0)
    assert screen.text.replace("\r\n", "\n") == said
    assert b"\x1b[?1049h" not in screen.seen
    assert {str(path): path.stat().st_mtime_ns for path in lab.root.rglob("*")} == before


def test_a_terminal_that_cannot_draw_gets_one_picture(at_work, top):
    screen = top(at_work[0], "toy", TERM="dumb")
    screen.end(0)
    assert "2 running" in screen.text
    assert "\x1b" not in screen.seen.decode()


def test_without_a_name_the_running_study_is_meant(at_work):
    lab, study = at_work
    lab.quadrat("run", "toy.yaml", "study=other", "seeds=[0]", "axes.rate=[0.1]")
    assert lab.quadrat("top").stdout.startswith("toy: ")
    assert lab.quadrat("top", "other").stdout.startswith("other: ")
    study.kill()
    study.communicate()
    assert "one of other, toy" in lab.quadrat("top", code=2).stderr


def test_it_needs_no_torch(lab):
    lab.quadrat("run", "toy.yaml", "seeds=[0]", "axes.rate=[0.1]")
    code = (
        "import sys\nfrom quadrat.cli.main import main\n"
        "try:\n    main(['top', 'toy'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'scipy', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=lab.root, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
