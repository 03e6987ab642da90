"""What it costs to check the record of a study of 200 runs: the whole command, and where its time goes.

    python benchmarks/record_check.py [--runs 200] [--rounds 3] [--root FOLDER]

The bar: at most 2 s of CPU for ``quadrat record check`` on 200 runs, with ``results/`` at hand and without. The runs
are the toy's, 40 conditions with five seeds each, run for real; with ``--root`` a study that was made
before is taken. CPU time is that of the command's process, user and system, so load from others moves it little.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

BAR_S = 2.0
STUDY = """\
study: many
question: What does it cost to check the record of many runs?
hypothesis: Less than two seconds for two hundred.
trainable: quadrat.testing.toy:train
config: {{steps: 20}}
axes: {{rate: [{rates}]}}
seeds: [0, 1, 2, 3, 4]
name: R{{rate}}_S{{seed}}
pack: auto
baseline: {{rate: 0.01}}
primary: [test/gap]
panels: [{{title: Training, metrics: [train/loss, weight]}}]
"""


def quadrat(root: Path, *words: str) -> tuple[int, float, str]:
    """Run the command line in ``root``: exit code, CPU seconds, what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "quadrat", *words],
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"},
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (
        done.returncode,
        after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        done.stdout + done.stderr,
    )


def make(root: Path, runs: int) -> None:
    """A finished study of that many runs, with its record."""
    rates = ", ".join(f"{0.01 * (step + 1):.2f}" for step in range(runs // 5))
    (root / "many.yaml").write_text(STUDY.format(rates=rates), encoding="utf-8")
    for words in (("run", "many.yaml"), ("record", "draft", "many")):
        code, seconds, said = quadrat(root, *words)
        if code:
            raise SystemExit(f"quadrat {' '.join(words)} ended with {code}:\n{said}")
        print(f"quadrat {' '.join(words)}: {seconds:.1f} CPU s")


def measure(root: Path, rounds: int) -> list[float]:
    """CPU seconds of the check, one number a round."""
    found: list[float] = []
    for _ in range(rounds):
        code, seconds, said = quadrat(root, "record", "check", "--json")
        if code not in (0, 1):
            raise SystemExit(f"the check ended with {code}:\n{said}")
        rules = {row["rule"] for row in json.loads(said)["findings"]}
        if not rules <= {"R1"}:
            raise SystemExit(f"a fresh draft is blank and nothing else, but the check says {rules}")
        found.append(seconds)
    return found


def main() -> int:
    """Print a line for each case; 1 when the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--root", type=Path)
    told = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as scratch:
        root = told.root or Path(scratch)
        if not (root / "experiments").is_dir():
            make(root, told.runs)
        worst = 0.0
        cases = ("results at hand", "a clone: evidence only") if told.root is None else ("results at hand",)
        for case in cases:
            if case != cases[0]:
                (root / "results").rename(root / "elsewhere")
                (root / "data").rename(root / "elsewhere-data")
            seconds = measure(root, told.rounds)
            worst = max(worst, min(seconds))
            print(f"{case}: {', '.join(f'{item:.2f}' for item in seconds)} CPU s for {told.runs} runs, bar {BAR_S} s")
    return int(worst > BAR_S)


if __name__ == "__main__":
    raise SystemExit(main())
