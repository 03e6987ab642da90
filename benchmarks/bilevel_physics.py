"""Circuit x frequency points per CPU-second of the ladder kernel, of the inner solver and of the data builder.

    python benchmarks/bilevel_physics.py

One thread, float64, CPU seconds, median of several turns. The circuits are the study's own (four filter types, textbook
orders) padded to 12 cells, and beside them 12 cells of any macros, half of them with a pole, which is the worst case.
scikit-rf cascades the same kind of circuit for scale.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
import warnings
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import torch

from quadrat_studies.bilevel.config import Config
from quadrat_studies.bilevel.data import build_data
from quadrat_studies.bilevel.generate import draw
from quadrat_studies.bilevel.ladder import Ladder, Loss, lossy_power, power, sensitivity
from quadrat_studies.bilevel.solver import Target, levenberg_marquardt
from quadrat_studies.bilevel.training import fitted

TURNS = 5
CELLS, POINTS, CIRCUITS = 12, 256, 256
BARS = {"forward": 5e6, "lm": 5e-3, "data": 0.3e-3}


def seconds(run):
    start = time.process_time()
    run()
    return time.process_time() - start


def median(run):
    run()
    return statistics.median(seconds(run) for _ in range(TURNS))


def line(what, value, unit, bar=None, better="more"):
    met = "" if bar is None else ("met" if (value >= bar if better == "more" else value <= bar) else "MISSED")
    print(f"| {what} | {value:.3g} {unit} | {'' if bar is None else f'{bar:.3g}'} | {met} |", flush=True)


def scikit_rf(points):
    """Points per CPU-second of a cascade of 12 elements, or None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import skrf
        except ImportError:
            return None
    frequency = skrf.Frequency(0.1, 3, points, unit="ghz")
    medium = skrf.media.DefinedGammaZ0(frequency, z0_port=50)

    def run():
        net = medium.thru()
        for cell in range(CELLS):
            net = net ** (medium.inductor(1e-9) if cell % 2 else medium.shunt_capacitor(1e-12))

    return points / median(run)


def main():
    torch.set_num_threads(1)
    config = Config.model_validate({"data": {"points": POINTS}})
    samples = draw(config.data, "train", count=CIRCUITS)
    book = Ladder.of(fitted(samples.ids, CELLS, fill=8), fitted(samples.x, CELLS, fill=0.0))
    generator = torch.Generator().manual_seed(0)
    wild = Ladder.of(
        torch.randint(0, 8, (CIRCUITS, CELLS), generator=generator),
        0.5 * torch.randn(CIRCUITS, CELLS, 2, generator=generator, dtype=torch.float64),
    )
    work = CIRCUITS * POINTS
    print("| what | found | bar | |\n|---|---|---|---|")
    line(
        "forward, the study's circuits", work / median(lambda: power(book, samples.w)), "points/CPU-s", BARS["forward"]
    )
    line("forward, any macros", work / median(lambda: power(wild, samples.w)), "points/CPU-s")
    line("forward and all derivatives", work / median(lambda: sensitivity(book, samples.w)), "points/CPU-s")
    line("forward, finite Q", work / median(lambda: lossy_power(book, samples.w, loss=Loss())), "points/CPU-s")
    rate = scikit_rf(POINTS)
    if rate is not None:
        line("scikit-rf cascade", rate, "points/CPU-s")
    some = draw(Config().data, "train", count=128)
    off = 0.3 * torch.randn(some.ids.shape, generator=generator, dtype=torch.float64)
    both = some.ladder.used().all(2)
    start = some.ladder.with_values(some.x + torch.stack((off, torch.where(both, -off, 0.0)), 2))
    target = Target(some.ideal[0], some.w)
    line(
        "LM refine, F = 128, from 30 % off",
        median(lambda: levenberg_marquardt(start, target)) / 128,
        "CPU-s",
        BARS["lm"],
        "less",
    )
    sizes = {"train_samples": 2000, "validation_samples": 10, "test_samples": 10}
    with tempfile.TemporaryDirectory() as folder:
        about = Config.model_validate({"data": sizes})
        line("data, a sample", median(lambda: build_data(about, Path(folder))) / 2020, "CPU-s", BARS["data"], "less")


if __name__ == "__main__":
    main()
