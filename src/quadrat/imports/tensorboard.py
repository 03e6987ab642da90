"""TensorBoard event files: each folder that holds some is a run. Scalars and hyperparameters; the rest is counted.

Records are read by the ``tensorboard`` package itself and pass its own layers for old files, so a ``simple_value`` of
2017 and a tensor of today come out alike. A step that a restart took back is taken back here too.
"""

from __future__ import annotations

import contextlib
import heapq
import logging
from array import array
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Final, final

from quadrat.core.verdicts import Status
from quadrat.imports.base import ForeignRow, ForeignRun, Importer, SourceFile, Tell, files_in, hashed, name_in, package

MARK: Final = "events.out.tfevents"
"""What the name of every event file holds: TensorBoard itself finds them by it."""

_FRAME: Final = 16
"""Bytes around each record: its length, and two checksums."""

_HPARAMS: Final = "hparams"


@final
class TensorBoardImporter(Importer):
    """Folders of event files, of any depth."""

    @property
    def what(self) -> str:
        """Files named as TensorBoard names them."""
        return f"TensorBoard event files (*{MARK}*)"

    def recognises(self, path: Path) -> bool:
        """Whether there is any event file."""
        with contextlib.suppress(OSError):
            return next(files_in(path, wanted=_is_events), None) is not None
        return False

    def sources(self, path: Path) -> tuple[SourceFile, ...]:
        """The event files."""
        return hashed(path, wanted=_is_events)

    def read(self, path: Path, sources: Sequence[SourceFile], *, tell: Tell) -> Iterator[ForeignRun]:
        """One run a folder, named by its path below ``path``."""
        del tell
        tools = _Package.load()
        folders: dict[Path, list[SourceFile]] = {}
        for source in sources:
            folders.setdefault(source.path.parent, []).append(source)
        for folder, files in folders.items():
            name = name_in(path, folder).partition("/")[2] if path.is_dir() else ""
            yield _run(name or folder.name, files, tools)


@final
@dataclass(frozen=True, slots=True)
class _Package:
    """The modules of the package that are used here. Its messages are made at import, so no checker knows them."""

    loader: ModuleType
    event: ModuleType
    data_compat: ModuleType
    dataclass_compat: ModuleType
    summary: ModuleType
    tensor_util: ModuleType
    metadata: ModuleType
    api: ModuleType

    @classmethod
    def load(cls) -> _Package:
        logging.getLogger("tensorboard").setLevel(logging.ERROR)
        names = (
            "backend.event_processing.event_file_loader",
            "compat.proto.event_pb2",
            "data_compat",
            "dataclass_compat",
            "compat.proto.summary_pb2",
            "util.tensor_util",
            "plugins.hparams.metadata",
            "plugins.hparams.api_pb2",
        )
        return cls(*(package(f"tensorboard.{name}", extra="tensorboard") for name in names))


@final
@dataclass(slots=True)
class _Track:
    """One scalar, in the order in which it was written. Three numbers a value, however many there are."""

    steps: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    times: array[float] = field(default_factory=lambda: array("d"))

    def add(self, step: int, value: float, *, time: float) -> None:
        self.steps.append(step)
        self.values.append(value)
        self.times.append(time)

    def purge(self, step: int) -> int:
        """Take back what stands at ``step`` or behind it; returns how many values that were."""
        kept = [place for place, there in enumerate(self.steps) if there < step]
        gone = len(self.steps) - len(kept)
        if gone:
            self.steps = array("q", (self.steps[place] for place in kept))
            self.values = array("d", (self.values[place] for place in kept))
            self.times = array("d", (self.times[place] for place in kept))
        return gone

    def sorted(self, tag: str, rank: int) -> Iterator[tuple[int, int, int, str, float, float]]:
        """By step, and by how often the step has come before."""
        before, count = None, 0
        for place in sorted(range(len(self.steps)), key=self.steps.__getitem__):
            step = self.steps[place]
            count = count + 1 if step == before else 0
            before = step
            yield step, count, rank, tag, self.values[place], self.times[place]


@final
@dataclass(slots=True)
class _Found:
    """What the event files of one folder hold."""

    tracks: dict[str, _Track] = field(default_factory=dict[str, _Track])
    params: dict[str, Any] = field(default_factory=dict[str, Any])
    started: float | None = None
    ended: float | None = None
    status: Status | None = None
    taken_back: int = 0
    left_out: Counter[str] = field(default_factory=Counter[str])
    damage: list[str] = field(default_factory=list[str])

    def rows(self) -> Iterator[ForeignRow]:
        """What was written at one step, as one row; a step that was written twice gives two."""
        streams = (track.sorted(tag, rank) for rank, (tag, track) in enumerate(self.tracks.items()))
        place: tuple[int, int] | None = None
        values: dict[str, float] = {}
        time = 0.0
        for step, count, _, tag, value, when in heapq.merge(*streams):
            if place is not None and place != (step, count):
                yield ForeignRow(place[0], values, time)
                values = {}
            time = max(time, when) if values else when
            place = (step, count)
            values[tag] = value
        if place is not None:
            yield ForeignRow(place[0], values, time)

    def notes(self) -> tuple[str, ...]:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.left_out.items()))
        said = list(self.damage)
        if self.taken_back:
            said.append(f"{self.taken_back} values were taken back by a restart from an earlier step.")
        if kinds:
            said.append(f"Left out, since they are no scalars: {kinds}.")
        return tuple(said)


