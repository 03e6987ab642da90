"""Planted secrets: whatever way they come in, no file of the study, its record, its export or its mirrors has them."""

from __future__ import annotations

import os
import subprocess
import sys
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
    "argv after its name": "ownArgvAfter0123456789",
    "config of a loop": "ownConfig0123456789",
    "url in the config of a loop": "hunter2urlXyz",
    "argv of a program": "commandArgv0123456789",
    "argv in the background": "glpat-" + "detached0123456789ab",
}
OWN = f"""\
import sys
import quadrat

config = {{"api_key": {PLANTED["config of a loop"]!r}}}
config["store"] = "s3://me:{PLANTED["url in the config of a loop"]}@host/x"
assert sys.argv[1] == "--api-key"
with quadrat.start_run("own", "first", config=config, seed=0) as run:
    run.log(1, loss=1.0)
"""
PROGRAM = "import sys; sys.exit(sys.argv[2] != 'kept')"
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
sinks: [tensorboard, wandb]
"""


def git(folder, *words):
    settings = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *settings, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def leaky(tmp_path_factory, make_lab, eventually):
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
    given = {
        "HF_TOKEN": PLANTED["environment"],
        "WANDB_API_KEY": PLANTED["environment by name"],
        "WANDB_MODE": "offline",
    }
    os.environ.update(given)
    try:
        owner = f"owner=me by {PLANTED['argv']} and password={PLANTED['argv by name']}"
        lab.quadrat("run", "leaky.yaml", owner, "--workers", "1", code=1)
        lab.quadrat("evaluate", "leaky/Cfalse_S0", owner, code=2)
        lab.quadrat("rerun", "leaky/Cfalse_S0", "--here", code=None)
        mirrors = [root / f"results/leaky/.mirror/{name}.json" for name in ("tensorboard", "wandb")]
        eventually(lambda: all(path.exists() for path in mirrors))
        lab.quadrat("sync", "leaky")
        lab.quadrat("record", "draft", "leaky")
        lab.quadrat("report", "leaky")
        lab.quadrat("export", "leaky", "-o", "leaky.zip")
        (root / "own.py").write_text(OWN)
        told = [sys.executable, "own.py", "--api-key", PLANTED["argv after its name"]]
        subprocess.run(told, cwd=root, check=True, capture_output=True)
        lab.quadrat("record", "draft", "own")
        lab.quadrat("export", "own", "-o", "own.zip")
        lab.quadrat("run", "--", "python", "-c", PROGRAM, "--password", PLANTED["argv of a program"], code=2)
        lab.quadrat("run", "toy.yaml", f"owner={PLANTED['argv in the background']}", "seeds=[0]", "--detach")
        log = root / "results/toy/conductor.log"
        eventually(lambda: "planned =" in log.read_text())
    finally:
        for name in given:
            del os.environ[name]
    return lab


def held(lab):
    """Every file that Quadrat wrote, by name, with its bytes; members of the export as well."""
    written = (path for part in ("results", "experiments", "data") for path in (lab.root / part).rglob("*"))
    yield from ((str(path.relative_to(lab.root)), path.read_bytes()) for path in written if path.is_file())
    for name in ("leaky.zip", "own.zip"):
        with zipfile.ZipFile(lab.root / name) as archive:
            yield from ((f"{name}/{member}", archive.read(member)) for member in archive.namelist())


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
    kept = {name.partition("/")[2].split("/")[0] for name, _ in held(leaky)}
    assert {"leaky", "own"} <= kept
    assert any("tfevents" in name for name, _ in held(leaky))
    assert any(name.endswith(".wandb") for name, _ in held(leaky))
    assert "owner=***" in (leaky.root / "results/toy/conductor.log").read_text()


IN_A_FILE = {
    "by name": ("config: {api_key: SECRET}", "plainSecret0123"),
    "by shape": ("config: {steps: 3, words: SECRET}", "sk-" + "config-1234567890abcdef"),
    "in a URL": ("config: {store: 'postgresql://me:SECRET@host/db'}", "hunter2config"),
    "in an axis": ("axes: {api_key: [SECRET, other012345]}", "plainSecret0123"),
    "in an arm": ("arms: {one: {password: SECRET}}", "plainSecret0123"),
    "in a stage": ("stages: [{name: first, config: {auth_token: SECRET}}]", "plainSecret0123"),
    "in a command": ("command: python x.py --api-key SECRET", "plainSecret0123"),
    "in a rule": ("rules: [{id: r, metric: m, fail: nonfinite, remedy: use SECRET}]", "hf_" + "rule1A2b3C" * 3),
    "in a default": ("config: {steps: 4}", "plainDefault0123"),
}
CONFIG = """\
from collections.abc import Iterator
from pydantic import BaseModel
from quadrat import Context, Metrics

class Config(BaseModel):
    steps: int = 3
    words: str = ""
    store: str = ""
    api_key: str = DEFAULT
    password: str = "$DB_PASSWORD"
    auth_token: str | None = None

def train(config: Config, context: Context) -> Iterator[object]:
    yield Metrics(1, {"m": 1.0})
"""


@pytest.mark.parametrize("way", IN_A_FILE)
def test_a_secret_in_what_is_kept_whole_is_refused_in_one_paragraph(lab, way):
    """A config is hashed and given to every re-run, so it cannot be masked; the variable that holds it can be named."""
    written, secret = IN_A_FILE[way]
    default = secret if way == "in a default" else ""
    (lab.root / "secretive.py").write_text(CONFIG.replace("DEFAULT", repr(default)))
    trainable = "" if way == "in a command" else "trainable: secretive:train\n"
    study = f"study: kept\nquestion: Is it kept?\n{trainable}{written.replace('SECRET', secret)}\n"
    (lab.root / "kept.yaml").write_text(study)
    done = lab.quadrat("run", "kept.yaml", code=2)
    assert "holds a secret" in done.stderr
    assert "environment variable" in done.stderr
    assert secret not in done.stderr
    assert not (lab.root / "results").exists()


def test_an_override_is_refused_too_and_a_reference_is_not(lab):
    (lab.root / "secretive.py").write_text(CONFIG.replace("DEFAULT", "''"))
    (lab.root / "kept.yaml").write_text("study: kept\nquestion: Is it kept?\ntrainable: secretive:train\n")
    refused = lab.quadrat("run", "kept.yaml", "api_key=plainSecret0123", "--detach", code=2).stderr
    assert "config.api_key holds a secret" in refused
    assert "plainSecret0123" not in refused
    lab.quadrat("run", "kept.yaml", "api_key=$API_KEY", "--workers", "1")
    (config,) = lab.root.glob("results/kept/*/config.yaml")
    assert "api_key: $API_KEY" in config.read_text()
