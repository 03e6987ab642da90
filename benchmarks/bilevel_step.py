"""CPU-seconds of one training step: B = 64, K = 12, F = 256, the seed's width 768, unroll 5.

    python benchmarks/bilevel_step.py

One thread. The seed's origin took 10.2 CPU-s for a straight-through step and 7.8 for a matrix mix of this size.
"""

from __future__ import annotations

import os
import statistics
import time

os.environ["OMP_NUM_THREADS"] = "1"

import torch

from quadrat import Context
from quadrat_studies.bilevel.config import Config
from quadrat_studies.bilevel.generate import draw
from quadrat_studies.bilevel.training import Training

TURNS = 3
BAR = 1.5
ARMS = {
    "labels only": {"phys_weight": 0.0},
    "hard, unroll 5": {"inner_solver": "unroll"},
    "straight-through, unroll 5": {"inner_solver": "unroll", "ste_phys": True},
    "matrix mix, unroll 5": {"inner_solver": "unroll", "matrix_mix": True},
    "envelope, 4 LM steps": {"inner_solver": "lm"},
}


def step(changes, width):
    config = Config.model_validate(
        {"data": {"points": 256, "train_samples": 64}, "d_model": width, "k_min": 12, "phys_start": 0.0, **changes}
    )
    samples = draw(config.data, "train", count=64)
    context = Context(seed=0, device="cpu", data=None, scratch=None)
    run = Training(config, context, samples=samples)
    rows = torch.arange(64)
    group = [(rows, run.waves.channels(rows))]
    run.update(group)
    found = []
    for _ in range(TURNS):
        start = time.process_time()
        run.update(group)
        found.append(time.process_time() - start)
    return statistics.median(found)


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print("| physics | d = 128, CPU-s | d = 768, CPU-s | bar |\n|---|---|---|---|")
    for name, changes in ARMS.items():
        small, large = step(changes, 128), step(changes, 768)
        bar = f"{BAR} {'met' if large <= BAR else 'MISSED'}" if name.startswith("straight") else ""
        print(f"| {name} | {small:.3f} | {large:.3f} | {bar} |", flush=True)


if __name__ == "__main__":
    main()
