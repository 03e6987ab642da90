"""What a trivial job costs in the pool, against a new interpreter that imports torch. CPU time, same run.

    python benchmarks/pool_overhead.py [--jobs 90] [--slots 2] [--interpreters 4] [--rounds 3]

The bar: at most 30 ms of CPU for a job from a warm pool with torch preloaded. CPU time is that of the
launcher, the zygote and every job (user and system, ended children included), so load from others on the
machine moves it little; wall time is printed beside it and moves a lot.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from quadrat.core.spec import Job
from quadrat.launchers.pool import PoolHandle, PoolLauncher

BAR_MS = 30.0


def nothing(folder: Path) -> int:
    """The entry of a trivial job."""
    return 0


def job(name: str, folder: Path, *, preload: tuple[str, ...]) -> Job:
    home = str(Path(__file__).resolve().parent)
    return Job(
        name,
        folder,
        (),
        "pool_overhead:nothing",
        folder / f"{name}.log",
        preload=(*preload, "pool_overhead"),
        python_path=(home,),
    )


def run_all(pool: PoolLauncher, jobs: list[Job]) -> list[PoolHandle]:
    handles = [pool.submit(each) for each in jobs]
    while any(handle.poll() is None for handle in handles):
        pool.wait(1.0)
    assert all(handle.poll() == 0 for handle in handles), [handle.poll() for handle in handles]
    return handles


def family_cpu() -> float:
    """CPU seconds so far of this process, its living children and all that those have reaped."""
    total = time.process_time()
    for child in psutil.Process().children():
        spent = child.cpu_times()
        total += spent.user + spent.system + spent.children_user + spent.children_system
    return total


def measure_pool(*, count: int, slots: int, rounds: int, preload: tuple[str, ...]) -> tuple[list[float], list[float]]:
    """CPU and wall milliseconds a job, one figure a round, after one job that warms the pool up."""
    cpu: list[float] = []
    wall: list[float] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pool = PoolLauncher(slots=slots)
        try:
            run_all(pool, [job("warm", folder, preload=preload)])
            for number in range(rounds):
                jobs = [job(f"r{number}j{index}", folder, preload=preload) for index in range(count)]
                cpu_before, wall_before = family_cpu(), time.perf_counter()
                run_all(pool, jobs)
                wall.append(1e3 * (time.perf_counter() - wall_before) / count)
                cpu.append(1e3 * (family_cpu() - cpu_before) / count)
        finally:
            pool.close()
    return cpu, wall


def measure_interpreters(*, count: int, code: str) -> tuple[list[float], list[float]]:
    """CPU and wall milliseconds of ``python -c code``, one figure an interpreter."""
    cpu: list[float] = []
    wall: list[float] = []
    for _ in range(count):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        wall.append(1e3 * (time.perf_counter() - began))
        cpu.append(1e3 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    return cpu, wall


FLOOR = """
import gc, os, resource, sys, time, torch
gc.collect(); gc.freeze()
def spent():
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)
before, began = spent(), time.perf_counter()
for _ in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
print(spent() - before, time.perf_counter() - began)
"""


def measure_floor(*, count: int, rounds: int) -> tuple[list[float], list[float]]:
    """CPU and wall milliseconds of the least that a fork of a parent with torch can cost: fork, exit, wait."""
    figures: list[list[float]] = []
    for _ in range(rounds):
        done = subprocess.run([sys.executable, "-c", FLOOR, str(count)], check=True, stdout=subprocess.PIPE, text=True)
        figures.append([1e3 * float(word) / count for word in done.stdout.split()])
    return [cpu for cpu, _ in figures], [wall for _, wall in figures]


def line(what: str, n: int, figures: tuple[list[float], list[float]]) -> str:
    cpu, wall = figures
    return (
        f"| {what} | {n} | {statistics.median(cpu):.1f} [{min(cpu):.1f}-{max(cpu):.1f}] "
        f"| {statistics.median(wall):.1f} [{min(wall):.1f}-{max(wall):.1f}] |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=90)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--interpreters", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"

    measure_interpreters(count=1, code="import torch")  # the files into memory, for both sides
    sizes = {"count": asked.jobs, "slots": asked.slots, "rounds": asked.rounds}
    warm = measure_pool(**sizes, preload=("torch",))
    bare = measure_pool(**sizes, preload=())
    floor = measure_floor(count=asked.jobs, rounds=asked.rounds)
    fresh = measure_interpreters(count=asked.interpreters, code="import torch")
    python = measure_interpreters(count=asked.interpreters, code="pass")

    ours, theirs = statistics.median(warm[0]), statistics.median(fresh[0])
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}, {platform.system()}; ", end="")
    print(f"{asked.rounds} rounds of {asked.jobs} jobs on {asked.slots} slots; median [min-max] of the rounds\n")
    print("| way | n | CPU ms a job | wall ms a job |\n| --- | --- | --- | --- |")
    print(line("pool, torch preloaded, warm", asked.rounds * asked.jobs, warm))
    print(line("pool, nothing preloaded, warm", asked.rounds * asked.jobs, bare))
    print(line("fork + exit of a torch parent, nothing else", asked.rounds * asked.jobs, floor))
    print(line("new interpreter, `import torch`", asked.interpreters, fresh))
    print(line("new interpreter, `pass`", asked.interpreters, python))
    verdict = "holds" if ours <= BAR_MS else "MISSED"
    print(f"\nBar {BAR_MS:.0f} ms: {verdict} at {ours:.1f} ms; {theirs / ours:.0f} times cheaper than an interpreter.")
    return 0 if ours <= BAR_MS else 1


if __name__ == "__main__":
    sys.exit(main())
