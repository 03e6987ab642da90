"""Twelve planted secrets: whatever way they come in, they are in no file of the study, its record or its export."""

from __future__ import annotations

import os
import subprocess
import zipfile

import pytest

PLANTED = {
    "argv": "ghp_" + "argv1A2b" * 5,
    "argv by name": "hunter2argvXyz",
    "environment": "hf_" + "environ1A2b3C" * 3,
    "environment by name": "0123456789environ0123456789",
    "question": "sk-" + "proj-question-1234567890abcdef",
    "hypothesis": "glpat-" + "hypothesis0123456789",
    "comment": "AKIA" + "COMMENT123456789",
    "remote": "hunter2remoteXyz",
    "uncommitted": "xoxb-" + "123456789012-uncommitted",
    "traceback": "ghp_" + "trace1A2b" * 5,
    "stdout": "sk-" + "stdout-1234567890abcdefghij",
    "note": "github_pat_" + "note1A2b3C4d" * 3,
}
LEAKY = f"""\
import os, sys
from collections.abc import Iterator
from pydantic import BaseModel
from quadrat import Artifact, Context, Metrics, Note


class Config(BaseModel):
    steps: int = 3
    crash: bool = False


def train(config: Config, context: Context) -> Iterator[object]:
    print("logged in with {PLANTED["stdout"][:4]}" + "{PLANTED["stdout"][4:]}", flush=True)
    print(os.environ["HF_TOKEN"], "WANDB_API_KEY=" + os.environ["WANDB_API_KEY"], file=sys.stderr)
    yield Note("login", {{"token": "{PLANTED["note"][:6]}" + "{PLANTED["note"][6:]}"}})
    for step in range(config.steps):
        yield Metrics(step + 1, {{"train/loss": 1.0 / (step + 1)}})
    if config.crash:
        raise RuntimeError("refused: " + "{PLANTED["traceback"][:4]}" + "{PLANTED["traceback"][4:]}")
    yield Artifact("note.txt", "done")
"""
STUDY = f"""\
# deploy with {PLANTED["comment"]}
study: leaky
question: Does {PLANTED["question"]} come through?
hypothesis: Not even {PLANTED["hypothesis"]} does.
trainable: leaky:train
axes: {{crash: [false, true]}}
seeds: [0]
name: C{{crash}}_S{{seed}}
sinks: [tensorboard]
"""


def git(folder, *words):
    settings = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *settings, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def leaky(tmp_path_factory, make_lab):
    """A study that was given twelve secrets, run, evaluated by its record, reported and exported."""
    lab = make_lab(tmp_path_factory.mktemp("leaky"))
    root = lab.root
    (root / "leaky.py").write_text(LEAKY)
    (root / "leaky.yaml").write_text(STUDY)
    (root / ".gitignore").write_text("results/\ndata/\n__pycache__/\n*.zip\n")
    git(root, "init", "-q")
    git(root, "add", "leaky.py", ".gitignore", "toy.yaml", "quadrat.toml")
    git(root, "commit", "-qm", "one")
    git(root, "remote", "add", "origin", f"https://me:{PLANTED['remote']}@example.org/x.git")
    (root / "deploy.sh").write_text(f"export TOKEN={PLANTED['uncommitted']}\n")
    given = {"HF_TOKEN": PLANTED["environment"], "WANDB_API_KEY": PLANTED["environment by name"]}
    os.environ.update(given)
    try:
        owner = f"owner=me by {PLANTED['argv']} and password={PLANTED['argv by name']}"
        lab.quadrat("run", "leaky.yaml", owner, "--workers", "1", code=1)
        lab.quadrat("evaluate", "leaky/Cfalse_S0", owner, code=2)
        lab.quadrat("rerun", "leaky/Cfalse_S0", "--here", code=None)
        lab.quadrat("record", "draft", "leaky")
        lab.quadrat("report", "leaky")
        lab.quadrat("export", "leaky", "-o", "leaky.zip")
    finally:
        for name in given:
            del os.environ[name]
    return lab


def held(lab):
    """Every file that Quadrat wrote, by name, with its bytes; members of the export as well."""
    written = (path for part in ("results", "experiments", "data") for path in (lab.root / part).rglob("*"))
    yield from ((str(path.relative_to(lab.root)), path.read_bytes()) for path in written if path.is_file())
    with zipfile.ZipFile(lab.root / "leaky.zip") as archive:
        yield from ((f"leaky.zip/{name}", archive.read(name)) for name in archive.namelist())


@pytest.mark.parametrize("way", PLANTED)
def test_a_planted_secret_is_nowhere(leaky, way):
    secret = PLANTED[way].encode()
    assert [name for name, content in held(leaky) if secret in content] == []


def test_the_ways_in_were_open(leaky):
    """The study ran, failed where it was told to and left a log: there was something to mask."""
    assert "1 completed + 1 failed" in leaky.quadrat("ls", "leaky").stdout
    log = (leaky.run_folder("Cfalse_S0", "leaky") / "train.log").read_text()
    assert "logged in with" in log
    error = leaky.quadrat("show", "leaky/Ctrue_S0").stdout
    assert "refused: ***" in error
    assert "nothing differs" in leaky.quadrat("verify", "leaky").stderr
