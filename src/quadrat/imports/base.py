"""What an importer is: somebody who reads the results of another program, and claims nothing that is not in them.

An importer only reads. How its runs become run folders is the same for all of them (``quadrat.imports.taking``).
"""

from __future__ import annotations

import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, final

from quadrat.core.errors import StoreError, UsageError
from quadrat.core.verdicts import Status
from quadrat.journal.atomic import open_regular
from quadrat.journal.seal import hash_file, walk

Tell = Callable[[str], None]
"""Takes one sentence about the source as a whole, for the person who imports and for the study's lock."""


@final
@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file that an import rests on. ``path`` is never written down, ``name`` is.

    Attributes:
        path: where it lies now.
        name: relative to what was named on the command line, beginning with the last part of that, forward slashes.
        size: bytes.
        sha256: of its content.
        modified: nanoseconds since 1970, to notice that somebody still writes to it.
    """

    path: Path
    name: str
    size: int
    sha256: str
    modified: int

    def is_as_it_was(self) -> bool:
        """Whether size and time are still those of the moment it was hashed."""
        try:
            now = self.path.lstat()
        except OSError:
            return False
        return (now.st_size, now.st_mtime_ns) == (self.size, self.modified)


@final
@dataclass(frozen=True, slots=True)
class ForeignRow:
    """What was measured at one step; ``time`` in seconds since 1970, None where the source has no clock."""

    step: int
    values: Mapping[str, float]
    time: float | None = None


@final
@dataclass(frozen=True, slots=True)
class ForeignRun:
    """One run as its source tells of it.

    Attributes:
        name: as the source calls it.
        params: what it computed with; may be nested. A whole number under ``seed`` is taken for the seed.
        series: begins to read the rows, in the order in which they are to be kept. May be called again.
        summary: last values that the source states; those that no row holds become the last row.
        started: seconds since 1970, or None.
        ended: seconds since 1970, or None.
        status: how it ended; None when the source does not say.
        error: one line on why it failed, as the source tells it.
        files: what of the source it rests on.
        notes: sentences on what was left out or taken otherwise than it stands.
        told: further facts that the source tells, kept as they are.
    """

    name: str
    params: Mapping[str, Any]
    series: Callable[[], Iterator[ForeignRow]]
    summary: Mapping[str, float] = field(default_factory=dict[str, float])
    started: float | None = None
    ended: float | None = None
    status: Status | None = None
    error: str | None = None
    files: tuple[SourceFile, ...] = ()
    notes: tuple[str, ...] = ()
    told: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Importer(ABC):
    """Reads one foreign format. It opens files for reading only, and follows no link inside a folder it is given."""

    @property
    @abstractmethod
    def what(self) -> str:
        """What it looks for, in a few words that complete "looked for"."""

    @abstractmethod
    def recognises(self, path: Path) -> bool:
        """Whether ``path`` holds such results, told from contents. Never raises, needs no package, reads little."""

    @abstractmethod
    def sources(self, path: Path) -> tuple[SourceFile, ...]:
        """Every file that ``read`` will read, hashed.

        Raises:
            StoreError: a file cannot be read.
        """

    @abstractmethod
    def read(self, path: Path, sources: Sequence[SourceFile], *, tell: Tell) -> Iterator[ForeignRun]:
        """The runs, one after the other; ``sources`` is what the method of that name returned.

        Raises:
            UsageError: something in it cannot be taken for what it should be, or a package is missing.
            StoreError: it is damaged.
        """


def source_file(path: Path, name: str) -> SourceFile:
    """One file, hashed.

    Raises:
        StoreError: it cannot be read, or is a link, a pipe or a device.
    """
    try:
        about = path.lstat()
        return SourceFile(path, name, about.st_size, hash_file(path), about.st_mtime_ns)
    except OSError as error:
        raise StoreError(f"the file cannot be read ({error.strerror or error}).", where=name) from error


def files_in(path: Path, *, wanted: Callable[[Path], bool]) -> Iterator[Path]:
    """The regular files that ``wanted`` asks for: ``path`` itself, or those anywhere under it, sorted.

    ``path`` may be a link, since somebody has named it; links under it are passed over.

    Raises:
        OSError: a folder cannot be read.
    """
    if not path.is_dir():
        real = path.resolve()
        if real.is_file() and wanted(real):
            yield real
        return
    folder = path.resolve()
    for relative, mode in walk(folder):
        if stat.S_ISREG(mode) and wanted(folder / relative):
            yield folder / relative


def name_in(path: Path, file: Path) -> str:
    """How a file under ``path`` is named in what is written down."""
    whole = path.resolve()
    return file.name if file == whole else f"{whole.name}/{file.relative_to(whole).as_posix()}"


def hashed(path: Path, *, wanted: Callable[[Path], bool]) -> tuple[SourceFile, ...]:
    """The files of ``files_in``, hashed.

    Raises:
        StoreError: a file or folder cannot be read.
    """
    try:
        return tuple(source_file(file, name_in(path, file)) for file in files_in(path, wanted=wanted))
    except OSError as error:
        raise StoreError(f"it cannot be read ({error.strerror or error}).", where=path.name) from error


def begins_with(path: Path, magic: bytes) -> bool:
    """Whether a file's first bytes are these; False for what cannot be read."""
    try:
        with open_regular(path) as file:
            return file.read(len(magic)) == magic
    except OSError:
        return False


def package(module: str, *, extra: str) -> ModuleType:
    """A module of a package that only this format needs.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as missing:
        raise UsageError(
            f"these files are read by the package {missing.name!r}, which is not installed.",
            where=f"format {extra}",
            remedy=f"pip install 'quadrat[{extra}]'",
        ) from missing
