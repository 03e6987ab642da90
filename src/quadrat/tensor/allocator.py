"""What the C library does with memory that was freed: keep it for the next step, where that is glibc.

A training step frees its arrays and takes as many again. glibc gives large ones back to the system at once, so each
comes as fresh pages, a fault for every 4 KiB: 3 to 7 % of a small model's step on a CPU. Results keep their last bit.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from typing import Final

KEPT: Final = 512 << 20
"""Bytes at the end of the heap that stay with the process."""
LARGEST: Final = 64 << 20
"""Arrays up to so many bytes are taken from the heap."""
OWN: Final = ("GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_")
"""Variables by which a user has decided otherwise; then nothing is changed."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed(environ: Mapping[str, str] = os.environ) -> bool:
    """Make it so for this process and its children; whether it was done. False without glibc."""
    if any(name in environ for name in OWN):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return bool(mallopt(_TRIM_THRESHOLD, KEPT) and mallopt(_MMAP_THRESHOLD, LARGEST))
