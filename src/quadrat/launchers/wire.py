"""JSON lines over a pipe, between the pool and the process that forks its jobs.

Orders down: ``start`` (id, name, entry, folder, log, environ), ``signal`` (id, signal), ``close`` (grace).
Reports up: ``ready``, ``started`` (id, pid), ``ended`` (id, code).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, final


def encode(message: Mapping[str, Any]) -> bytes:
    """One message as one line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


@final
class Lines:
    """Puts messages together from whatever pieces a pipe hands out."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[dict[str, Any]]:
        """The messages that ``piece`` completes; an unfinished one is kept for the next call."""
        *whole, self._rest = (self._rest + piece).split(b"\n")
        return [json.loads(line) for line in whole if line]
