"""A project that is moved, and one that cannot be written: everything that reads still works."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys

import pytest

READING = ("ls toy", "show toy/R0.1_S0", "verify toy", "plan toy.yaml", "doctor toy", "report toy --output {page}")


@pytest.fixture
def moved(lab, tmp_path_factory):
    """A finished project with a record, moved elsewhere."""
    lab.quadrat("run", "toy.yaml")
    lab.quadrat("record", "draft", "toy")
    lab.quadrat("report", "toy")
    place = tmp_path_factory.mktemp("moved") / "project"
    lab.root.rename(place)
    return type(lab)(place)


@pytest.fixture
def page(tmp_path_factory):
    """A place for a page, outside the project."""
    return tmp_path_factory.mktemp("pages") / "page.html"


def test_a_moved_project_reads_verifies_and_checks(moved, page):
    for words in READING:
        moved.quadrat(*words.format(page=page).split())
    assert "nothing differs" in moved.quadrat("verify").stderr
    findings = moved.quadrat("record", "check", code=1).stdout.splitlines()
    assert findings
    assert all("blank" in line for line in findings), findings
    assert "nothing to do" in moved.quadrat("run", "toy.yaml").stderr


def test_a_moved_project_verifies_and_checks_without_a_network(moved):
    alone = ["unshare", "--net", "--map-root-user"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets nobody make a network namespace")
    quadrat = [*alone, sys.executable, "-m", "quadrat"]
    done = subprocess.run([*quadrat, "verify"], cwd=moved.root, capture_output=True, text=True, check=True)
    assert "nothing differs" in done.stderr
    done = subprocess.run([*quadrat, "record", "check"], cwd=moved.root, capture_output=True, text=True, check=False)
    assert all("blank" in line for line in done.stdout.splitlines()), done.stdout
    assert done.stdout


def _read_only(root, script):
    """Run a script in a mount namespace of its own, in which ``root`` cannot be written even by root."""
    mounts = f"mount --bind {root} {root} && mount -o remount,bind,ro {root} && cd {root} && "
    return subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", mounts + script],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_read_only_project_reads_and_refuses_to_write_in_one_paragraph(moved, page):
    if _read_only(moved.root, "true").returncode != 0:
        pytest.skip("this machine lets nobody make a mount namespace")
    python = shlex.quote(sys.executable)
    for words in READING:
        done = _read_only(moved.root, f"{python} -m quadrat {words.format(page=page)}")
        assert done.returncode == 0, (words, done.stderr)
    assert _read_only(moved.root, f"{python} -m quadrat record check").returncode == 1
    assert page.stat().st_size > 10_000
    for words in ("report toy", "record draft toy --force", "run toy.yaml seeds=[9]"):
        done = _read_only(moved.root, f"rm -f x; {python} -m quadrat {words}")
        assert "Traceback" not in done.stderr, (words, done.stderr)
    assert done.returncode == 5
    assert "results/toy" in done.stderr


def test_a_clone_without_results_checks_its_record(moved):
    """What a record cites is committed beside it; what only results/ holds is not asked for."""
    shutil.rmtree(moved.root / "results")
    shutil.rmtree(moved.root / "data")
    findings = moved.quadrat("record", "check", code=1).stdout.splitlines()
    assert all("blank" in line for line in findings), findings
    assert "nothing differs" in moved.quadrat("verify").stderr
    facts = next(moved.root.glob("experiments/*/facts.json"))
    facts.write_bytes(facts.read_bytes().replace(b"0.1", b"0.2", 1))
    assert "facts.json" in moved.quadrat("verify", code=5).stdout
