"""``quadrat rerun``: the same run again, beside the original, and how alike the two are."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import psutil
import pytest

OWN = """\
from collections.abc import Iterator
from pydantic import BaseModel
from quadrat import Artifact, Context, Metrics


class Config(BaseModel):
    steps: int = 4


def train(config: Config, context: Context) -> Iterator[object]:
    from scales import FACTOR
    for step in range(1, config.steps + 1):
        yield Metrics(step, {"train/loss": FACTOR / (step + context.seed), "train/seconds": 1.0})
    yield Artifact("last.jsonl", [{"factor": FACTOR}])
"""
STUDY = """\
study: own
question: Does a run that is made again give the same bytes?
hypothesis: It does.
trainable: owned.train:train
seeds: [0, 1, 2]
name: S{seed}
"""


def git(folder, *words):
    settings = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    return subprocess.run(["git", *settings, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


def tree(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory, make_lab):
    """A git repository with a package of its own, an uncommitted edit and three finished runs."""
    lab = make_lab(tmp_path_factory.mktemp("made"))
    package = lab.root / "owned"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "train.py").write_text(OWN.replace("from scales", "from owned.scales"))
    (package / "scales.py").write_text("FACTOR = 1.0\n")
    (lab.root / "own.yaml").write_text(STUDY)
    (lab.root / ".gitignore").write_text("results/\ndata/\n__pycache__/\n")
    git(lab.root, "init", "-q")
    git(lab.root, "add", ".")
    git(lab.root, "commit", "-qm", "one")
    (package / "scales.py").write_text("FACTOR = 2.0\n")  # never committed: only the saved diff has it
    lab.quadrat("run", "own.yaml", "--workers", "1")
    return lab


@pytest.fixture
def repo(made, tmp_path):
    place = tmp_path / "repo"
    shutil.copytree(made.root, place)
    return type(made)(place)


def report(lab, number=1, run="own/.reruns/S0"):
    return json.loads((lab.root / "results" / run / str(number) / "rerun.json").read_text())


def test_the_recorded_code_is_put_back_and_gives_identical_bytes(repo):
    """The tree has moved on twice since: a commit that scales by three, an edit that scales by four."""
    scales = repo.root / "owned" / "scales.py"
    scales.write_text("FACTOR = 3.0\n")
    git(repo.root, "commit", "-qam", "two")
    scales.write_text("FACTOR = 4.0\n")
    run = repo.run_folder("S0", "own")
    before, state = tree(run), git(repo.root, "status", "--porcelain") + git(repo.root, "worktree", "list")
    done = repo.quadrat("rerun", "own/S0")
    assert "verdict: identical bytes" in done.stdout
    assert "and the saved diff" in done.stderr
    assert done.stdout.index("causes") < done.stdout.index("effects")
    assert tree(run) == before
    assert git(repo.root, "status", "--porcelain") + git(repo.root, "worktree", "list") == state
    told = report(repo)
    assert (told["level"], told["expected"], told["effects"]["clocks"]) == (
        "identical bytes",
        "identical bytes",
        ["train/seconds"],
    )
    assert sorted(path.name for path in (repo.root / "results/own/.reruns/S0/1").iterdir()) == ["S0", "rerun.json"]
    assert "1 evaluations and re-runs" in repo.quadrat("verify", "own").stderr
    assert repo.quadrat("ls", "own").stdout.startswith("3 planned = 3 completed")


def test_a_loss_shifted_by_one_per_cent_differs_and_is_named_with_its_cause(repo):
    (repo.root / "owned" / "scales.py").write_text("FACTOR = 2.02\n")
    done = repo.quadrat("rerun", "own/S1", "--here", "--json", code=1)
    told = json.loads(done.stdout)
    assert told["level"] == told["expected"] == "differs"
    assert told["effects"]["first"] == {"step": 1, "metric": "train/loss", "then": 1.0, "now": 1.01}
    assert told["effects"]["files"] == ["artifacts/last.jsonl"]
    assert {item["key"] for item in told["causes"]["code"]} == {"code_sha256", "tree"}
    assert not told["causes"]["environment"]
    assert "code at hand, as asked for" in done.stderr


def test_a_second_rerun_has_a_number_of_its_own_and_what_cannot_be_put_back_is_said(repo):
    shutil.rmtree(repo.root / ".git")
    for _ in range(2):
        done = repo.quadrat("rerun", "own/S0")
        assert "not the recorded one: there is no git repository here now" in done.stderr
    assert report(repo, 2)["code"].startswith("the code at hand")
    assert report(repo, 2)["folder"] == "results/own/.reruns/S0/2/S0"


def test_outside_git_the_toy_gives_identical_bytes_with_its_data_lent(lab):
    lab.quadrat("run", "toy.yaml", "axes.rate=[0.5]", "seeds=[0]", "resources.threads=2", "--workers", "1")
    done = lab.quadrat("rerun", "R0.5_S0")
    assert "made outside git" in done.stderr
    assert "verdict: identical bytes: 21 rows" in done.stdout
    then = json.loads((lab.run_folder("R0.5_S0") / "params.ndjson").read_text())
    again = json.loads((lab.root / "results/toy/.reruns/R0.5_S0/1/R0.5_S0/params.ndjson").read_text())
    assert (then["threads"], again["threads"]) == (2, 2)
    assert again["determinism"] == then["determinism"] != {}
    points = next((lab.root / "data").glob("*/points.txt"))
    points.write_text(points.read_text().replace("1.0", "1.5"))
    done = lab.quadrat("rerun", "R0.5_S0")
    assert "points.txt has other contents" in done.stderr
    assert "built anew" in done.stderr
    assert "verdict: identical bytes" in done.stdout
    assert "1.5" in points.read_text()


def test_a_failed_run_fails_again_and_a_damaged_one_is_refused(lab):
    lab.quadrat("run", "toy.yaml", "axes.rate=[0.5]", "seeds=[0]", "crash_at=3", "--workers", "1", code=1)
    assert "identical bytes" in lab.quadrat("rerun", "R0.5_S0").stdout
    metrics = lab.run_folder("R0.5_S0") / "metrics.ndjson"
    metrics.write_bytes(metrics.read_bytes().replace(b"1", b"2", 1))
    assert "not as it was sealed: metrics.ndjson" in lab.quadrat("rerun", "R0.5_S0", code=5).stderr
    assert "R0.5_S0" in lab.quadrat("rerun", "R0.5_S9", code=2).stderr


def test_the_verdict_is_written_into_the_record_and_stays_true(lab):
    lab.quadrat("run", "toy.yaml", "axes.rate=[0.5]", "seeds=[0]", "--workers", "1")
    record = lab.root / lab.quadrat("record", "draft", "toy").stdout.strip()
    assert "not attempted" in record.read_text()
    record.write_text(record.read_text() + "\nMy own words.\n")
    assert "filled in" in lab.quadrat("rerun", "R0.5_S0").stderr
    text = record.read_text()
    assert "not attempted" not in text
    assert "identical bytes: 21 rows of metrics" in text
    assert "My own words." in text
    findings = lab.quadrat("record", "check", code=1).stdout.splitlines()
    assert all("blank" in line for line in findings), findings
    assert "nothing differs" in lab.quadrat("verify").stderr


PROGRAM = """\
import json, sys
from scale import FACTOR
rate, place = float(sys.argv[1]), sys.argv[2]
with open(place + "/metrics.jsonl", "w") as rows:
    for step in range(1, 4):
        rows.write(json.dumps({"step": step, "loss": FACTOR * rate / step}) + "\\n")
