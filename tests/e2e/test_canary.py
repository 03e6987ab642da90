"""Before a sweep one run goes alone, and what it took is the forecast for all."""

from __future__ import annotations

import json
import re
import signal

SWEEP = ("run", "toy.yaml", "seeds=[0,1,2,3,4,5,6]")


def test_a_sweep_begins_with_a_forecast(lab):
    said = lab.quadrat(*SWEEP, "seconds_per_step=0.001")
    line = next(line for line in said.stderr.splitlines() if "forecast" in line)
    assert re.search(r"14 runs, at most \d+ s, [\d.e-]+ GB of disk \(\d+ GB free\)", line), line
    assert lab.quadrat("ls", "toy").stdout.startswith("14 planned = 14 completed")


def test_the_canary_leaves_no_run_behind_and_changes_none(lab, tmp_path_factory, make_lab):
    other = make_lab(tmp_path_factory.mktemp("without"))
    lab.quadrat(*SWEEP)
    other.quadrat(*SWEEP, "--no-canary")
    for name in ("R0.1_S0", "R0.5_S6"):
        mine, theirs = (place.run_folder(name) / "metrics.ndjson" for place in (lab, other))
        assert mine.read_bytes() == theirs.read_bytes()
    assert len((lab.run_folder("R0.1_S0") / "params.ndjson").read_text().splitlines()) == 1


def test_a_first_run_that_crashes_stops_the_sweep_before_it_starts(lab):
    said = lab.quadrat(*SWEEP, "crash_at=2", code=1)
    assert "told to crash at step 2" in said.stderr
    assert "--no-canary" in said.stderr
    assert lab.quadrat("ls", "toy").stdout.startswith("14 planned = 14 missing")


def test_compile_auto_asks_the_canary_and_says_what_it_chose(lab):
    said = lab.quadrat("run", "toy.yaml", "compile=auto")
    assert "compile: auto: 0 of 6 jobs are long enough" in said.stderr + said.stdout
    rows = (lab.run_folder("R0.5_S2") / "params.ndjson").read_text().splitlines()
    assert json.loads(rows[-1])["compiled"] is False


def test_a_run_that_goes_on_is_compiled_as_it_was(lab, eventually):
    words = ("axes.rate=[0.5]", "seeds=[7]", "steps=60", "seconds_per_step=0.02")
    process = lab.start("run", "toy.yaml", "compile=on", *words)
    folder = lab.run_folder("R0.5_S7")
    eventually(lambda: list(folder.glob("checkpoints/step-*")))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    lab.quadrat("run", "toy.yaml", "compile=off", *words)
    rows = [json.loads(line) for line in (folder / "params.ndjson").read_text().splitlines()]
    assert [row["compiled"] for row in rows] == [True, True]
