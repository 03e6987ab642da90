"""A terminal taken over for a while: drawn in place without flicker, and given back as it was whatever happens."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Any, Final, Self, final

TICK_SECONDS: Final = 0.1
LEAVING_KEYS: Final = b"qQ"

_TAKE: Final = "\x1b[?1049h\x1b[?25l"  # the other screen, no cursor
_GIVE: Final = "\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


def is_terminal() -> bool:
    """Whether standard output is a terminal that can move its cursor."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in {"", "dumb", "unknown"}


@final
class Screen:
    """Standard output as a screen; keys come from standard input when that is a terminal too.

    Within the block the other screen is shown, the cursor is hidden and keys are not echoed. All of it is put back
    when the block ends: normally, by an exception, by Ctrl-C, by SIGTERM or SIGHUP (which end the process with 128
    and their number). Ctrl-Z puts it back until the program is called to the foreground again.
    """

    def __init__(self) -> None:
        self._keys = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
        self._mode: list[Any] | None = None
        self._handlers: dict[int, Any] = {}
        self._asleep = False
        self._drawn_for = (0, 0)

    def __enter__(self) -> Self:
        self._mode = None if self._keys is None else termios.tcgetattr(self._keys)
        try:
            for number in (signal.SIGTERM, signal.SIGHUP):
                self._handlers[number] = signal.signal(number, _leave)
            self._handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._fall_asleep)
            self._take()
        except BaseException:
            self._give()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def show(self, draw: Callable[[int, int], Sequence[str]]) -> None:
        """Draw anew what ``draw`` gives for so many columns and lines, all in one write."""
        columns, lines = self._drawn_for = self._size()
        rows = list(draw(columns, lines))[:lines]
        sys.stdout.write(_HOME + "\r\n".join(f"{row}{_REST_OF_LINE}" for row in rows) + _REST_OF_SCREEN)
        sys.stdout.flush()

    def wait(self, seconds: float, draw: Callable[[int, int], Sequence[str]]) -> bool:
        """Wait; False as soon as a person presses q. Draws anew when the terminal changed meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._leaving(min(left, TICK_SECONDS)):
                return False
            if self._asleep:
                self._sleep()
            if self._drawn_for != self._size():
                self.show(draw)
        return True

    def _leaving(self, seconds: float) -> bool:
        if self._keys is None:
            time.sleep(seconds)
            return False
        if not select.select([self._keys], [], [], seconds)[0]:
            return False
        pressed = os.read(self._keys, 64)
        if not pressed:
            self._keys = None  # whoever typed has gone
        return any(key in LEAVING_KEYS for key in pressed)

    @staticmethod
    def _size() -> tuple[int, int]:
        with contextlib.suppress(OSError):
            size = os.get_terminal_size(sys.stdout.fileno())
            if size.columns and size.lines:
                return size.columns, size.lines
        return 80, 24

    def _take(self) -> None:
        if self._keys is not None:
            tty.setcbreak(self._keys)
        sys.stdout.write(_TAKE)
        sys.stdout.flush()

    def _give(self) -> None:
        # A terminal that has gone away need not be put back.
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.write(_GIVE)
            sys.stdout.flush()
        if self._mode is not None and self._keys is not None:
            with contextlib.suppress(OSError, termios.error):
                termios.tcsetattr(self._keys, termios.TCSADRAIN, self._mode)

    def _fall_asleep(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._asleep = True

    def _sleep(self) -> None:
        """Stop as if nothing had been caught, and come back to a screen of one's own."""
        self._asleep = False
        self._give()
        mine = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, mine)
        self._take()
        self._drawn_for = (0, 0)


def _leave(number: int, frame: FrameType | None) -> None:
    del frame
    raise SystemExit(128 + number)
