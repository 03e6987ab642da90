"""The log of a process without the secrets that it printed: blotted out where they stand, nothing else moved.

The log belongs to the process, which still holds it open and may write to it, so it is neither replaced nor cut: a line
that holds a secret is overwritten by as many bytes.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from quadrat.core.secrets import MASK, mask


def redact(log: Path) -> int:
    """Blot out the secrets in a log and return how many there were. A file that is not there has none.

    A link is not followed. What this process has printed and not yet written is written first.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    try:
        descriptor = os.open(log, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return 0
    found = offset = 0
    with os.fdopen(descriptor, "rb", closefd=True) as file:
        for line in file:
            text = line.decode("utf-8", "surrogateescape")
            masked, count = mask(text)
            if count:
                found += count
                os.pwrite(descriptor, _fitted(masked.encode("utf-8", "surrogateescape"), line), offset)
            offset += len(line)
    return found


def _fitted(masked: bytes, line: bytes) -> bytes:
    """A masked line with the length that the line had, its end included."""
    end = line[len(line.rstrip(b"\r\n")) :]
    body, length = masked.rstrip(b"\r\n"), len(line) - len(end)
    if len(body) > length:
        return MASK[:1].encode() * length + end
    return body + MASK[:1].encode() * (length - len(body)) + end