"""


def test_a_program_runs_again_from_the_recorded_commit(lab):
    (lab.root / "program.py").write_text(PROGRAM)
    (lab.root / "scale.py").write_text("FACTOR = 1.0\n")
    (lab.root / "program.yaml").write_text(
        "study: program\nquestion: Does it come out again?\nhypothesis: Yes.\n"
        "command: python program.py {rate} {run_dir}\naxes: {rate: [0.5]}\nseeds: [0]\n"
    )
    (lab.root / ".gitignore").write_text("results/\ndata/\n__pycache__/\n")
    git(lab.root, "init", "-q")
    git(lab.root, "add", ".")
    git(lab.root, "commit", "-qm", "one")
    lab.quadrat("run", "program.yaml", "--workers", "1")
    (lab.root / "scale.py").write_text("FACTOR = 1.01\n")
    run = next(path.parent for path in lab.root.glob("results/program/*/params.ndjson"))
    assert "verdict: identical bytes" in lab.quadrat("rerun", str(run)).stdout
    assert "loss was 0.5, is 0.505" in lab.quadrat("rerun", str(run), "--here", code=1).stdout


def test_a_loop_of_ones_own_is_told_apart(lab):
    begin = "with quadrat.start_run(study='loop', name='first', config={'a': 1}, seed=0) as run:"
    loop = f"import quadrat\n{begin}\n    run.log(1, loss=1.0)\n"
    (lab.root / "loop.py").write_text(loop)
    subprocess.run([sys.executable, "loop.py"], cwd=lab.root, check=True)
    assert "nothing differs" in lab.quadrat("verify", "loop/first").stderr
    assert "a loop of its own" in lab.quadrat("rerun", "loop/first", code=2).stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_that_is_stopped_leaves_nothing(lab, eventually, number, code):
    words = ("axes.rate=[0.5]", "seeds=[0]", "steps=8", "seconds_per_step=0.2")
    lab.quadrat("run", "toy.yaml", *words, "--workers", "1")
    before = tree(lab.run_folder("R0.5_S0"))
    process = lab.start("rerun", "R0.5_S0")
    again = lab.root / "results/toy/.reruns/R0.5_S0"
    eventually(lambda: any(again.rglob("metrics.ndjson")) or process.poll() is not None)
    (worker,) = psutil.Process(process.pid).children()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, ""), err
    assert not worker.is_running()
    assert not again.exists()
    assert tree(lab.run_folder("R0.5_S0")) == before


STUDY_CODE = """\
from collections.abc import Iterator
from quadrat import Context, Event, Metrics
from quadrat_studies.STUDY import experiment
from quadrat_studies.STUDY.config import Config

