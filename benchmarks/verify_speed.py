"""How fast ``quadrat verify`` hashes, beside ``sha256sum`` on the same files.

    python benchmarks/verify_speed.py [--mib 256] [--files 4] [--rounds 5]

The bar: at least 80 % of the bytes per second of ``sha256sum``. The files lie in the page cache for both, so the disk
does not matter; the two take turns and the best round of each counts. CPU seconds (user and system) are compared as
well as wall time, because wall time suffers from whoever else uses the machine.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from quadrat.journal.layout import RunFolder
from quadrat.journal.seal import seal, verify

BAR = 0.8


def cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def ours(run: RunFolder) -> tuple[float, float]:
    """CPU and wall seconds of a verification, everything in it included."""
    wall, spent = time.perf_counter(), cpu(resource.RUSAGE_SELF)
    found = verify(run)
    taken = cpu(resource.RUSAGE_SELF) - spent, time.perf_counter() - wall
    if found:
        raise SystemExit(f"nothing should differ: {found}")
    return taken


def theirs(paths: list[Path]) -> tuple[float, float]:
    """CPU and wall seconds of ``sha256sum``, start of the process included."""
    wall, spent = time.perf_counter(), cpu(resource.RUSAGE_CHILDREN)
    subprocess.run(["sha256sum", *map(str, paths)], check=True, capture_output=True)
    return cpu(resource.RUSAGE_CHILDREN) - spent, time.perf_counter() - wall


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=256, help="MiB in all")
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    if shutil.which("sha256sum") is None:
        print("sha256sum is not installed; nothing to compare with", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory(prefix="quadrat-verify-") as scratch:
        run = RunFolder(Path(scratch) / "run")
        run.artifacts.mkdir(parents=True)
        size = asked.mib * 2**20 // asked.files
        paths = [run.artifacts / f"part-{number}.bin" for number in range(asked.files)]
        for path in paths:
            path.write_bytes(os.urandom(size))
        seal(run)
        rounds = [(ours(run), theirs(paths)) for _ in range(asked.rounds)]
    mib = asked.files * size / 2**20
    share = {}
    for place, kind in enumerate(("CPU", "wall")):
        mine, other = (min(item[side][place] for item in rounds) for side in (0, 1))
        share[kind] = other / mine
        print(f"{kind:<5} verify {mib / mine:8.0f} MiB/s   sha256sum {mib / other:8.0f} MiB/s   {share[kind]:.0%}")
    good = share["CPU"] >= BAR
    print(f"{'good' if good else 'TOO SLOW'}: {share['CPU']:.0%} of sha256sum's speed, the bar is {BAR:.0%}")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