def _is_events(path: Path) -> bool:
    return MARK in path.name


def _run(name: str, files: Sequence[SourceFile], tools: _Package) -> ForeignRun:
    found = _Found()
    for file in files:
        _read_file(file, found, tools)
    status = Status.LOST if found.damage and found.status is None else found.status
    return ForeignRun(
        name=name,
        params=found.params,
        series=found.rows,
        started=found.started,
        ended=found.ended,
        status=status,
        files=tuple(files),
        notes=found.notes(),
    )


def _read_file(file: SourceFile, found: _Found, tools: _Package) -> None:
    known: dict[str, Any] = {}
    taken = 0
    with _ending_at_damage(found, file):
        for record in tools.loader.RawEventFileLoader(str(file.path)).Load():
            event = tools.event.Event.FromString(record)
            taken += _FRAME + len(record)
            _restart(event, found, tools)
            for each in tools.dataclass_compat.migrate_event(tools.data_compat.migrate_event(event), known):
                _take(each, found, known=known, tools=tools)
    if taken < file.size and not any(file.name in line for line in found.damage):
        found.damage.append(f"{file.name} is cut off or damaged: its last {file.size - taken} bytes were left out.")


@contextlib.contextmanager
def _ending_at_damage(found: _Found, file: SourceFile) -> Generator[None]:
    """A record that cannot be read ends its file, and is said: what stands before it counts."""
    from google.protobuf.message import DecodeError

    try:
        yield
    except (DecodeError, MemoryError, OverflowError, ValueError) as error:
        found.damage.append(f"{file.name} is damaged: a record in it cannot be read ({type(error).__name__}).")


def _restart(event: Any, found: _Found, tools: _Package) -> None:
    if event.HasField("session_log") and event.session_log.status == tools.event.SessionLog.START:
        found.taken_back += sum(track.purge(event.step) for track in found.tracks.values())
        found.tracks = {tag: track for tag, track in found.tracks.items() if track.steps}


def _take(event: Any, found: _Found, *, known: dict[str, Any], tools: _Package) -> None:
    time = float(event.wall_time)
    if time > 0:
        found.started = time if found.started is None else min(found.started, time)
    if not event.HasField("summary"):
        return
    # The first word of a file only says when it was opened, which may be long after the rows it was copied from.
    found.ended = time if found.ended is None else max(found.ended, time)
    for value in event.summary.value:
        about = known.get(value.tag, value.metadata)
        plugin = str(about.plugin_data.plugin_name)
        if plugin == _HPARAMS:
            _hparams(value.tag, value.metadata.plugin_data.content, found, tools)
        elif (about.data_class or value.metadata.data_class) == tools.summary.DATA_CLASS_SCALAR:
            scalar = _scalar(value.tensor, tools)
            if scalar is not None:
                found.tracks.setdefault(value.tag, _Track()).add(int(event.step), scalar, time=time)
                continue
            found.left_out["scalars that are no numbers"] += 1
        else:
            found.left_out[plugin or "of no known kind"] += 1


def _scalar(tensor: Any, tools: _Package) -> float | None:
    try:
        return float(tools.tensor_util.make_ndarray(tensor).item())
    except (ValueError, TypeError, AttributeError):
        return None


def _hparams(tag: str, content: bytes, found: _Found, tools: _Package) -> None:
    """Parameters from the word that began a session, the ending from the word that ended it."""
    words = tools.metadata
    if tag == words.SESSION_START_INFO_TAG:
        told = words.parse_session_start_info_plugin_data(content)
        found.params |= {str(key): _plain(value) for key, value in sorted(told.hparams.items())}
        if told.start_time_secs > 0:
            found.started = float(told.start_time_secs)
    elif tag == words.SESSION_END_INFO_TAG:
        told = words.parse_session_end_info_plugin_data(content)
        kinds = {"STATUS_SUCCESS": Status.COMPLETED, "STATUS_FAILURE": Status.FAILED, "STATUS_RUNNING": Status.LOST}
        found.status = kinds.get(str(tools.api.Status.Name(told.status)), found.status)
        if told.end_time_secs > 0:
            found.ended = float(told.end_time_secs)


def _plain(value: Any) -> Any:
    """A hyperparameter: the package keeps every number as a float, so a whole one is given back as such."""
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        number = float(value.number_value)
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    return getattr(value, kind) if kind in ("string_value", "bool_value") else None
