"""Tables of text: one run as Lightning's ``metrics.csv`` has it, or many runs with a column that names the run.

The file is read twice, line by line: first every cell is looked at, so that nothing is imported of a file that cannot
be read to its end; then the rows are taken. However long it is, no more than a few lines of it are held.
"""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Final, final

from quadrat.core.errors import UsageError
from quadrat.imports.base import ForeignRow, ForeignRun, Importer, SourceFile, Tell, files_in, hashed
from quadrat.imports.names import value_of
from quadrat.journal.atomic import open_regular
from quadrat.run.row_files import STEPS

RUNS: Final = ("run", "run_name", "run_id", "trial")
"""What the column that names the run may be called, the first that is there."""

TIMES: Final = ("wall_time", "timestamp", "_timestamp", "time", "created_at")
PARAMETERS: Final = re.compile(r"(?:params?|config|hparams?|hyperparameters?)[./](.+)")
BLANK: Final = frozenset({"", "none", "null", "n/a", "na", "-"})
LONGEST_LINE: Final = 4 << 20
DELIMITERS: Final = (",", ";", "\t", "|")

_SNIFFED: Final = 1 << 16
_FORMULA: Final = re.compile(r"'[=+\-@\t\r]")
_COMMA: Final = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_MANY: Final = 100_000


@final
class CsvImporter(Importer):
    """One file of comma, semicolon, tab or bar separated values with a header."""

    @property
    def what(self) -> str:
        """A text file that falls into columns."""
        return "a CSV file with a header"

    def recognises(self, path: Path) -> bool:
        """Whether a file begins with a header of two columns or more."""
        try:
            with open_regular(path.resolve()) as file:
                return _delimiter(file.read(_SNIFFED)) is not None
        except OSError:
            return False

    def sources(self, path: Path) -> tuple[SourceFile, ...]:
        """The file."""
        real = next(files_in(path, wanted=lambda _: not path.is_dir()), None)
        if real is None:
            raise UsageError("it is not a file; a CSV is imported by its own name.", where=path.name)
        return hashed(path, wanted=lambda _: True)

    def read(self, path: Path, sources: Sequence[SourceFile], *, tell: Tell) -> Iterator[ForeignRun]:
        """One run, or one for each name in the column of names, in the order in which they first come."""
        del path
        for source in sources:
            table = _Table.open(source)
            survey = _Survey(table)
            survey.look()
            for line in (*table.notes, *survey.left_out()):
                tell(f"{source.name}: {line}")
            for run in survey.stretches:
                yield survey.run(run)


@final
@dataclass(frozen=True, slots=True)
class _Record:
    """One row of cells: where it begins in bytes, and in lines."""

    offset: int
    line: int
    cells: list[str]


@final
class _Lines:
    """The lines of a file as text, one after the other, counted.

    Raises:
        UsageError: a line is no UTF-8, or longer than any table's.
    """

    def __init__(self, file: BufferedReader[FileIO], where: str, *, line: int = 0) -> None:
        self._file = file
        self._where = where
        self.line = line
        self.offset = file.tell()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raw = self._file.readline(LONGEST_LINE)
        if not raw:
            raise StopIteration
        self.line += 1
        if len(raw) == LONGEST_LINE:
            raise UsageError("the line is too long for a table.", where=f"{self._where}:{self.line}:1")
        self.offset += len(raw)
        try:
            return raw.decode("utf-8-sig" if self.line == 1 else "utf-8")
        except UnicodeDecodeError as error:
            where = f"{self._where}:{self.line}:{error.start + 1}"
            raise UsageError(
                "the line is not UTF-8.", where=where, remedy="iconv -f latin1 -t utf-8 OLD.csv > NEW.csv"
            ) from error


