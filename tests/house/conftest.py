"""What the house tests share: the repository, its files, copies to plant faults in, and snapshots."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_OURS = {"results", "data", "build", "dist", "site", "__pycache__"}


def is_scratch(path: Path) -> bool:
    """Whether a path lies in a folder that git would ignore: caches, results, the environment."""
    hidden = any(part.startswith(".") and part != ".ci" for part in path.parts[:-1])
    return hidden or bool(NOT_OURS & set(path.parts[:-1]))


@pytest.fixture(scope="session")
def repo() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def our_files() -> list[Path]:
    """Every file that is, or is about to be, under version control; relative to the root."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(listing, cwd=ROOT, capture_output=True, check=False)
    if found.returncode == 0:
        paths = [Path(os.fsdecode(name)) for name in found.stdout.split(b"\0") if name]
    else:  # an unpacked archive has no repository around it
        paths = [path.relative_to(ROOT) for path in ROOT.rglob("*")]
        paths = [path for path in paths if not is_scratch(path)]
    return sorted(path for path in set(paths) if (ROOT / path).is_file())


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """The path of a program installed beside the interpreter that runs these tests."""

    def find(name: str) -> str:
        path = Path(sys.executable).parent / name
        assert path.exists(), f"{name} is not installed beside {sys.executable}; run `make setup`"
        return str(path)

    return find


@pytest.fixture
def copy_of_tree(tmp_path: Path) -> Callable[..., Path]:
    """A copy of ``pyproject.toml`` and of ``src``, or of some folders below it, to plant a fault in."""

    def make(*folders: str) -> Path:
        copy = tmp_path / "tree"
        copy.mkdir()
        shutil.copy(ROOT / "pyproject.toml", copy)
        for folder in folders or ("src",):
            shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
        return copy

    return make


@pytest.fixture
def hold() -> Callable[..., None]:
    """Compare text with a file that freezes it; QUADRAT_UPDATE_SNAPSHOTS=1 writes the file instead."""

    def compare(path: Path, text: str) -> None:
        if os.environ.get("QUADRAT_UPDATE_SNAPSHOTS"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"{path.name} is missing; make it with QUADRAT_UPDATE_SNAPSHOTS=1"
        assert text.splitlines() == path.read_text(encoding="utf-8").splitlines(), (
            f"a frozen surface has changed. If that is meant, run the test with QUADRAT_UPDATE_SNAPSHOTS=1 "
            f"and commit {path.name} together with a line in CHANGELOG.md"
        )

    return compare
