"""Contract cases for importers: what every one of them owes, whoever wrote it.

Use, in a test module of the package that ships the importer::

    from quadrat.testing.imports import ImporterCases

    class TestMyImporter(ImporterCases):
        def make(self):
            return MyImporter()

        def leave(self, folder):
            ...  # write results as the other program does, at least one run with one row; return their path

pytest collects the cases with the class.
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from quadrat.imports.base import ForeignRun, Importer
from quadrat.imports.writing import Origin, write_run
from quadrat.journal.layout import RunFolder
from quadrat.journal.reader import RunView
from quadrat.journal.seal import hash_file, verify, walk


class ImporterCases(ABC):
    """Subclass it, name the subclass ``Test...``, say how the importer is made and what its results look like."""

    @abstractmethod
    def make(self) -> Importer:
        """A fresh importer."""

    @abstractmethod
    def leave(self, folder: Path) -> Path:
        """Write results into ``folder``; return the path that a person would name."""

    def read(self, path: Path) -> list[ForeignRun]:
        """All runs at ``path``."""
        importer = self.make()
        return list(importer.read(path, importer.sources(path), tell=lambda line: None))

    def test_its_own_results_are_recognised(self, tmp_path: Path) -> None:
        """Nobody should have to name the format."""
        assert self.make().recognises(self.leave(tmp_path))
        assert self.make().what

    def test_what_is_none_of_its_own_is_not_and_nothing_raises(self, tmp_path: Path) -> None:
        """Every importer is asked about every path."""
        (tmp_path / "empty").mkdir()
        (tmp_path / "nothing").touch()
        (tmp_path / "noise.bin").write_bytes(bytes(range(256)) * 40)
        (tmp_path / "prose.md").write_text("# A page\n\nNo table, no results.\n", encoding="utf-8")
        os.mkfifo(tmp_path / "pipe")
        for name in ("empty", "nothing", "noise.bin", "prose.md", "pipe", "gone", "."):
            assert not self.make().recognises(tmp_path / name), name

    def test_sources_are_hashed_and_named_without_the_path_to_them(self, tmp_path: Path) -> None:
        """What is written down must not tell where on somebody's disk it lay."""
        path = self.leave(tmp_path)
        sources = self.make().sources(path)
        assert sources
        for source in sources:
            assert source.is_as_it_was()
            assert len(source.sha256) == 64
            assert source.size == source.path.stat().st_size
            assert source.name.split("/")[0] == path.name
            assert str(tmp_path) not in source.name

    def test_rows_may_be_read_twice(self, tmp_path: Path) -> None:
        """The rows of a run are its rows, however often they are asked for, also when all runs have been listed."""
        runs = self.read(self.leave(tmp_path))
        assert runs
        assert any(list(run.series()) for run in runs)
        for run in runs:
            assert repr(list(run.series())) == repr(list(run.series()))
            assert all(isinstance(row.step, int) for row in run.series())
            assert run.files

    def test_nothing_is_written_where_the_results_lie(self, tmp_path: Path) -> None:
        """They may be the only copy, on a disk that somebody else writes to."""
        path = self.leave(tmp_path)
        before = _contents(tmp_path)
        for run in self.read(path):
            list(run.series())
        assert _contents(tmp_path) == before

    def test_links_inside_a_folder_are_not_followed(self, tmp_path: Path) -> None:
        """A folder from a stranger may hold a link to anywhere."""
        (tmp_path / "apart").mkdir()
        path = self.leave(tmp_path / "apart")
        (tmp_path / "given").mkdir()
        (tmp_path / "given" / path.name).symlink_to(path)
        (tmp_path / "given" / f"all-{path.name}").symlink_to(path.parent)
        assert not self.make().recognises(tmp_path / "given")

    def test_its_runs_become_sealed_runs_that_hold_the_same_rows(self, tmp_path: Path) -> None:
        """The journal's own reader sees what the importer saw."""
        (tmp_path / "source").mkdir()
        for number, run in enumerate(self.read(self.leave(tmp_path / "source"))):
            folder = RunFolder(tmp_path / f"run{number}")
            written = write_run(folder, run, origin=Origin("study", "theirs", "source", "quadrat"))
            assert verify(folder) == []
            view = RunView(folder)
            assert view.damage() == []
            assert view.status() is written.status
            assert written.status is (run.status or written.status)
            theirs: dict[str, list[Any]] = {}
            for row in run.series():
                for name, value in row.values.items():
                    theirs.setdefault(name, []).append((row.step, value))
            series = view.series()
            for name, pairs in theirs.items():
                ours = list(zip(series[name].steps.tolist(), series[name].values.tolist(), strict=True))
                assert repr(ours) == repr([(step, float(value)) for step, value in pairs])


def _contents(folder: Path) -> dict[str, str]:
    """Everything under ``folder`` by path: regular files by hash, links and the rest by their kind."""
    return {
        path: hash_file(folder / path) if stat.S_ISREG(mode) else str(stat.S_IFMT(mode)) for path, mode in walk(folder)
    }
