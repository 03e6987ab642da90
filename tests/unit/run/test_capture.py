"""The code as it really was: committed, edited, deleted, binary, untracked; and the user's repository untouched."""

from __future__ import annotations

import subprocess

import pytest

from quadrat.run import capture


def _git(folder, *words, data=None):
    names = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *names, *words], cwd=folder, capture_output=True, check=True, input=data)
    return done.stdout.decode()


@pytest.fixture
def repo(tmp_path):
    folder = tmp_path / "repo"
    folder.mkdir()
    _git(folder, "init", "-q")
    for name, content in {
        "a.py": b"x = 1\n",
        "gone.py": b"1\n",
        "bin": bytes(range(256)),
        ".gitignore": b"*.log\n",
    }.items():
        (folder / name).write_bytes(content)
    _git(folder, "add", "-A")
    _git(folder, "commit", "-qm", "one")
    return folder


def test_a_clean_tree_has_no_patch(repo):
    facts, patch = capture.code(repo)
    assert facts["dirty"] is False
    assert patch == b""
    assert facts["commit"] == _git(repo, "rev-parse", "HEAD").strip()


def test_the_patch_rebuilds_the_very_tree(repo, tmp_path):
    (repo / "a.py").write_bytes(b"x = 2\n")
    (repo / "gone.py").unlink()
    (repo / "bin").write_bytes(bytes(range(255, -1, -1)))
    (repo / "new file.py").write_bytes(b"new = True\n")
    (repo / "noise.log").write_bytes(b"ignored\n")
    facts, patch = capture.code(repo)
    assert facts["dirty"] is True
    other = tmp_path / "other"
    _git(tmp_path, "clone", "-q", str(repo), str(other))
    _git(other, "apply", "--binary", "-", data=patch)
    _git(other, "add", "-A")
    assert _git(other, "write-tree").strip() == facts["tree"]


def test_the_users_repository_is_left_as_it_was(repo):
    (repo / "a.py").write_bytes(b"x = 2\n")
    (repo / "staged.py").write_bytes(b"1\n")
    _git(repo, "add", "staged.py")
    (repo / "untracked.py").write_bytes(b"2\n")
    before = {path: path.read_bytes() for path in (repo / ".git").rglob("*") if path.is_file()}
    status = _git(repo, "status", "--porcelain")
    capture.code(repo)
    assert {path: path.read_bytes() for path in before} == before
    assert {path for path in (repo / ".git").rglob("*") if path.is_file()} == set(before)
    assert _git(repo, "status", "--porcelain") == status


def test_what_quadrat_writes_is_no_part_of_the_code(repo):
    for name in capture.OWN_FOLDERS:
        (repo / name).mkdir()
        (repo / name / "x.txt").write_text("x")
    assert capture.code(repo)[0]["dirty"] is False


def test_a_large_untracked_file_is_named_and_left_out(repo):
    (repo / "weights.bin").write_bytes(b"\1" * (capture.LARGEST_UNTRACKED + 1))
    facts, patch = capture.code(repo)
    assert facts["left_out"] == ["weights.bin"]
    assert len(patch) < 1000


def test_secrets_are_masked_in_patch_and_remote(repo):
    secret = "ghp_" + "a1B2" * 9
    (repo / "a.py").write_text(f"token = '{secret}'\n")
    _git(repo, "remote", "add", "origin", f"https://me:{secret}@example.org/x.git")
    facts, patch = capture.code(repo)
    assert secret.encode() not in patch
    assert secret not in str(facts)
    assert facts["masked_secrets"] >= 1


@pytest.mark.parametrize("prepare", [lambda folder: None, lambda folder: _git(folder, "init", "-q")])
def test_no_repository_or_no_commit_is_said_so(tmp_path, prepare):
    prepare(tmp_path)
    facts, patch = capture.code(tmp_path)
    assert facts["commit"] is None
    assert facts["reason"]
    assert patch == b""


def test_only_allowed_variables_are_recorded(monkeypatch):
    monkeypatch.setenv("MY_SECRET_TOKEN", "hunter22")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    facts = capture.environment()
    assert "hunter22" not in str(facts)
    assert facts["variables"]["OMP_NUM_THREADS"] == "1"
    assert facts["packages"]["pydantic"]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://example.org/a/b.git", "https://example.org/a/b.git"),
        ("git@example.org:a/b.git", "git@example.org:a/b.git"),
        ("/home/somebody/b", None),
        ("file:///home/somebody/b", None),
        ("../b", None),
    ],
)
def test_a_remote_on_this_machine_is_nobody_elses_business(repo, url, told):
    _git(repo, "remote", "add", "origin", url)
    assert capture.code(repo)[0]["remote"] == told
