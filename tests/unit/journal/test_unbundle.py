"""An archive is a stranger's word: what no export would hold is refused, and nothing of it is on disk."""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from pathlib import Path

import pytest

from quadrat.core.errors import StoreError, UsageError
from quadrat.journal.bundle import MANIFEST, export
from quadrat.journal.layout import RunFolder, StudyFolder
from quadrat.journal.unbundle import take_in

SECRET = "ghp_" + "a1B2" * 9


def pack(
    path: Path, members: dict[str, bytes], *, entries: dict[str, dict] | None = None, mode: int = 0o100644
) -> Path:
    """A zip with these members and a manifest that names them rightly, but for what ``entries`` overrides."""
    files = [
        {"path": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), **(entries or {}).get(name, {})}
        for name, data in members.items()
    ]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo("placeholder")
            info.filename = name  # as written: the constructor would tidy it
            info.external_attr = mode << 16
            archive.writestr(info, data)
        archive.writestr(MANIFEST, json.dumps({"schema": 1, "study": "demo", "files": files}))
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_study_goes_out_and_comes_in_with_the_same_bytes(finished: RunFolder, home: Path, tmp_path: Path) -> None:
    root = finished.path.parents[2]
    made = export(root, StudyFolder(root, "demo"), target=tmp_path / "demo.zip")
    found = take_in(home, made.path)
    assert (found.study, found.files, found.placed, found.kept) == ("demo", made.files, ("results/demo",), ())
    for path in finished.path.rglob("*"):
        if path.is_file():
            assert (home / path.relative_to(root)).read_bytes() == path.read_bytes()
    assert not [name for name in everything(home) if ".import" in name]
    again = export(root, StudyFolder(root, "demo"), target=tmp_path / "again.zip")
    assert again.path.read_bytes() == made.path.read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "../out.txt",
        "results/demo/../../../out.txt",
        "/out.txt",
        "results/demo//run/a",
        "C:/out.txt",
        "results\\demo\\a",
        "results/demo/./a",
        "results/demo/a\nb",
        "results/other/run/config.yaml",
        "src/evil.py",
        ".git/hooks/post-checkout",
        "data/.lock/x",
        "experiments/.hidden/x",
    ],
)
def test_a_member_that_leads_elsewhere_is_refused(home: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="nothing was written"):
        take_in(home, pack(tmp_path / "a.zip", {"results/demo/run/config.yaml": b"a: 1", name: b"x"}))
    assert everything(tmp_path) == ["a.zip", "home"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR])
def test_a_member_that_is_no_file_is_refused(home: Path, tmp_path: Path, kind: int) -> None:
    with pytest.raises(StoreError, match="link, a folder or a device"):
        take_in(home, pack(tmp_path / "a.zip", {"results/demo/run/a": b"/etc/passwd"}, mode=kind | 0o777))
    assert everything(home) == []


@pytest.mark.parametrize(
    ("override", "said"),
    [({"sha256": "0" * 64}, "not what the manifest says"), ({"bytes": 3}, "another size"), ({"bytes": -1}, "damaged")],
)
def test_a_member_that_is_not_what_the_manifest_says_is_refused(home, tmp_path, override, said) -> None:
    path = pack(tmp_path / "a.zip", {"results/demo/run/a": b"text"}, entries={"results/demo/run/a": override})
    with pytest.raises(StoreError, match=said):
        take_in(home, path)
    assert everything(home) == []


def test_members_that_the_manifest_does_not_name_are_refused(home: Path, tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"results/demo/run/a": b"text"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("results/demo/run/b", b"more")
    with pytest.raises(StoreError, match="members and manifest differ"):
        take_in(home, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("results/demo/run/A", b"same name on some systems")
    with pytest.raises(StoreError, match="same name"):
        take_in(home, path)


def test_what_is_no_export_and_what_is_damaged_are_told_apart(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with pytest.raises(UsageError, match="no such file"):
        take_in(home, path)
    path.write_bytes(b"PK no zip")
    with pytest.raises(StoreError, match="damaged"):
        take_in(home, path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"x")
    with pytest.raises(UsageError, match="holds no"):
        take_in(home, path)


@pytest.mark.parametrize("piece", ["results/demo", "experiments/2026-11-21_demo", "experiments/2026-11-21_demo.md"])
def test_nothing_is_overwritten(home: Path, tmp_path: Path, piece: str) -> None:
    members = {
        "results/demo/run/a": b"1",
        "experiments/2026-11-21_demo/evidence.json": b"{}",
        "experiments/2026-11-21_demo.md": b"#",
    }
    (home / piece).mkdir(parents=True)
    before = everything(home)
    with pytest.raises(UsageError, match="here already"):
        take_in(home, pack(tmp_path / "a.zip", members))
    assert everything(home) == before


def test_data_of_the_same_content_are_shared_and_others_refused(home: Path, tmp_path: Path) -> None:
    path = pack(
        tmp_path / "a.zip", {"results/demo/run/a": b"1", "data/d-1/train.txt": b"one", "demo.yaml": b"study: demo"}
    )
    (home / "data/d-1").mkdir(parents=True)
    (home / "data/d-1/train.txt").write_bytes(b"two")
    with pytest.raises(UsageError, match="data/d-1 is here already"):
        take_in(home, path)
    (home / "data/d-1/train.txt").write_bytes(b"one")
    found = take_in(home, path)
    assert (found.placed, found.kept) == (("demo.yaml", "results/demo"), ("data/d-1",))


def test_secrets_in_text_are_masked_and_said(finished: RunFolder, tmp_path: Path) -> None:
    root = finished.path.parents[2]
    (finished.path / "train.log").write_text(f"pushing with {SECRET}\n")
    made = export(root, StudyFolder(root, "demo"), target=tmp_path / "demo.zip")
    assert made.masked == {"results/demo/L2_S0/train.log": 1}
    with zipfile.ZipFile(made.path) as archive:
        assert not [name for name in archive.namelist() if SECRET.encode() in archive.read(name)]
        assert json.loads(archive.read(MANIFEST))["masked"] == made.masked


@pytest.mark.parametrize("where", ["run", "folder"])
def test_a_link_is_not_exported(finished: RunFolder, tmp_path: Path, where: str) -> None:
    root = finished.path.parents[2]
    link = finished.path / "artifacts/link" if where == "run" else finished.path.with_name("linked")
    link.symlink_to(tmp_path)
    with pytest.raises(StoreError, match="not exported"):
        export(root, StudyFolder(root, "demo"), target=tmp_path / "demo.zip")
    assert not list(tmp_path.glob("*.zip*"))
    assert not list(tmp_path.glob(".*.partial"))


def test_an_export_does_not_overwrite_a_file(finished: RunFolder, tmp_path: Path) -> None:
    root = finished.path.parents[2]
    (tmp_path / "demo.zip").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        export(root, StudyFolder(root, "demo"), target=tmp_path / "demo.zip")
    assert (tmp_path / "demo.zip").read_text() == "mine"
