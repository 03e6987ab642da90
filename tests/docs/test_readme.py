"""Everything the README shows is run."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
FENCES = [
    token for token in MarkdownIt().parse((ROOT / "README.md").read_text(encoding="utf-8")) if token.type == "fence"
]


def _blocks(language: str) -> list[str]:
    return [token.content for token in FENCES if token.info == language]


@pytest.fixture(scope="module")
def shown(tmp_path_factory, make_lab):
    """A laboratory in which the README's study has been put through the README's commands, in their order."""
    lab = make_lab(tmp_path_factory.mktemp("readme"))
    (study,) = _blocks("yaml")
    (lab.root / "readme.yaml").write_text(study, encoding="utf-8")
    said = {}
    for line in _blocks("sh")[1].splitlines():
        command, _, remark = line.partition("#")
        words = shlex.split(command)
        assert words[0] == "quadrat"
        wanted = re.search(r"\(exit (\d)", remark)
        said[command.strip()] = (lab.quadrat(*words[1:], code=int(wanted[1]) if wanted else 0), remark.strip())
    return lab, said


def test_the_commands_do_what_their_remarks_say(shown):
    _, said = shown
    for command, (done, remark) in said.items():
        account = re.match(r"(\d+ planned = [\w +]+)", remark)
        if account:
            assert account[1] in done.stdout, command
    assert "verdict: identical bytes" in said["quadrat rerun readme/R0.5_S0"][0].stdout


def test_what_comes_out_is_there(shown):
    lab, _ = shown
    (listing,) = _blocks("text")
    folder = ""
    for line in listing.splitlines():
        names = re.split(r"\s{3,}", line.strip())[0].split("  ")
        for name in names:
            path = (folder if line.startswith(" ") else "") + name
            if path.endswith("R0.5_S0/"):
                folder = path
            assert list(lab.root.glob(path.replace("<date>", "*").rstrip("/"))), path


def test_the_json_command_prints_one_document(shown):
    _, said = shown
    done = next(done for command, (done, _) in said.items() if "--json" in command)
    assert json.loads(done.stdout)["status"] == "completed"


def test_the_make_targets_exist():
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {line.split()[1] for line in _blocks("sh")[0].splitlines()} <= set(targets)


def test_the_trainable_shown_has_the_shape_of_one(tmp_path):
    (code,) = _blocks("python")
    given = """\
from collections.abc import Iterator
from pydantic import BaseModel
from quadrat import Artifact, Checkpoint, Context, Event, Metrics

class Config(BaseModel):
    steps: int = 2

class Model:
    def __init__(self, config): self.weight = 0.0
    def step(self):
        self.weight += 1.0
        return self.weight
    def state(self): return {"weight": self.weight}
    def save(self, path): path.write_bytes(b"w")
"""
    space: dict = {"__name__": "shown"}
    exec(compile(given + code, "README.md", "exec"), space)
    from quadrat import Artifact, Checkpoint, Context, Metrics

    context = Context(seed=0, device="cpu", data=None, scratch=tmp_path)
    events = list(space["train"](space["Config"](), context))
    assert [type(event) for event in events] == [Metrics, Checkpoint, Metrics, Checkpoint, Artifact]
    assert events[3].state() == {"weight": 2.0}


def test_the_picture_is_there():
    for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert (ROOT / path).is_file(), path
