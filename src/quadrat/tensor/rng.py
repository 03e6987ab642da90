"""The random state of python, numpy and torch as one plain tree, and back again."""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from quadrat.tensor.seeding import loaded_torch


def capture() -> dict[str, Any]:
    """The state of every global generator, as scalars, lists and tensors that a checkpoint can hold.

    torch's generators are included when torch is in use.
    """
    version, internal, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    state: dict[str, Any] = {
        "python": {"version": version, "internal": list(internal), "gauss": gauss},
        "numpy": {
            "kind": kind,
            "keys": [int(word) for word in keys],
            "position": int(position),
            "has_gauss": int(has_gauss),
            "cached": float(cached),
        },
    }
    torch = loaded_torch()
    if torch is not None:
        state["torch"] = torch.get_rng_state()
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore(state: Mapping[str, Any]) -> None:
    """Put back what ``capture`` returned."""
    python, old = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["internal"]), python["gauss"]))
    keys = np.asarray(old["keys"], dtype=np.uint32)
    np.random.set_state((old["kind"], keys, old["position"], old["has_gauss"], old["cached"]))
    torch = loaded_torch()
    if torch is not None and "torch" in state:
        torch.set_rng_state(state["torch"])
        if "cuda" in state:
            torch.cuda.set_rng_state_all(state["cuda"])


@contextmanager
def preserved() -> Generator[None]:
    """Leave the global random states as they were found.

    A resumed generator builds its model anew before it loads the old weights. Wrapped in this, the building
    takes nothing from the streams that were just put back, so the run goes on as if never interrupted.
    """
    before = capture()
    try:
        yield
    finally:
        restore(before)
