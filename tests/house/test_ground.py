"""The ground: build files agree with each other, dependencies are pinned and explained, nothing names a machine."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

import quadrat

APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
TARGETS = ["setup", "check", "test", "demo", "bench", "docs", "clean"]
GROUPS = {f"quadrat.{family}" for family in ("studies", "launchers", "sinks", "rules", "exports", "imports")}
# In pieces, so that this file does not find itself.
MACHINE = re.compile(
    "|".join(
        [
            r"(?<![\w.~})>\]*-])/" + r"(?:work|root)(?![\w.-])",
            r"\bpypi" + r"\.org|pythonhosted" + r"\.org|download\.pytorch" + r"\.org",
            r"--(?:extra-)?index-url" + r"[ =]http",
        ]
    ).encode()
)
PERSON = re.compile((r"(?<![\w.~})>\]*-])/" + r"(?:home|Users)/\w+|file:" + r"///\w").encode())


def machine_names(folder: Path, files: list[Path]) -> list[str]:
    """Places in ``files`` that name a folder of one machine or the host of a package registry.

    Tests may make up somebody's home and a link to a file: they check that such names are found or masked.
    """
    found: list[str] = []
    for name in files:
        patterns = [MACHINE] if name.parts[0] == "tests" else [MACHINE, PERSON]
        for number, line in enumerate((folder / name).read_bytes().split(b"\n"), 1):
            hits = [hit.group().decode() for pattern in patterns if (hit := pattern.search(line))]
            found += [f"{name}:{number}: {hit}" for hit in hits]
    return found


def test_no_file_names_a_machine(repo: Path, our_files: list[Path]) -> None:
    assert len(our_files) > 50
    assert machine_names(repo, our_files) == []


PLANTED = [
    "/" + "work/x",
    "at /" + "root/.cache",
    "pip -i https://pypi" + ".org/simple",
    "'/" + "home/ann/q'",
    "file:" + "///etc",
]
HARMLESS = ["a/work/b", "results/root/x", "{base}/root", "~/work/x", "s3://bucket/key", "/rooted"]


@pytest.mark.parametrize(("name", "lines"), [("notes.md", "12345"), ("tests/notes.md", "123")])
def test_planted_machine_names_are_found(tmp_path: Path, name: str, lines: str) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / name).write_text("\n".join(PLANTED + HARMLESS))
    found = machine_names(tmp_path, [Path(name)])
    assert [line.split(":")[1] for line in found] == list(lines)


@pytest.fixture(scope="module")
def settings(repo: Path) -> dict[str, Any]:
    return tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))


def requirements(settings: dict[str, Any], *, extras: Sequence[str] | None = None) -> list[Requirement]:
    """What the core and some extras (all of them by default) depend on."""
    optional = settings["project"]["optional-dependencies"]
    chosen = [optional[name] for name in (optional if extras is None else extras)]
    return [Requirement(item) for items in (settings["project"]["dependencies"], *chosen) for item in items]


def pins(repo: Path) -> dict[str, str]:
    lines = (repo / "constraints.txt").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", row) for row in rows), "a constraint is name==version"
    table = {canonicalize_name(row.split("==")[0]): row.split("==")[1] for row in rows}
    assert len(table) == len(rows), "a name is pinned twice"
    return table


def test_every_dependency_has_a_range(settings: dict[str, Any]) -> None:
    assert [item.name for item in requirements(settings) if not item.specifier] == []


def test_everything_that_setup_installs_is_pinned_within_its_range(repo: Path, settings: dict[str, Any]) -> None:
    makefile = (repo / "Makefile").read_text(encoding="utf-8")
    installed = re.findall(r"-e '\.\[([\w,]+)\]'", makefile)[0].split(",")
    table = pins(repo)
    for item in requirements(settings, extras=installed):
        assert item.specifier.contains(table[canonicalize_name(item.name)]), f"{item} against the pin"


def test_every_dependency_is_explained(repo: Path, settings: dict[str, Any]) -> None:
    page = (repo / "docs/reference/dependencies.md").read_text(encoding="utf-8")
    now, later = (re.findall(r"^\| `([\w.-]+)` \|", part, flags=re.MULTILINE) for part in page.split("## Later"))
    names = {item.name for item in requirements(settings)}
    assert names <= {*now, *later}, "a dependency without a row"
    assert set(now) <= names, "a row for something that is not a dependency"
    assert len({*now, *later}) == len(now) + len(later), "two rows for one"


def test_the_torch_of_the_makefile_is_the_pinned_one(repo: Path) -> None:
    makefile = (repo / "Makefile").read_text(encoding="utf-8")
    assert f"install -c constraints.txt torch=={pins(repo)['torch']}\n" in makefile


def test_versions_agree(settings: dict[str, Any]) -> None:
    assert settings["project"]["version"] == quadrat.__version__
    assert settings["project"]["requires-python"] == ">=3.11"
    assert set(settings["project"]["entry-points"]) >= GROUPS
    assert settings["project"]["scripts"] == {"quadrat": "quadrat.cli.main:main"}


def test_the_licence_is_apache_2_to_the_letter(repo: Path) -> None:
    assert hashlib.sha256((repo / "LICENSE").read_bytes()).hexdigest() == APACHE_2


def run_make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """make as a person would start it, even when these tests run under make themselves."""
    clean = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(["make", *arguments], cwd=folder, env=clean, capture_output=True, text=True, check=False)


def test_make_has_every_target_and_help_lists_it(repo: Path) -> None:
    assert set(TARGETS) <= {line.split()[1] for line in run_make(repo, "help").stdout.splitlines()}
    for target in TARGETS:
        assert run_make(repo, "-n", "-o", ".venv/.ready", target).returncode == 0


FAKES = {
    "old": ("exit 1", "Quadrat needs Python 3.11 or newer, and '{python}' is: Python 3.9.2. Try: "),
    "bare": (
        'case "$2" in *venv*) exit 1;; esac',
        "'{python}' has no venv module, so no environment can be made. Try: ",
    ),
}


@pytest.mark.parametrize("kind", FAKES)
def test_make_refuses_an_unfit_python_in_one_sentence(repo: Path, tmp_path: Path, kind: str) -> None:
    script, said = FAKES[kind]
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\n{script}\n')
    python.chmod(0o755)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((repo / name).read_bytes())
    done = run_make(tmp_path, "setup", f"PYTHON={python}")
    assert done.returncode == 2
    assert said.format(python=python) in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_ci_calls_make_test_and_nothing_else(repo: Path) -> None:
    script = repo / ".ci/run"
    lines = [line for line in script.read_text(encoding="utf-8").splitlines() if line]
    assert lines == ["#!/usr/bin/env bash", "set -euo pipefail", 'cd "$(dirname "$0")/.."', "make test"]
    assert script.stat().st_mode & 0o111


def test_hooks_are_the_pieces_of_make_check(repo: Path) -> None:
    config = YAML(typ="safe", pure=True).load(repo / ".pre-commit-config.yaml")
    assert [item["repo"] for item in config["repos"]] == ["local"]
    hooks = [hook["entry"] for hook in config["repos"][0]["hooks"]]
    pieces = run_make(repo, "-n", "-o", ".venv/.ready", "check").stdout.splitlines()
    assert hooks == [line.removesuffix(" .") for line in pieces]


def test_the_changelog_has_a_place_for_what_comes(repo: Path) -> None:
    lines = (repo / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    headings = [line for line in lines if line.startswith("## ")]
    assert headings[0] == "## [Unreleased]"
    assert re.search(r"^### (Added|Changed|Deprecated|Removed|Fixed|Security)$", "\n".join(lines), flags=re.MULTILINE)