FACTOR = 1.0
build_data = experiment.build_data


def train(config: Config, context: Context) -> Iterator[Event]:
    for event in experiment.train(config, context):
        if isinstance(event, Metrics) and "train/loss" in event.values:
            event = Metrics(event.step, {**event.values, "train/loss": event.values["train/loss"] * FACTOR})
        yield event
"""


@pytest.mark.parametrize(
    ("study", "run", "overrides"),
    [
        ("fluxem", "token_only_S0", ["arms=[token_only]", "seeds=[0]", "training.epochs=1"]),
        ("symmetry", "gate_S42", ["arms=[gate]", "axes.n_layers=[2]", "axes.gamma=[1.0]"]),
        ("etrm", "standard_S0", ["arms=[standard]"]),
        ("bilevel", "envelope_S0", ["arms=[envelope]"]),
    ],
)
def test_a_studys_smoke_run_gives_identical_bytes_and_a_loss_shifted_by_one_per_cent_is_named(
    lab, study, run, overrides
):
    smoke = (Path(str(files(f"quadrat_studies.{study}"))) / "smoke.yaml").read_text()
    code = STUDY_CODE.replace("STUDY", study)
    (lab.root / "smoke.yaml").write_text(smoke.replace(f"quadrat_studies.{study}.experiment:train", "shifted:train"))
    (lab.root / "shifted.py").write_text(code)
    lab.quadrat("run", "smoke.yaml", *overrides, "--no-canary", "--workers", "1")
    assert "verdict: identical bytes" in lab.quadrat("rerun", f"{study}_smoke/{run}").stdout
    (lab.root / "shifted.py").write_text(code.replace("FACTOR = 1.0", "FACTOR = 1.01"))
    told = json.loads(lab.quadrat("rerun", f"{study}_smoke/{run}", "--json", code=1).stdout)
    first = told["effects"]["first"]
    assert (told["level"], first["metric"]) == ("differs", "train/loss")
    assert first["now"] == pytest.approx(1.01 * first["then"])
    assert {item["key"] for item in told["causes"]["code"]} == {"code_sha256"}
