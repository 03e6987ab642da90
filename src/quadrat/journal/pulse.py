"""The pulse of a run: a thread that says once a second that the process lives, and flushes rows to the disk."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import final

BEAT_SECONDS = 1.0
BEATS_PER_FLUSH = 2
_PATIENCE_SECONDS = 5.0


@final
class Pulse:
    """Calls ``beat`` every second and ``flush`` every other second, from ``start`` until ``stop``.

    It can do the run no harm: what the two raise is dropped, the thread is a daemon, and ``stop`` gives up
    waiting for a disk that hangs. A process that forks keeps its pulse; its children have none.
    """

    def __init__(self, beat: Callable[[], None], flush: Callable[[], None]) -> None:
        self._beat = beat
        self._flush = flush
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="quadrat-pulse", daemon=True)

    def start(self) -> None:
        """Begin; the first beat comes after one second."""
        self._thread.start()

    def stop(self) -> bool:
        """End; False when the thread still hangs in a call to the disk after some seconds."""
        self._stop.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_PATIENCE_SECONDS)
        return not self._thread.is_alive()

    def _run(self) -> None:
        beats = 0
        while not self._stop.wait(BEAT_SECONDS):
            beats += 1
            with contextlib.suppress(Exception):
                self._beat()
            if beats % BEATS_PER_FLUSH == 0:
                with contextlib.suppress(Exception):
                    self._flush()
