"""Forward and backward of two Mamba layers, beside mambapy's parallel scan.

    pip install --target /tmp/mambapy "mambapy==1.2.0" --no-deps
    PYTHONPATH=/tmp/mambapy python benchmarks/symmetry_scan.py

Both have 2 layers of width 32 and answer every position; one thread, CPU seconds, turn about, medians. They are not
the same model: mambapy is Mamba-1, whose every channel and state decays by itself, so that its scan has to hold
B x L x 64 x N numbers; ours is Mamba-2, where a position has one decay and the scan is two matrix products. The ratio
says what that choice buys, beside the convolution. Without mambapy our own times are printed alone.
"""

from __future__ import annotations

import os
import statistics
import time

os.environ["OMP_NUM_THREADS"] = "1"

import torch

from quadrat_studies.symmetry.config import Config
from quadrat_studies.symmetry.model import build

CASES = ((64, 30, 16, 5.0), (64, 30, 128, 40.0), (2, 1024, 16, 5.0))
"""Batch, length, state, bar."""
TURNS = 5


def ours(batch, length, state):
    """A callable for one forward and backward pass of the study's blocks, every position read."""
    config = Config.model_validate({"d_state": state, "gamma": 0.5})
    blocks = build([config], [0]).blocks
    parameters = [p for p in blocks.parameters() if p.requires_grad]
    x = torch.randn(1, batch, length, config.d_model, requires_grad=True)

    def run():
        h = x
        for block in blocks:
            h = block(h, reads=length)
        torch.autograd.grad(h.sum(), [x, *parameters])

    return run


def theirs(batch, length, state):
    """The same for mambapy, or None where it is not installed."""
    try:
        from mambapy.mamba import Mamba, MambaConfig
    except ImportError:
        return None
    model = Mamba(MambaConfig(d_model=32, n_layers=2, d_state=state, pscan=True))
    x = torch.randn(batch, length, 32, requires_grad=True)

    def run():
        torch.autograd.grad(model(x).sum(), [x, *model.parameters()])

    return run


def seconds(run, count):
    start = time.process_time()
    for _ in range(count):
        run()
    return (time.process_time() - start) / count


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print("| B | L | N | mambapy pscan, ms | ours, ms | ratio | bar |\n|---|---|---|---|---|---|---|")
    for batch, length, state, bar in CASES:
        fast, slow = ours(batch, length, state), theirs(batch, length, state)
        fast()
        if slow is None:
            own = statistics.median(seconds(fast, 5) for _ in range(TURNS))
            print(f"| {batch} | {length} | {state} | not installed | {own * 1e3:.1f} | | {bar:.0f} |")
            continue
        slow()
        pairs = [(seconds(slow, 1), seconds(fast, 5)) for _ in range(TURNS)]
        other, own = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        verdict = f"{bar:.0f} {'met' if ratio >= bar else 'MISSED'}"
        times = f"{other * 1e3:.0f} | {own * 1e3:.1f} | {ratio:.1f}"
        print(f"| {batch} | {length} | {state} | {times} | {verdict} |", flush=True)


if __name__ == "__main__":
    main()
