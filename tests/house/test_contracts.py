"""The import contracts hold on the tree, and each of them catches the fault it is there for."""

from __future__ import annotations

import os
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

BESIDE = {"testing"}  # cases for plug-in authors: on no floor, imported by nobody


@pytest.fixture
def lint_imports(tool: Callable[[str], str]) -> Callable[[Path], subprocess.CompletedProcess[str]]:
    def run(tree: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [tool("lint-imports"), "--no-logo", "--no-cache"],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree / "src"), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def contracts(repo: Path) -> dict[str, dict]:
    settings = tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))
    return {item["id"]: item for item in settings["tool"]["importlinter"]["contracts"]}


PLANTS = [
    ("floors", "quadrat/journal", "import quadrat.conduct"),
    ("floors", "quadrat/core", "import quadrat.study"),
    ("floors", "quadrat/journal", "import quadrat.study"),
    ("floors", "quadrat/launchers", "import quadrat.sinks"),
    ("floors", "quadrat/launchers", "import quadrat.run"),
    ("wings", "quadrat/analyze", "import quadrat.health"),
    ("wings", "quadrat/report", "import quadrat.sinks"),
    ("science", "quadrat_studies/fluxem", "from quadrat.core import events"),
    ("science", "quadrat_studies/fluxem", "import quadrat.journal"),
    ("instrument", "quadrat/run", "import quadrat_studies.fluxem"),
    ("torch", "quadrat/run", "import torch.nn"),
    ("torch", "quadrat/journal", "def late():\n    import safetensors"),
    ("matplotlib", "quadrat/analyze", "def late():\n    import matplotlib.pyplot"),
    ("studies", "quadrat_studies/second", "import quadrat_studies.fluxem"),
    ("testing", "quadrat/run", "import quadrat.testing"),
    ("core", "quadrat/core", "import rich"),
]


def test_the_tree_keeps_every_contract(
    repo: Path, lint_imports: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = lint_imports(repo)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("contract", "room", "line"), PLANTS)
def test_a_planted_violation_is_caught(
    repo: Path,
    copy_of_tree: Callable[..., Path],
    lint_imports: Callable[..., subprocess.CompletedProcess[str]],
    contract: str,
    room: str,
    line: str,
) -> None:
    tree = copy_of_tree()
    place = tree / "src" / room
    place.mkdir(exist_ok=True)
    (place / "__init__.py").touch()
    (place / "planted.py").write_text(line + "\n")
    done = lint_imports(tree)
    broken = {key for key, item in contracts(repo).items() if f"{item['name']} BROKEN" in done.stdout}
    assert done.returncode == 1, done.stdout + done.stderr
    assert broken == {contract}


def test_every_contract_has_a_planted_violation(repo: Path) -> None:
    assert {contract for contract, _, _ in PLANTS} == set(contracts(repo))


def test_every_room_stands_on_a_floor(repo: Path) -> None:
    floors = " | ".join(contracts(repo)["floors"]["layers"])
    named = {room.strip().removeprefix("quadrat.") for room in floors.split("|")}
    rooms = {path.parent.name for path in (repo / "src/quadrat").glob("*/__init__.py")}
    assert rooms - BESIDE == named


def test_the_walls_name_every_room(repo: Path) -> None:
    """A forbidden list that was not extended when a room was added would let that room through."""
    rooms = {f"quadrat.{path.parent.name}" for path in (repo / "src/quadrat").glob("*/__init__.py")}
    rooms -= {f"quadrat.{room}" for room in BESIDE}
    walls = contracts(repo)
    wings = {*walls["wings"]["source_modules"], *walls["wings"]["forbidden_modules"]}
    neutral = {"quadrat.core", "quadrat.study", "quadrat.journal", "quadrat.cli"}
    assert wings | neutral == rooms
    assert {*walls["science"]["forbidden_modules"], "quadrat.tensor"} == rooms
    assert {*walls["torch"]["source_modules"], "quadrat.tensor"} == rooms
    assert {*walls["matplotlib"]["source_modules"], "quadrat.report"} == rooms
