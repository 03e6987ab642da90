"""A study from its file to sealed runs, through the real command line."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

RUNS = [f"R{rate}_S{seed}" for rate in ("0.1", "0.5") for seed in (0, 1, 2)]


def test_a_study_runs_to_its_end_and_says_so(lab):
    lab.quadrat("run", "toy.yaml")
    listing = json.loads(lab.quadrat("ls", "toy", "--json").stdout)
    assert sorted(run["name"] for run in listing["runs"]) == RUNS
    assert {run["status"] for run in listing["runs"]} == {"completed"}
    assert listing["account"].startswith("6 planned = 6 completed")


def test_the_run_folder_is_what_the_contract_says(lab):
    lab.quadrat("run", "toy.yaml", "seeds=[0]")
    folder = lab.run_folder("R0.1_S0")
    expected = {
        "config.yaml", "params.ndjson", "metrics.ndjson", "events.ndjson", "metrics.json", "health.json",
        "verdict.json", "env.json", "git.json", "git.diff", "data.json", "artifacts", "checkpoints", "train.log",
        "manifest.json",
    }  # fmt: skip
    assert {path.name for path in folder.iterdir()} == expected
    params = json.loads((folder / "params.ndjson").read_text().splitlines()[0])
    assert params["seed_requested"] == 0 == params["seed_applied"]
    row = json.loads((folder / "metrics.ndjson").read_text().splitlines()[0])
    assert set(row) == {"step", "metrics"}


def test_running_again_starts_nothing_and_touches_nothing(lab):
    lab.quadrat("run", "toy.yaml")
    before = _stamps(lab.root)
    said = lab.quadrat("run", "toy.yaml")
    assert "nothing to do" in said.stderr
    assert _stamps(lab.root) == before


def test_same_seed_same_bytes_in_two_folders(lab, tmp_path_factory, make_lab):
    other = make_lab(tmp_path_factory.mktemp("elsewhere"))
    for place in (lab, other):
        place.quadrat("run", "toy.yaml", "axes.rate=[0.5]")
    for seed in (0, 1, 2):
        mine, theirs = (place.run_folder(f"R0.5_S{seed}") for place in (lab, other))
        for name in ("metrics.ndjson", "metrics.json", "artifacts/predictions.jsonl", "config.yaml"):
            assert (mine / name).read_bytes() == (theirs / name).read_bytes()
    assert (lab.run_folder("R0.5_S0") / "metrics.ndjson").read_bytes() != (
        lab.run_folder("R0.5_S1") / "metrics.ndjson"
    ).read_bytes()


def test_a_crash_fails_its_run_alone_and_keeps_the_traceback(lab):
    lab.write(more="arms: {bad: {crash_at: 7}}")
    lab.quadrat("run", "toy.yaml", "seeds=[0]", code=1)
    listing = json.loads(lab.quadrat("ls", "toy", "--json").stdout)
    assert {run["name"]: run["status"] for run in listing["runs"]}["R0.5_S0"] == "completed"
    failed = lab.quadrat("ls", "toy", "--failed").stdout
    assert "told to crash at step 7" in failed
    assert "Traceback" in failed


def test_a_failed_run_is_tried_again_and_the_others_are_not(lab):
    lab.write(more="arms: {bad: {crash_at: 7}}", steps=10)
    lab.quadrat("run", "toy.yaml", "seeds=[0]", code=1)
    before = _stamps(lab.run_folder("R0.5_S0"))
    lab.quadrat("run", "toy.yaml", "seeds=[0]", code=1)
    assert _stamps(lab.run_folder("R0.5_S0")) == before
    bad = next(run for run in (lab.root / "results/toy").iterdir() if run.name.startswith("bad"))
    assert len((bad / "params.ndjson").read_text().splitlines()) == 2
    assert json.loads((bad / "params.ndjson").read_text().splitlines()[1])["resumed_from"]


def test_a_rule_stops_a_sick_run_by_name(lab):
    rule = (
        "{id: nonfinite_loss, metric: train/loss, fail: nonfinite, action: stop, diagnosis: The loss left the numbers.}"
    )
    lab.write(more=f"rules: [{rule}]\narms: {{sick: {{nan_at: 4}}}}")
    lab.quadrat("run", "toy.yaml", "seeds=[0]", code=4)
    sick = next(run for run in (lab.root / "results/toy").iterdir() if run.name.startswith("sick"))
    verdict = json.loads((sick / "verdict.json").read_text())
    assert verdict["status"] == "stopped"
    assert verdict["diagnosis"]["rule"] == "nonfinite_loss"
    assert verdict["diagnosis"]["step"] == 4
    # A stopped run is an answer: it is not tried again, and the study still says so.
    assert "nothing to do" in lab.quadrat("run", "toy.yaml", "seeds=[0]", code=4).stderr


def test_plan_commands_do_the_same_as_run(lab):
    lines = lab.quadrat("plan", "toy.yaml", "--commands").stdout.splitlines()
    assert len(lines) == len(RUNS)
    for line in lines[:2]:
        subprocess.run(line, shell=True, cwd="/", check=True)
    assert lab.quadrat("plan", "toy.yaml").stdout.startswith("6 planned = 4 pending + 2 completed")


def test_inline_and_pool_write_the_same_bytes(lab, tmp_path_factory, make_lab):
    other = make_lab(tmp_path_factory.mktemp("inline"))
    lab.quadrat("run", "toy.yaml", "seeds=[1]")
    other.quadrat("run", "toy.yaml", "seeds=[1]", "--launcher", "inline")
    name = "R0.1_S1/metrics.ndjson"
    assert (lab.root / "results/toy" / name).read_bytes() == (other.root / "results/toy" / name).read_bytes()


def test_the_same_name_with_another_config_is_refused_by_name(lab):
    lab.quadrat("run", "toy.yaml", "axes.rate=[0.1]")
    said = lab.quadrat("run", "toy.yaml", "axes.rate=[0.1]", "noise=0.5", code=2)
    assert "R0.1_S0" in said.stderr
    assert "Traceback" not in said.stderr


def test_verify_names_the_byte_that_was_flipped(lab):
    lab.quadrat("run", "toy.yaml", "seeds=[0]")
    target = lab.run_folder("R0.1_S0") / "metrics.ndjson"
    stamp = target.stat()
    content = bytearray(target.read_bytes())
    content[40] ^= 1
    target.write_bytes(content)
    os.utime(target, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    said = lab.quadrat("verify", "toy", code=5)
    assert "results/toy/R0.1_S0/metrics.ndjson" in said.stdout


def _stamps(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


FULL = """\
import resource
from collections.abc import Iterator
from pydantic import BaseModel
from quadrat import Context, Metrics


class Config(BaseModel):
    room: int = 20_000


def train(config: Config, context: Context) -> Iterator[object]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (config.room, hard))
    for step in range(1000):
        yield Metrics(step, {"train/loss": 1.0 / (step + 1)})
"""


def test_a_run_whose_last_rows_wait_for_room_on_the_disk_has_failed(lab):
    (lab.root / "full.py").write_text(FULL)
    (lab.root / "full.yaml").write_text("study: full\nquestion: Is it whole?\ntrainable: full:train\nname: one\n")
    lab.quadrat("run", "full.yaml", "--no-canary", "--workers", "1", code=1)
    folder = lab.run_folder("one", "full")
    verdict = json.loads((folder / "verdict.json").read_text())
    kept = (folder / "metrics.ndjson").read_bytes()
    assert 0 < len(kept) <= 20_000
    assert kept.endswith(b"\n")
    assert verdict["status"] == "failed"
    assert "rows could not be written, so the run's numbers are not whole" in verdict["error"]["message"]