@final
@dataclass(frozen=True, slots=True)
class _Table:
    """A file and what its header says. A column is known by its number; ``names`` has None for one without a name."""

    source: SourceFile
    delimiter: str
    names: tuple[str | None, ...]
    run: int | None
    step: int | None
    time: int | None
    notes: tuple[str, ...]

    @classmethod
    def open(cls, source: SourceFile) -> _Table:
        """Read the header.

        Raises:
            UsageError: there is none.
        """
        with BufferedReader(open_regular(source.path)) as file:
            delimiter = _delimiter(file.read(_SNIFFED))
            if delimiter is None:
                raise UsageError("it has no header of two columns or more.", where=f"{source.name}:1:1")
            file.seek(0)
            header = next(_cells(_Lines(file, source.name), delimiter, source.name))
        names: list[str | None] = []
        notes: list[str] = []
        for place, word in enumerate(map(_stripped, header.cells)):
            name = word if word and not word.startswith("Unnamed: ") else None
            if name is None:
                notes.append(f"column {place + 1} has no name and was left out.")
            elif name in names:
                number = next(n for n in range(2, _MANY) if f"{name}_{n}" not in names)
                notes.append(f"two columns are called {name!a}; the later one is {name}_{number} here.")
                name = f"{name}_{number}"
            names.append(name)
        plain = [(name or "").casefold().replace(" ", "_") for name in names]
        run, step, time = (
            next((plain.index(word) for word in words if word in plain), None) for words in (RUNS, STEPS, TIMES)
        )
        return cls(source, delimiter, tuple(names), run, step, time, tuple(notes))

    def records(self, offset: int | None = None, line: int = 0) -> Iterator[_Record]:
        """The rows from a place on, or all behind the header."""
        with BufferedReader(open_regular(self.source.path)) as file:
            file.seek(offset or 0)
            lines = _Lines(file, self.source.name, line=line)
            if offset is None:
                next(_cells(lines, self.delimiter, self.source.name))
            yield from _cells(lines, self.delimiter, self.source.name, width=len(self.names))

    def at(self, record: _Record, place: int) -> str:
        """A cell as a person finds it: file, line, column."""
        return f"{self.source.name}:{record.line}:{place + 1}"

    def unreadable(self, record: _Record, place: int, *, wanted: str) -> UsageError:
        """The error for one cell."""
        return UsageError(
            f"column {place + 1} ({self.names[place]!a}) holds {record.cells[place][:60]!a}, which is not {wanted}.",
            where=self.at(record, place),
            remedy="put it right, or leave the cell blank.",
        )


@final
@dataclass(slots=True)
class _Column:
    """What the first reading has seen of one column. ``text``: the place of the first cell that is no number."""

    numbers: bool = False
    text: tuple[_Record, int] | None = None
    varies: bool = False


@final
@dataclass(slots=True)
class _Stretches:
    """Where the rows of one run lie: stretches of rows that follow each other, and what holds for all of them."""

    offsets: array[int] = field(default_factory=lambda: array("q"))
    lines: array[int] = field(default_factory=lambda: array("q"))
    counts: array[int] = field(default_factory=lambda: array("q"))
    words: dict[int, str] = field(default_factory=dict[int, str])
    began: float | None = None
    ended: float | None = None


@final
class _Survey:
    """The first reading: every cell is looked at, and it is noted where each run's rows lie."""

    def __init__(self, table: _Table) -> None:
        self.table = table
        self.stretches: dict[str, _Stretches] = {}
        self._columns = [_Column() for _ in table.names]
        special = (table.run, table.step, table.time)
        self._open = [place for place, name in enumerate(table.names) if name is not None and place not in special]

    def look(self) -> None:
        """Read the file to its end.

        Raises:
            UsageError: a cell cannot be read; the message names file, line and column.
        """
        last = None
        for record in self.table.records():
            name = self._name(record)
            stretch = self.stretches.setdefault(name, _Stretches())
            if name != last:
                stretch.offsets.append(record.offset)
                stretch.lines.append(record.line - 1)
                stretch.counts.append(0)
            last = name
            stretch.counts[-1] += 1
            self._step(record, 0)
            time = self._time(record)
            if time is not None:
                stretch.began = time if stretch.began is None else min(stretch.began, time)
                stretch.ended = time if stretch.ended is None else max(stretch.ended, time)
            for place in self._open:
                self._cell(record, place, stretch)
        if not self.stretches:
            raise UsageError("there are no rows below the header.", where=f"{self.table.source.name}:2:1")
        for column in self._columns:
            if column.text is not None and column.varies and column.numbers:
                raise self.table.unreadable(*column.text, wanted="a number, as others in the column are")

    def left_out(self) -> tuple[str, ...]:
        """What is said of columns that are neither numbers nor the same all through a run."""
        named = zip(self.table.names, self._columns, strict=True)
        texts = [str(name) for name, column in named if column.text is not None and column.varies]
        said = [f"left out, since it is text that changes within a run: {', '.join(texts)}."] if texts else []
        if self.table.step is None:
            said.append("no column is a step, so the rows of a run are counted.")
        return tuple(said)

    def run(self, name: str) -> ForeignRun:
        """One run, its rows yet to be read."""
        stretch = self.stretches[name]
        table = self.table
        held = {place: word for place, word in stretch.words.items() if self._is_parameter(place)}
        params = {_parameter(str(table.names[place])): value_of(word) for place, word in held.items()}
        return ForeignRun(
            name=name,
            params=params,
            series=lambda: self._rows(stretch),
            started=stretch.began,
            ended=stretch.ended,
            files=(table.source,),
        )

    def _rows(self, stretch: _Stretches) -> Iterator[ForeignRow]:
        metrics = [place for place in self._open if not self._is_parameter(place) and self._columns[place].text is None]
        names = self.table.names
        count = 0
        for offset, line, length in zip(stretch.offsets, stretch.lines, stretch.counts, strict=True):
            records = self.table.records(offset, line)
            for _ in range(length):
                record = next(records)
                count += 1
                found = ((str(names[place]), _number(record.cells[place], self.table)) for place in metrics)
                values = {name: value for name, value in found if value is not None}
                if values:
                    yield ForeignRow(self._step(record, count), values, self._time(record))

    def _is_parameter(self, place: int) -> bool:
        """Text that holds for a whole run, and numbers that do so under a name that says parameter."""
        column, name = self._columns[place], str(self.table.names[place])
        if column.varies:
            return False
        return column.text is not None or name == "seed" or PARAMETERS.fullmatch(name) is not None

    def _cell(self, record: _Record, place: int, stretch: _Stretches) -> None:
        word, column = record.cells[place], self._columns[place]
        if word.casefold() in BLANK:
            return
        if _number(word, self.table) is None:
            column.text = column.text or (record, place)
        else:
            column.numbers = True
        if not column.varies:
            column.varies = stretch.words.setdefault(place, word) != word

    def _name(self, record: _Record) -> str:
        place = self.table.run
        if place is None:
            return Path(self.table.source.path).stem
        if not record.cells[place]:
            raise self.table.unreadable(record, place, wanted="the name of a run")
        return record.cells[place]

    def _step(self, record: _Record, count: int) -> int:
        place = self.table.step
        if place is None:
            return count
        number = _number(record.cells[place], self.table)
        if number is None or not number.is_integer() or abs(number) >= 2**63:
            raise self.table.unreadable(record, place, wanted="a whole number, which a step is")
        return int(number)

    def _time(self, record: _Record) -> float | None:
        place = self.table.time
        if place is None or record.cells[place].casefold() in BLANK:
            return None
        return _moment(record.cells[place], self.table)


