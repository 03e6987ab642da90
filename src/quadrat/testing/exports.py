"""Contract cases for export formats: what every one of them owes, whoever wrote it.

Use, in a test module of the package that ships the format::

    from quadrat.testing.exports import ExporterCases

    class TestMyFormat(ExporterCases):
        def make(self):
            return MyExporter()

``a_study`` makes the small finished study that the cases export.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from quadrat.core.errors import QuadratError, UsageError
from quadrat.exports.base import Exporter
from quadrat.journal.atomic import write_json
from quadrat.journal.layout import StudyFolder
from quadrat.journal.seal import seal
from quadrat.run.data import provide
from quadrat.run.imperative import start_run

SECRET: Final = "ghp_" + "exported1A2b3C4d" * 2
"""A made-up token that ``a_study`` holds where no run folder should hold one."""

FORMULA: Final = "=1+cmd|' /C calc'!A0"
"""A config value that a spreadsheet would run."""


def a_study(root: Path, *, has_data: bool = True) -> StudyFolder:
    """A study of three runs: one is fine, one meets a NaN, one fails.

    Its config holds ``FORMULA`` under ``label`` and ``SECRET`` under ``note``. With ``has_data`` the runs name a data
    set of two splits, ``train`` and ``test``.
    """
    root.mkdir(parents=True, exist_ok=True)
    (root / "quadrat.toml").touch()
    for seed, name in enumerate(("fine", "nan", "failed")):
        config = _config(seed)
        with contextlib.suppress(RuntimeError), start_run("small", name, config=config, seed=seed, root=root) as run:
            for step in (1, 2, 3):
                lost = name == "nan" and step == 2
                run.log(step, {"train/loss": math.nan if lost else 1.0 / step, "oracle/test_id/acc": 0.1 * step})
                if name == "failed":
                    raise RuntimeError("the third run was told to fail")
    study = StudyFolder(root, "small")
    told = provide(_build, root=root, name="small", key="0123456789ab").manifest if has_data else None
    for folder in study.runs():
        text = folder.config.read_text(encoding="utf-8").replace("to be replaced", SECRET)
        folder.config.write_text(text, encoding="utf-8")
        if told is not None:
            write_json(folder.data, told)
        seal(folder)
    return study


def _config(seed: int) -> dict[str, object]:
    return {"seed": seed, "label": FORMULA, "note": "to be replaced", "rate": 0.1, "model": {"depth": seed or None}}


def _build(folder: Path) -> None:
    for split, rows in (("train", 3), ("test", 2)):
        lines = [
            {"text": f"{split} {row}", "length": row, "share": row / 3, "words": ["a"], "deep": {}}
            for row in range(rows)
        ]
        (folder / f"{split}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


class ExporterCases(ABC):
    """Subclass it, name the subclass ``Test...`` and say how the exporter is made."""

    @abstractmethod
    def make(self) -> Exporter:
        """A fresh exporter."""

    @pytest.fixture(scope="class")
    @classmethod
    def made_once(cls, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
        """The study of ``a_study``, which takes a second to make."""
        return a_study(tmp_path_factory.mktemp("made") / "project")

    @pytest.fixture
    def study(self, made_once: StudyFolder, tmp_path: Path) -> StudyFolder:
        """A copy of it, in a project of its own."""
        shutil.copytree(made_once.root, tmp_path / "project")
        return StudyFolder(tmp_path / "project", made_once.name)

    def test_what_it_says_it_wrote_is_there(self, study: StudyFolder, tmp_path: Path) -> None:
        """Files and bytes add up, progress came to its end, nothing lies beside."""
        told: list[tuple[int, int]] = []
        made = self.make().write(study, tmp_path / "out", tick=lambda done, total: told.append((done, total)))
        assert made.path == tmp_path / "out"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "project"]
        assert made.files > 0
        assert told[-1][0] == told[-1][1]
        if made.path.is_dir():
            written = [path for path in made.path.rglob("*") if path.is_file()]
            assert (made.files, made.size) == (len(written), sum(path.stat().st_size for path in written))

    def test_the_study_stays_as_it_was(self, study: StudyFolder, tmp_path: Path) -> None:
        """To the last byte; no file comes or goes."""
        before = _hashes(study.root)
        self.make().write(study, tmp_path / "out", tick=_silent)
        assert _hashes(study.root) == before

    def test_nothing_is_overwritten(self, study: StudyFolder, tmp_path: Path) -> None:
        """Neither a file nor a folder, be it empty, nor a link that leads nowhere."""
        (tmp_path / "file").write_bytes(b"mine")
        (tmp_path / "folder").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "nowhere")
        for name in ("file", "folder", "link"):
            with pytest.raises(UsageError, match="exists already"):
                self.make().write(study, tmp_path / name, tick=_silent)
        assert (tmp_path / "file").read_bytes() == b"mine"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "link", "project"]

    def test_nothing_half_written_is_left(self, study: StudyFolder, tmp_path: Path) -> None:
        """When somebody interrupts it."""

        def interrupt(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt):
            self.make().write(study, tmp_path / "out", tick=interrupt)
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []

    def test_a_secret_does_not_leave(self, study: StudyFolder, tmp_path: Path) -> None:
        """Not as it is in a text, whichever file it stands in."""
        made = self.make().write(study, tmp_path / "out", tick=_silent)
        written = [made.path] if made.path.is_file() else [path for path in made.path.rglob("*") if path.is_file()]
        assert [path.name for path in written if SECRET.encode() in path.read_bytes()] == []

    def test_damaged_runs_end_in_words(self, study: StudyFolder, tmp_path: Path) -> None:
        """Whatever lies in a run folder: the export is written, or an error of ours says why not."""
        for folder, junk in zip(study.runs(), (b"", b'{"step": 1, "met', b"\x00\xff[]\n{}\n"), strict=True):
            for path in (
                folder.metrics,
                folder.metrics_json,
                folder.params,
                folder.data,
                folder.config,
                folder.manifest,
            ):
                path.write_bytes(junk)
        with contextlib.suppress(QuadratError):
            self.make().write(study, tmp_path / "out", tick=_silent)
        assert {path.name for path in tmp_path.iterdir()} <= {"out", "project"}


def _silent(done: int, total: int) -> None:
    """Nobody listens."""


def _hashes(root: Path) -> dict[str, str]:
    return dict(_each(root))


def _each(root: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(root.rglob("*")):
        if path.is_file():
            yield path.relative_to(root).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()
