"""Data: built once, known by content, never half there."""

from __future__ import annotations

import threading

import pytest

from quadrat.core.errors import StoreError
from quadrat.run.data import provide, source_sha256


def _build(folder):
    (folder / "train.jsonl").write_text("1\n2\n")


def _provide(root, build=_build, key="abc"):
    return provide(build, root=root, name="toy", key=key)


def test_it_is_built_once_and_described(tmp_path):
    calls = []

    def build(folder):
        calls.append(folder)
        _build(folder)

    first, second = _provide(tmp_path, build), _provide(tmp_path, build)
    assert len(calls) == 1
    assert first.folder == tmp_path / "data" / "toy-abc"
    assert first.sha256 == second.sha256
    (entry,) = first.manifest["files"]
    assert (entry["path"], entry["bytes"], entry["rows"]) == ("train.jsonl", 4, 2)
    assert first.manifest["folder"] == "data/toy-abc"


def test_workers_that_start_together_build_it_once(tmp_path):
    calls = []

    def build(folder):
        calls.append(folder)
        _build(folder)

    threads = [threading.Thread(target=_provide, args=(tmp_path, build)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_a_builder_that_fails_leaves_nothing(tmp_path):
    def broken(folder):
        (folder / "half").write_text("x")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        _provide(tmp_path, broken)
    assert [path.name for path in (tmp_path / "data").iterdir() if path.is_dir()] == []
    assert _provide(tmp_path).folder.exists()


@pytest.mark.parametrize("harm", ["edit", "remove", "add"])
def test_harm_is_named(tmp_path, harm):
    folder = _provide(tmp_path).folder
    match harm:
        case "edit":
            (folder / "train.jsonl").write_text("1\n3\n")
        case "remove":
            (folder / "train.jsonl").unlink()
        case "add":
            (folder / "extra.jsonl").write_text("x")
    with pytest.raises(StoreError, match="extra" if harm == "add" else "train"):
        _provide(tmp_path)


def test_same_content_same_hash_another_content_another(tmp_path):
    other = _provide(tmp_path, lambda folder: (folder / "train.jsonl").write_text("1\n3\n"), key="other")
    assert _provide(tmp_path).sha256 == _provide(tmp_path, key="again").sha256 != other.sha256


def test_the_builder_is_known_by_its_source():
    assert len(source_sha256(_build)) == 64
    assert source_sha256(_build) != source_sha256(provide)
