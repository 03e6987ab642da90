"""Seeds and threads: applied once, read back, never silently replaced.

torch is touched only when the trainable has imported it, so a study without torch never pays for it.
"""

from __future__ import annotations

import random
import sys
from typing import Any

import numpy as np


def loaded_torch() -> Any:
    """The torch module when this process has imported it, else None."""
    return sys.modules.get("torch")


def apply(seed: int) -> int:
    """Seed python, numpy and torch (every device) with ``seed``; return the seed read back.

    A seed of 0 is applied as 0. numpy takes 32 bits, so its stream uses ``seed`` modulo 2**32.

    Raises:
        ValueError: ``seed`` is negative or needs more than 63 bits.
    """
    if not 0 <= seed < 2**63:
        raise ValueError(f"a seed lies in 0 .. 2**63 - 1, but got {seed}")
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch = loaded_torch()
    if torch is None:
        return seed
    torch.manual_seed(seed)
    return int(torch.initial_seed())


def pin(threads: int, *, deterministic: bool = True) -> dict[str, object]:
    """Fix torch's thread count and its deterministic algorithms; return what is now in force.

    One and two threads give different sums, so the thread count belongs to what makes a run repeatable:
    it is recorded with every attempt. Empty when torch is not in use.
    """
    torch = loaded_torch()
    if torch is None:
        return {}
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    return {
        "torch_threads": torch.get_num_threads(),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
    }


def default_device(gpus: int) -> str:
    """``cuda`` when GPUs were asked for and one is visible, else ``cpu``."""
    torch = loaded_torch()
    return "cuda" if gpus > 0 and torch is not None and torch.cuda.is_available() else "cpu"
