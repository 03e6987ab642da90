"""What an export is: a study written anew for another program, whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias, final

from quadrat.core.errors import UsageError
from quadrat.core.verdicts import Status
from quadrat.journal.atomic import sync_folder
from quadrat.journal.layout import StudyFolder
from quadrat.journal.reader import RunView

Tick: TypeAlias = Callable[[int, int], None]
"""Told now and then how many of how many parts are done."""


@final
@dataclass(frozen=True, slots=True)
class Written:
    """What an export holds.

    Attributes:
        path: the file or folder.
        files: how many files.
        size: their bytes.
        masked: how many secrets were masked, by file.
        notes: what the reader of the export has to know: runs still at work, data that are not here, blanks to fill.
    """

    path: Path
    files: int
    size: int
    masked: Mapping[str, int] = field(default_factory=dict[str, int])
    notes: tuple[str, ...] = ()


class Exporter(Protocol):
    """One format. Made without arguments; reads the study and changes nothing of it."""

    @property
    def ending(self) -> str:
        """What follows the study's name in a target that nobody named, such as ``-csv``."""
        ...

    def write(self, study: StudyFolder, target: Path, *, tick: Tick) -> Written:
        """Write ``study`` to ``target``, all of it or nothing.

        Raises:
            UsageError: the target exists, or the study has nothing that this format could hold.
            StoreError: something of the study cannot be read or must not be followed.
            OSError: the target cannot be written.
        """
        ...


@final
class Staging:
    """The folder of an export while it is being written, beside its target."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = self.size = 0
        self.masked: dict[str, int] = {}

    @contextmanager
    def open(self, name: str) -> Generator[BinaryIO]:
        """A new file of the export; ``name`` is relative, with forward slashes."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            self.size += file.tell()
        self.files += 1

    def put(self, name: str, content: bytes) -> None:
        """A new file with this content."""
        with self.open(name) as file:
            file.write(content)

    def count(self, name: str, found: int) -> None:
        """Note that so many secrets were masked in a file."""
        if found:
            self.masked[name] = self.masked.get(name, 0) + found

    def written(self, target: Path, *notes: str) -> Written:
        """The account of the export, once it has its name."""
        return Written(target, self.files, self.size, dict(self.masked), notes)


@contextmanager
def staged(target: Path) -> Generator[Staging]:
    """A folder to write an export into, which gets the name ``target`` when all went well, and else is removed.

    Raises:
        UsageError: the target exists, or its parent is no folder.
    """
    if os.path.lexists(target):
        raise UsageError(
            "the folder or file exists already.", where=str(target), remedy="another name, or move it aside."
        )
    if not target.parent.is_dir():
        raise UsageError("there is no such folder to write into.", where=str(target.parent), remedy="make it first.")
    scratch = target.with_name(f".{target.name}.{os.urandom(4).hex()}.partial")
    scratch.mkdir()
    try:
        yield Staging(scratch)
        sync_folder(scratch)
        scratch.rename(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def at_work(study: StudyFolder) -> list[str]:
    """The runs of a study that are being written now."""
    return [run.name for run in study.runs() if RunView(run).status() is Status.RUNNING]


def unfinished(study: StudyFolder) -> tuple[str, ...]:
    """A note for formats that may be written of a study at work; empty when it is at rest."""
    running = at_work(study)
    many = f"{len(running)} runs are" if len(running) > 1 else "1 run is"
    return (f"{many} at work ({running[0]}): what is written of them so far.",) if running else ()
