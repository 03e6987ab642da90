"""Training samples per CPU second of every arm of fluxem/arms_small, and numbers per second of every code.

    python benchmarks/fluxem_arms.py               every arm at the origin's width, one thread, batches as in the study
    python benchmarks/fluxem_arms.py --batch 32    with the origin's batches
    python benchmarks/fluxem_arms.py --codes       encoding and decoding alone

The bar is 8 times 233 samples per CPU second, what the origin's token-only trainer reached at this width (128, 2
layers, 4 heads) with batches of 32. Threads are set as in a run. The floor is arithmetic: the
multiplications of one sample over what this core multiplies in one large matrix product, measured in turn with the arm
so that other work on the machine disturbs both alike.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch

from quadrat import Context
from quadrat.study.load import load_study
from quadrat.tensor import seeding
from quadrat_studies.fluxem import algebra, circular
from quadrat_studies.fluxem.config import MODULI, Config
from quadrat_studies.fluxem.data import build_data, read_split
from quadrat_studies.fluxem.model import build
from quadrat_studies.fluxem.representations import decode_bits, encode_bits
from quadrat_studies.fluxem.tokens import operand_values
from quadrat_studies.fluxem.training import Pack, Samples

ORIGIN, BAR = 233.0, 8.0
SAMPLES, ROUNDS = 2048, 5
NUMBERS, CODE_BAR = 1 << 16, 5e6


def pack_of(config: Config, folder: Path, rows: list) -> Pack:
    """One run in training, its data at hand."""
    answers = [row["target_text"] for row in rows]
    network = build(config.model, seeds=[0], operands=operand_values(rows), answers=answers)
    context = Context(seed=0, device="cpu", data=folder, scratch=folder)
    return Pack([config], [context], network=network, samples=Samples.of(rows, config, "cpu"))


def operations(pack: Pack) -> float:
    """Floating-point operations of one sample in matrix products, both directions; attention's own are left out."""
    model, h = pack.network.config, pack.network.config.hidden_dim
    answer = pack.samples.targets.tokens.shape[1]
    reads = answer if pack.network.generates else model.answer_columns
    columns = pack.samples.prompts.tokens.shape[1] + (reads - 1 if pack.network.generates else 0)
    whole, last = 12 * h * h * columns, 10 * h * h * reads + 2 * h * h * columns
    once = 10 * h * h * pack.samples.prompts.lone  # in the first layer, shared by the samples of a batch
    return 6.0 * (whole * (model.num_layers - 1) - once + last)


def core_speed() -> float:
    """Operations per CPU second of one large matrix product."""
    a = torch.randn(1024, 1024)
    start = time.process_time()
    for _ in range(3):
        a @ a
    return 3 * 2 * 1024**3 / (time.process_time() - start)


def rate(pack: Pack) -> float:
    """Samples per CPU second over ``SAMPLES`` of them."""
    batch = pack.recipe.batch_size
    start = time.process_time()
    for _ in range(SAMPLES // batch):
        pack.update()
    return SAMPLES // batch * batch / (time.process_time() - start)


def arms(batch: int | None) -> None:
    """A line for each arm."""
    study = load_study("fluxem/arms_small")
    chosen = {str(run.point.arm): run.config for run in study.runs}
    print(f"{'arm':20} {'parameters':>10} {'MFLOP':>6} {'samples/CPU-s':>14} {'floor':>7} {'reached':>8} {'bar':>12}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for arm, tree in chosen.items():
            changed = {"steps": 10**6} | ({} if batch is None else {"batch_size": batch})
            config = Config.model_validate({**tree, "training": {**tree["training"], **changed}})
            if not (folder / "train.jsonl").exists():
                build_data(config, folder)
            pack = pack_of(config, folder, read_split(folder, "train"))
            rate(pack)
            turns = [(rate(pack), core_speed() / operations(pack)) for _ in range(ROUNDS)]
            mine, floor = (statistics.median(values) for values in zip(*turns, strict=True))
            reached = statistics.median(a / b for a, b in turns)
            verdict = f"{mine / ORIGIN:.1f} x" + ("" if mine >= BAR * ORIGIN else "  MISSED")
            size = sum(p.numel() for p in pack.network.parameters())
            work = operations(pack) / 1e6
            line = f"{arm:20} {size:10,} {work:6.1f} {mine:14.0f} {floor:7.0f} {reached:8.0%} {verdict:>12}"
            print(line, flush=True)
    print(f"bar: {BAR:.0f} x {ORIGIN:.0f} = {BAR * ORIGIN:.0f} samples per CPU second")


def codes() -> None:
    """A line for each code."""
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 10**5, NUMBERS)
    floats, tens = numbers.astype(float), [10**place for place in range(1, 7)]
    log, linear = algebra.encode_log(floats), algebra.encode_linear(floats)
    circles, remainders = circular.encode_circles(numbers, tens), numbers[:, None] % np.array(MODULI)
    bits = encode_bits(floats) > 0
    ways: dict[str, Callable[[], object]] = {
        "linear encode": lambda: algebra.encode_linear(floats),
        "linear decode": lambda: algebra.decode_linear(linear),
        "log encode": lambda: algebra.encode_log(floats),
        "log decode": lambda: algebra.decode_log(log),
        "circles encode (6 digits)": lambda: circular.encode_circles(numbers, tens),
        "circles decode (6 digits)": lambda: circular.decode_decimal(circles),
        "residues encode (6 moduli)": lambda: circular.encode_circles(numbers, MODULI),
        "residues decode (6 moduli)": lambda: circular.decode_residues(remainders, MODULI),
        "bits encode": lambda: encode_bits(floats),
        "bits decode": lambda: decode_bits(bits),
    }
    for name, way in ways.items():
        best = math.inf
        for _ in range(ROUNDS * 3):
            start = time.process_time()
            way()
            best = min(best, time.process_time() - start)
        speed = NUMBERS / max(best, 1e-9)
        print(f"{name:28} {speed / 1e6:8.1f} M numbers / CPU-s{'' if speed >= CODE_BAR else '   MISSED'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch", type=int, help="samples a step, in place of the study's")
    parser.add_argument("--codes", action="store_true", help="encoding and decoding alone")
    told = parser.parse_args()
    seeding.pin(1)
    if not told.codes:
        arms(told.batch)
    codes()


if __name__ == "__main__":
    main()
