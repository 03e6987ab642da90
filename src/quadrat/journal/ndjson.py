"""Rows, one a line: appended so that a row survives its process, read so that damage is counted and not fatal."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

import orjson

from quadrat.journal.atomic import open_regular
from quadrat.journal.plain import number, shown, text

BACKLOG_BYTES: Final = 8 << 20
"""How much is kept in memory while the disk takes nothing."""

_RETRY_SECONDS = 0.05
_CHUNK = 1 << 20
_STEPS = 2**63
_LINE = orjson.OPT_APPEND_NEWLINE
_PLAIN = frozenset((float, int))
_dumps = orjson.dumps
_write = os.write


def encode_plain(step: int, values: Mapping[str, float]) -> bytes | None:
    """The row of finite floats and ints under proper names, fast; None for any other row."""
    try:
        if type(step) is int and -_STEPS < step < _STEPS and _PLAIN.issuperset(map(type, values.values())):
            line = _dumps({"step": step, "metrics": values}, option=_LINE)
            # orjson writes non-finite numbers as null; a name that holds these letters only costs time.
            return None if b":null" in line else line
    except (TypeError, AttributeError):
        pass
    return None


def encode_metrics(
    step: int, values: Mapping[str, float], *, refuse: Callable[[str, str], None] | None = None
) -> bytes:
    """One row of metrics as a line, whatever the values are; keys in the order given.

    What is not a number is left out and reported to ``refuse`` by key and reason.

    Raises:
        ValueError: the step is not a whole number, or ``values`` is no mapping.
    """
    line = encode_plain(step, values)
    if line is not None:
        return line
    place = _step(step)
    clean: dict[str, float | str] = {}
    try:
        items: list[tuple[Any, Any]] = list(values.items())
    except Exception as error:
        raise ValueError(f"the metrics are not a mapping of names to numbers: {shown(values)}") from error
    for key, value in items:
        name = text(key) if isinstance(key, str) else None
        try:
            if name is None:
                raise ValueError("the name is not a string")
            if name in clean:
                raise ValueError("two names become the same when written as UTF-8")
            clean[name] = number(value)
        except ValueError as error:
            if refuse is not None:
                refuse(name if name is not None else shown(key), str(error))
    return _dumps({"step": place, "metrics": clean}, option=_LINE)


def _step(step: Any) -> int:
    try:
        value = number(step)
    except ValueError as error:
        raise ValueError(f"the step is not a number: {error}") from error
    if isinstance(value, str) or value != int(value) or abs(value) >= _STEPS:
        raise ValueError(f"the step is not a whole number: {shown(step)}")
    return int(value)


@final
class Appender:
    """Appends lines to one file of which it is the only writer.

    When ``append`` has returned, the line is in the hands of the system and survives the death of this
    process. When the disk takes nothing, ``append`` does not raise: lines wait in memory up to 8 MiB, later
    ones are counted in ``dropped``, ``on_trouble`` is told once, and writing goes on when there is room again.
    No half line stays behind: a short write is taken back.

    Raises:
        OSError: the file cannot be opened at all.
    """

    def __init__(self, path: Path, *, on_trouble: Callable[[str], None] | None = None) -> None:
        self.path = path
        self.dropped = 0
        self.error: OSError | None = None
        self._on_trouble = on_trouble
        self._told = False
        self._lock = threading.Lock()
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._retry_at = 0.0
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o666)
        self.offset = os.fstat(self._file).st_size
        self._synced = self.offset
        if self.offset and os.pread(self._file, 1, self.offset - 1) != b"\n":
            self.append(b"\n")  # close what a crash cut off, so that it spoils no row of ours

    @property
    def waiting(self) -> int:
        """How many lines wait in memory for room on the disk."""
        return len(self._backlog)

    def append(self, line: bytes) -> None:
        """Write one line, its newline included, in a single call to the system."""
        with self._lock:
            if not self._backlog and self._put(line):
                return
            self._wait(line)
            if time.monotonic() >= self._retry_at:
                self._drain()

    def sync(self) -> None:
        """Have everything written so far survive power loss. Trouble is told, not raised."""
        self.retry()
        self.flush_to_disk(self._file)

    def retry(self) -> None:
        """Write what waits in memory, if there is room for it now."""
        if self._backlog:
            with self._lock:
                self._drain()

    def flush_to_disk(self, descriptor: int) -> None:
        """``sync`` without the lock, for the pulse: the training thread never waits for the disk here."""
        size = self.offset
        if size == self._synced or descriptor < 0:
            return
        try:
            os.fdatasync(descriptor)
            self._synced = size
            if os.fstat(descriptor).st_nlink == 0:
                raise OSError("the file was removed while the run writes to it")
        except OSError as error:
            # The kernel may have dropped the pages: what was written is suspect, and asking again proves nothing.
            self._synced = size
            self._trouble(error)

    def duplicate(self) -> int:
        """A second descriptor of the same file, for another thread to flush and to close."""
        return os.dup(self._file)

    def close(self) -> None:
        """Flush and close. Lines still waiting are counted as dropped. May be called twice."""
        if self._file < 0:
            return
        self.sync()
        with self._lock:
            self.dropped += len(self._backlog)
            self._backlog.clear()
            os.close(self._file)
            self._file = -1

    def _put(self, line: bytes) -> bool:
        try:
            written = _write(self._file, line)
        except OSError as error:
            self._trouble(error)
            return False
        if written == len(line):
            self.offset += written
            return True
        self._take_back(written)
        self._trouble(OSError("no room left for the whole row"))
        return False

    def _take_back(self, written: int) -> None:
        try:
            os.ftruncate(self._file, self.offset)
        except OSError:
            # Then the half row stays, on a line of its own that readers count as damaged.
            self.offset += written
            self._backlog.appendleft(b"\n")
            self._backlog_bytes += 1

    def _wait(self, line: bytes) -> None:
        if self._backlog_bytes + len(line) > BACKLOG_BYTES:
            self.dropped += 1
            return
        self._backlog.append(line)
        self._backlog_bytes += len(line)

    def _drain(self) -> None:
        while self._backlog and self._put(self._backlog[0]):
            self._backlog_bytes -= len(self._backlog.popleft())
        self._retry_at = time.monotonic() + _RETRY_SECONDS

    def _trouble(self, error: OSError) -> None:
        self.error = error
        if self._told or self._on_trouble is None:
            return
        self._told = True
        self._on_trouble(f"{self.path.name}: {error.strerror or error}")


@final
@dataclass(slots=True)
class Tally:
    """What a scan found beside good rows.

    Attributes:
        rows: good rows.
        torn: the file ends in the middle of a row, as after a crash or a power cut.
        damaged_lines: numbers, from 1, of the lines that are not a row.
    """

    rows: int = 0
    torn: bool = False
    damaged_lines: list[int] = field(default_factory=list[int])

    @property
    def damaged(self) -> int:
        """How many lines before the end are not a row."""
        return len(self.damaged_lines)


@final
@dataclass(frozen=True, slots=True)
class Rows:
    """All rows of a file, and what was wrong with it (see ``Tally``)."""

    rows: list[dict[str, Any]]
    torn: bool
    damaged: int
    damaged_lines: tuple[int, ...]


def read_rows(path: Path) -> Rows:
    """Every good row of a file; damage is counted.

    Raises:
        OSError: the file cannot be read, is not a regular file, or is a symbolic link.
    """
    tally = Tally()
    rows = list(scan_rows(path, tally))
    return Rows(rows, tally.torn, tally.damaged, tuple(tally.damaged_lines))


def scan_rows(path: Path, tally: Tally) -> Iterator[dict[str, Any]]:
    """The good rows of a file one after the other, without holding the file in memory; fills in ``tally``.

    A row counts only with its newline: whatever follows the last newline is a torn tail.

    Raises:
        OSError: the file cannot be read, is not a regular file, or is a symbolic link.
    """
    loads, number_of_line = orjson.loads, 0
    with open_regular(path) as file:
        rest = b""
        while chunk := file.read(_CHUNK):
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            for line in lines:
                number_of_line += 1
                try:
                    row = loads(line)
                except ValueError:
                    row = None
                if isinstance(row, dict):
                    tally.rows += 1
                    yield row
                else:
                    tally.damaged_lines.append(number_of_line)
    tally.torn = bool(rest)
