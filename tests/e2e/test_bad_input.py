"""Every bad input: one paragraph with what, where and what to try, the documented exit code, nothing lost."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys

import pytest

GOOD = """\
study: toy
question: Is every mistake named where it stands?
trainable: quadrat.testing.toy:train
config: {steps: 5}
seeds: [0]
"""
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

CASES = {
    "misspelt study key": (GOOD.replace("question:", "qestion:"), r"bad\.yaml:2.*qestion.*question"),
    "misspelt config key": (GOOD.replace("steps", "stepps"), r"bad\.yaml:4.*stepps.*steps"),
    "duplicate key": (GOOD + "seeds: [1]\n", r"bad\.yaml:6.*seeds"),
    "tab": (GOOD + "\tpack: off\n", r"bad\.yaml:6.*tab"),
    "python object": (GOOD + "owner: !!python/object:os.system {}\n", r"bad\.yaml:6.*python/object"),
    "alias bomb": (BOMB + GOOD, r"bad\.yaml:\d+.*alias"),
    "wrong type": (GOOD.replace("steps: 5", "steps: many"), r"bad\.yaml:4.*many"),
    "wrong seed": (GOOD.replace("[0]", "[zero]"), r"bad\.yaml:5.*zero"),
    "run name outside": (GOOD + "name: ../../x\n", r"bad\.yaml:6.*\.\./\.\./x"),
    "no such trainable": (GOOD.replace("toy:train", "toy:trian"), r"bad\.yaml:3.*trian.*train"),
    "grid too large": (GOOD + "axes: {rate: " + str([i + 1 for i in range(2000)]) + ", points: "
                       + str([i + 1 for i in range(200)]) + "}\n", r"400,?000"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_bad_study_file_is_refused_in_one_paragraph(lab, case):
    text, pattern = CASES[case]
    (lab.root / "bad.yaml").write_text(text, encoding="utf-8")
    before = _everything(lab.root.parent)
    for verb in ("check", "run"):
        said = lab.quadrat(verb, "bad.yaml", code=2)
        assert re.search(pattern, said.stderr), said.stderr
        assert "Try: " in said.stderr
        assert "Traceback" not in said.stderr
        assert len(said.stderr) < 2000
    assert _everything(lab.root.parent) == before


def test_several_problems_are_told_at_once(lab):
    text = GOOD.replace("question", "qestion").replace("steps", "stepps")
    (lab.root / "bad.yaml").write_text(text, encoding="utf-8")
    said = lab.quadrat("check", "bad.yaml", code=2).stderr
    assert "bad.yaml:2" in said
    assert "bad.yaml:4" in said


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        (("run", "toy.yaml", "stepps=5"), "stepps.*steps"),
        (("run", "toy.yaml", "arms=[nobody]"), "nobody"),
        (("run", "toy.yaml", "--launcher", "slrum"), "slrum.*known: inline, pool"),
        (("run", "fluxem/smok"), "fluxem/smok.*fluxem/smoke"),
        (("run", "nothing.yaml"), "nothing.yaml"),
        (("show", "R9_S9"), "R9_S9"),
        (("ls", "nobody"), "nobody"),
        (("rnu", "toy.yaml"), "rnu.*run"),
        (("run",), "Missing argument"),
    ],
)
def test_a_bad_word_on_the_command_line_exits_2(lab, words, pattern):
    said = lab.quadrat(*words, code=2)
    assert re.search(pattern, said.stderr), said.stderr
    assert "Traceback" not in said.stderr


def test_an_unwritable_folder_is_refused_before_anything_runs(lab):
    """root may write everywhere, so for root a file stands where the folder should be."""
    if os.geteuid() == 0:
        (lab.root / "results").write_text("in the way")
    else:
        (lab.root / "results").mkdir(mode=0o555)
    said = lab.quadrat("run", "toy.yaml", code=5)
    assert "results/toy" in said.stderr
    assert "Try: " in said.stderr
    assert "Traceback" not in said.stderr


def test_training_survives_a_full_disk(lab):
    """The file-size limit makes every write past 6 kB fail as a full disk does."""
    lab.write(steps=400)
    lab.quadrat("plan", "toy.yaml", "seeds=[0]", "axes.rate=[0.5]", "--commands")
    job = next(path.parent for path in (lab.root / "results/toy/.jobs").rglob("job.json"))
    command = [sys.executable, "-m", "quadrat.run.worker", str(job)]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=_small_files, check=False)
    assert done.returncode == 1, done.stderr
    assert "rows could not be written, so the run's numbers are not whole" in done.stderr
    assert _status(lab) == "failed"
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    other = lab.run_folder("R0.5_S0")
    rows = (other / "metrics.ndjson").read_bytes()
    assert rows.count(b"\n") == 401
    assert _status(lab) == "completed"


def _status(lab) -> str:
    return json.loads((lab.run_folder("R0.5_S0") / "verdict.json").read_bytes())["status"]


def _small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))


def _everything(folder) -> set[str]:
    return {str(path) for path in folder.rglob("*") if "__pycache__" not in str(path)}
