"""A terminal taken over is given back as it was, whatever ends the program."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

STORY = """
import sys
from quadrat.cli.screen import Screen
drawn = 0
def draw(columns, lines):
    global drawn
    drawn += 1
    return [f"size {columns} x {lines}", f"drawn {drawn}"] + ["line"] * 100
with Screen() as screen:
    screen.show(draw)
    if "crash" in sys.argv:
        raise RuntimeError("boom")
    print("left by key" if not screen.wait(30, draw) else "time is up", file=sys.stderr)
"""
OTHER_SCREEN, HIDDEN = b"\x1b[?1049h", b"\x1b[?25l"
OWN_SCREEN, SHOWN = b"\x1b[?1049l", b"\x1b[?25h"


class Terminal:
    """A terminal of 80 x 10 with the story at its other end."""

    def __init__(self, *words):
        self.master, self.slave = pty.openpty()
        self.resize(80, 10)
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        # What a new session opens first becomes its terminal, so that keys such as Ctrl-C reach it as signals.
        opening = ["sh", "-c", 'exec "$@" <"$0" >"$0"', os.ttyname(self.slave)]
        self.process = subprocess.Popen(
            [*opening, sys.executable, "-c", STORY, *words], stderr=subprocess.PIPE, start_new_session=True
        )

    def resize(self, columns, lines):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read_until(self, wanted, timeout=20):
        until = time.monotonic() + timeout
        while wanted not in self.seen:
            assert time.monotonic() < until, self.seen
            if select.select([self.master], [], [], 0.1)[0]:
                self.seen += os.read(self.master, 65536)

    def end(self, code):
        _, err = self.process.communicate(timeout=20)
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 65536)
        assert self.process.returncode == code, err
        return err.decode()

    def assert_restored(self):
        assert self.seen.rindex(OWN_SCREEN) > self.seen.rindex(OTHER_SCREEN)
        assert self.seen.rindex(SHOWN) > self.seen.rindex(HIDDEN)
        assert termios.tcgetattr(self.slave) == self.before

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        for descriptor in (self.master, self.slave):
            os.close(descriptor)


@pytest.fixture
def terminal():
    opened = []

    def start(*words):
        opened.append(Terminal(*words))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_q_leaves_and_other_keys_do_not(terminal):
    screen = terminal()
    screen.read_until(b"drawn 1")
    assert HIDDEN in screen.seen
    os.write(screen.master, b"xyz\n")
    time.sleep(0.3)
    assert screen.process.poll() is None
    os.write(screen.master, b"q")
    assert "left by key" in screen.end(0)
    assert b"xyz" not in screen.seen  # no echo
    screen.assert_restored()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(terminal, number):
    screen = terminal()
    screen.read_until(b"drawn 1")
    screen.process.send_signal(number)
    screen.end(128 + number)
    screen.assert_restored()


def test_ctrl_c_gives_the_terminal_back(terminal):
    screen = terminal()
    screen.read_until(b"drawn 1")
    os.write(screen.master, b"\x03")
    assert "KeyboardInterrupt" in screen.end(-signal.SIGINT)
    screen.assert_restored()


def test_a_crash_gives_the_terminal_back(terminal):
    screen = terminal("crash")
    assert "RuntimeError: boom" in screen.end(1)
    screen.assert_restored()


def test_another_size_is_drawn_at_once_and_never_too_long(terminal):
    screen = terminal()
    screen.read_until(b"size 80 x 10")
    assert screen.seen.count(b"line") <= 8
    screen.resize(50, 5)
    screen.read_until(b"size 50 x 5")
    os.write(screen.master, b"q")
    screen.end(0)


def test_a_terminal_that_goes_away_ends_it(terminal):
    screen = terminal()
    screen.read_until(b"drawn 1")
    os.close(screen.master)
    screen.master = os.open(os.devnull, os.O_RDONLY)
    screen.process.communicate(timeout=20)
    assert screen.process.returncode != 0


def test_suspended_it_gives_the_terminal_back_and_takes_it_again(terminal):
    screen = terminal()
    screen.read_until(b"drawn 1")
    screen.process.send_signal(signal.SIGTSTP)
    # The process leads a session without a shell, so the system lets nobody stop it: it comes straight back.
    screen.read_until(OWN_SCREEN)
    screen.read_until(b"drawn 2")
    assert screen.seen.rindex(OTHER_SCREEN) > screen.seen.rindex(OWN_SCREEN)
    os.write(screen.master, b"q")
    screen.end(0)
    screen.assert_restored()
