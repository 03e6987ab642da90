"""How fast the log code is computed, beside the plain way to do it, on one core.

    python benchmarks/log_code.py

The bar is 5 million numbers a second for the two informative coordinates (log2|x| and the sign count); the
study's code writes four (two more count zeros). The baseline is a scalar encoder that loops over numbers and
fills a 256-wide vector, the usual layout of published tagged embeddings.
"""

from __future__ import annotations

import math
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from quadrat_studies.fluxem import algebra

BAR = 5e6
NUMBERS = 65_536
REPEATS = 30


def plain_encode(x: float) -> np.ndarray:
    code = np.zeros(256, np.float32)
    if abs(x) >= 1e-10:
        code[0] = math.log(abs(x)) / 25.0
        code[1] = math.copysign(1.0, x)
    return code


def rate(work, numbers: int, repeats: int = REPEATS) -> float:
    """Numbers per CPU second, best of ``repeats``."""
    best = math.inf
    for _ in range(repeats):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return numbers / best


def main() -> None:
    x = np.random.default_rng(0).uniform(-1e6, 1e6, NUMBERS)
    few = x[:2048].tolist()
    rows = {"plain loop, 256 wide": rate(lambda: [plain_encode(value) for value in few], len(few), 5)}
    for dtype in ("float32", "float64"):
        code = algebra.encode_log(x, dtype)
        rows |= {
            f"encode_log {dtype}": rate(lambda dtype=dtype: algebra.encode_log(x, dtype), NUMBERS),
            f"decode_log {dtype}": rate(lambda code=code: algebra.decode_log(code), NUMBERS),
            f"multiply {dtype}": rate(lambda code=code: algebra.multiply(code, code), NUMBERS),
        }
    baseline = rows["plain loop, 256 wide"]
    for name, value in rows.items():
        print(f"{name:24} {value / 1e6:9.2f} M numbers / CPU-s {value / baseline:9.0f} x")
    slowest = min(rows["encode_log float32"], rows["encode_log float64"])
    print(f"bar for encoding: {BAR / 1e6:.0f} M/s; {'met' if slowest >= BAR else 'MISSED'} ({slowest / BAR:.1f} x)")


if __name__ == "__main__":
    main()
