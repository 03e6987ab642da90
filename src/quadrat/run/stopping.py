"""Being asked to stop: the first signal asks for a checkpoint and an orderly end, the second ends at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Final, final

GRACE_SECONDS: Final = 30.0
"""How long a run may look for its next checkpoint before it is closed without one."""

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


@final
class Stop:
    """Whether the run was asked to stop, by which signal, and since when."""

    def __init__(self, *, grace: float = GRACE_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace = grace
        self._clock = clock
        self._since: float | None = None
        self.signal: int | None = None

    def ask(self, number: int | None = None) -> None:
        """Ask for an orderly end."""
        if self._since is None:
            self._since, self.signal = self._clock(), number

    @property
    def asked(self) -> bool:
        """Whether an end was asked for."""
        return self._since is not None

    @property
    def is_overdue(self) -> bool:
        """Whether the grace time for reaching a checkpoint has passed."""
        return self._since is not None and self._clock() - self._since > self._grace


@contextmanager
def listening(stop: Stop) -> Generator[None]:
    """Route the stop signals to ``stop`` inside the block; put the old handlers back after it."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        if stop.asked and number in (signal.SIGINT, signal.SIGTERM):
            os._exit(128 + number)
        stop.ask(number)

    before = {number: signal.signal(number, on_signal) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
