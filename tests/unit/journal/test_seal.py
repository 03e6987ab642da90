"""The seal: it names exactly what differs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from quadrat.core.errors import StoreError
from quadrat.journal.atomic import read_json
from quadrat.journal.layout import RunFolder
from quadrat.journal.seal import Damage, hash_file, seal, tree_manifest, verify


def test_a_sealed_run_verifies_wherever_it_lies(finished: RunFolder, tmp_path: Path) -> None:
    assert verify(finished) == []
    moved = tmp_path / "elsewhere" / "under another name"
    shutil.copytree(finished.path, moved)
    assert verify(RunFolder(moved)) == []


def test_the_manifest_holds_every_file_but_itself_and_the_attempts(finished: RunFolder) -> None:
    (finished.attempts / "1").mkdir(parents=True)
    (finished.attempts / "1" / "metrics.ndjson").write_text("{}\n")
    seal(finished)
    manifest = read_json(finished.manifest)
    assert manifest["schema"] == 1
    assert [entry["path"] for entry in manifest["files"]] == [
        "artifacts/answers.jsonl",
        "config.yaml",
        "events.ndjson",
        "health.json",
        "metrics.json",
        "metrics.ndjson",
        "params.ndjson",
        "verdict.json",
    ]
    entry = manifest["files"][0]
    assert entry["bytes"] == 9
    assert entry["sha256"] == hash_file(finished.artifacts / "answers.jsonl")
    assert set(entry) == {"path", "bytes", "sha256"}


def test_one_byte_flipped_is_named_though_size_and_time_are_as_before(finished: RunFolder) -> None:
    for path in sorted(finished.path.rglob("*")):
        if not path.is_file() or path == finished.manifest:
            continue
        before, content = path.stat(), path.read_bytes()
        flipped = bytearray(content)
        flipped[len(flipped) // 2] ^= 1
        path.write_bytes(flipped)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert path.stat().st_mtime_ns == before.st_mtime_ns
        found = verify(finished)
        assert [damage.path for damage in found] == [path.relative_to(finished.path).as_posix()]
        assert "content changed" in found[0].what
        path.write_bytes(content)
    assert verify(finished) == []


def test_missing_added_longer_and_replaced_files_are_named(finished: RunFolder) -> None:
    finished.config.unlink()
    (finished.path / "artifacts" / "new.txt").write_text("x")
    with finished.metrics.open("ab") as file:
        file.write(b"{}\n")
    finished.health.unlink()
    finished.health.mkdir()
    size = finished.metrics.stat().st_size
    assert verify(finished) == [
        Damage("artifacts/new.txt", "a file that is not in the manifest"),
        Damage("config.yaml", "missing"),
        Damage("health.json", "missing"),
        Damage("metrics.ndjson", f"has {size} bytes, had {size - 3}"),
    ]


def test_links_are_named_and_never_followed(finished: RunFolder, tmp_path: Path) -> None:
    content = finished.config.read_bytes()
    outside = tmp_path / "outside.yaml"
    outside.write_bytes(content)
    finished.config.unlink()
    finished.config.symlink_to(outside)
    (finished.path / "folder").symlink_to("/etc")
    assert verify(finished) == [
        Damage("config.yaml", "replaced by a symbolic link, which is not followed"),
        Damage("folder", "a symbolic link that is not in the manifest"),
    ]
    with pytest.raises(OSError, match="symbolic link"):
        hash_file(finished.config)


def test_a_run_with_a_link_in_it_is_sealed_without_it(finished: RunFolder) -> None:
    (finished.artifacts / "passwd").symlink_to("/etc/passwd")
    os.mkfifo(finished.artifacts / "pipe")
    seal(finished)
    assert [damage.path for damage in verify(finished)] == ["artifacts/passwd", "artifacts/pipe"]


def test_the_log_may_grow_and_nothing_else(finished: RunFolder) -> None:
    finished.log.write_text("epoch 1\n")
    seal(finished)
    with finished.log.open("a") as log:
        log.write("worker ended with code 0\n")
    assert verify(finished) == []
    finished.log.write_text("epoch 2\nworker ended with code 0\n")
    assert [damage.path for damage in verify(finished)] == ["train.log"]
    finished.log.write_text("ep")
    assert verify(finished) == [Damage("train.log", "has 2 bytes, had 8")]


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"files": 3}', b'{"files": [{"path": "a"}]}', b'{"files": [{"path": "a", "bytes": "x"}]}'],
)
def test_a_damaged_manifest_is_named(finished: RunFolder, content: bytes) -> None:
    finished.manifest.write_bytes(content)
    found = verify(finished)
    assert [damage.path for damage in found] == ["manifest.json"]
    assert "damaged" in found[0].what


def test_a_run_that_was_never_sealed_says_so(finished: RunFolder) -> None:
    finished.manifest.unlink()
    assert verify(finished) == [Damage("manifest.json", "missing: the run was never sealed")]


def test_what_killed_writers_left_is_not_sealed(finished: RunFolder) -> None:
    (finished.path / ".quadrat-0123456789ab.tmp").write_text("half a file")
    seal(finished)
    assert verify(finished) == []
    assert not list(finished.path.glob(".quadrat-*"))


def test_names_of_any_kind_are_sealed(finished: RunFolder) -> None:
    for name in (b"gr\xfcn", "\u202eabc".encode(), b"new\nline", b".hidden"):
        (finished.artifacts / os.fsdecode(name)).write_text("x")
    seal(finished)
    assert verify(finished) == []
    (finished.artifacts / os.fsdecode(b"gr\xfcn")).write_text("y")
    assert [damage.path for damage in verify(finished)] == ["artifacts/gr\\udcfcn"]


def test_the_files_of_a_data_folder_with_their_rows(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "train.jsonl").write_text("{}\n{}\n")
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "blob.bin").write_bytes(b"\n" * 5)
    assert [(entry["path"], entry["bytes"], entry["rows"]) for entry in tree_manifest(tmp_path, rows=True)] == [
        ("a.csv", 8, 1),
        ("a/train.jsonl", 6, 2),
        ("blob.bin", 5, None),
    ]
    (tmp_path / "link").symlink_to("blob.bin")
    with pytest.raises(StoreError, match="'link' is a symbolic link"):
        tree_manifest(tmp_path)


def test_large_files_are_hashed_whole(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"\0" * (3 << 20) + b"1")
    whole = hash_file(path)
    path.write_bytes(b"\0" * (3 << 20) + b"2")
    assert hash_file(path) != whole
    assert hash_file(path, limit=3 << 20) == hash_file(path, limit=3 << 20)
