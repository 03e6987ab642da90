"""What makes two runs the same run: the hash of everything that decides the result, and of nothing else."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast


def canonical(value: Any) -> bytes:
    """Equal bytes for equal data: keys sorted, no spaces, ASCII, non-finite numbers as strings."""
    return json.dumps(_strict(value), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def content_hash(value: Any) -> str:
    """SHA-256 of the canonical bytes, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def identity(trainable: str, config: Mapping[str, Any], seed: int) -> str:
    """The identity of a run, 12 hexadecimal digits. ``config`` is the resolved one, defaults included."""
    return content_hash({"trainable": trainable, "config": config, "seed": seed})[:12]


def _strict(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(key): _strict(child) for key, child in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_strict(child) for child in cast("Sequence[Any]", value)]
    return value