def _cells(lines: _Lines, delimiter: str, where: str, *, width: int = 0) -> Iterator[_Record]:
    """The rows of a file. Blank lines are passed over; a row short of ``width`` is filled up, a longer one refused."""
    reader = csv.reader(lines, delimiter=delimiter)
    while True:
        offset, line = lines.offset, lines.line + 1
        try:
            words = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise UsageError(f"the row cannot be read ({error}).", where=f"{where}:{line}:1") from error
        if not words:
            continue
        if 0 < width < len(words):
            what = f"the row has {len(words)} cells, the header {width}."
            raise UsageError(what, where=f"{where}:{line}:{width + 1}", remedy="quote cells that hold the delimiter.")
        cells = [_stripped(word) for word in words]
        yield _Record(offset, line, cells + [""] * (width - len(cells)))


def _stripped(word: str) -> str:
    """A cell without blanks around it, and without the sign that kept it from being a formula."""
    plain = word.strip()
    return plain[1:] if _FORMULA.match(plain) else plain


def _number(word: str, table: _Table) -> float | None:
    if table.delimiter == ";" and _COMMA.fullmatch(word):
        word = word.replace(",", ".")
    try:
        return float(word) if "_" not in word else None
    except ValueError:
        return None


def _moment(word: str, table: _Table) -> float | None:
    """Seconds since 1970 from a number of seconds or milliseconds, or from a date; None for seconds since a start."""
    number = _number(word, table)
    if number is None:
        try:
            told = datetime.fromisoformat(word)
        except ValueError:
            return None
        return (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()
    if 1e11 <= number < 1e14:
        return number / 1000
    return number if 1e8 <= number < 1e11 else None


def _parameter(name: str) -> str:
    found = PARAMETERS.fullmatch(name)
    return found[1] if found else name


def _delimiter(head: bytes) -> str | None:
    """What separates the columns: the sign that gives the first rows the same number of them, the most of all."""
    if b"\0" in head:
        return None
    text = head.decode("utf-8-sig", "replace")
    lines = text.splitlines()[: 20 if len(head) < _SNIFFED else -1][:20]
    best: tuple[int, str] | None = None
    for sign in DELIMITERS:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=sign) if row]
        except csv.Error:
            continue
        width = widths[0] if widths else 0
        # A row or two may be spoilt, and then it shall be named.
        is_even = 2 * widths.count(width) > len(widths)
        if width > 1 and is_even and (best is None or width > best[0]):
            best = (width, sign)
    return best[1] if best else None
