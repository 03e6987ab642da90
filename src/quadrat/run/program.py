"""A program that does not import Quadrat, as a trainable: started, listened to, ended, its exit told.

It runs in the root, with its files in the run's ``artifacts/`` (``{run_dir}``). Its metrics come from files that it
writes there (``metrics.jsonl``, ``.ndjson``, ``.csv``, TensorBoard's event files, and ``metrics.json`` at the end), or
through ``quadrat.start_run``, which finds its way by the environment. What it prints is the run's log.

A program keeps its own checkpoints. One that was stopped is started again with its files where it left them; the rows
are read from the beginning, so a program that goes on adds to its file and one that begins anew writes a new one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from abc import ABC
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self, final

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator, model_validator

from quadrat.core.context import Context
from quadrat.core.errors import RunError
from quadrat.core.events import Checkpoint, Event, Metrics, Note
from quadrat.core.secrets import masked_words
from quadrat.journal.layout import RESULTS, find_root
from quadrat.journal.plain import flatten
from quadrat.journal.seal import hash_file
from quadrat.launchers.kin import signal_name
from quadrat.run import command_line, order
from quadrat.run.channel import RELAY
from quadrat.run.child import Child
from quadrat.run.event_files import EVENTS, EventFile, is_events
from quadrat.run.row_files import RowFile, found, is_lines, last_values
from quadrat.run.stopping import SIGNALS

GRACE_SECONDS: Final = 20.0
"""How long a program that was asked to stop may take. Shorter than what the run itself is given."""


@final
class Command(BaseModel):
    """How a program is started and heard.

    Attributes:
        line: program and arguments with fields in braces. No shell sees it.
        metrics: the files to read, as patterns below ``{run_dir}``.
        silence: seconds without a printed word or a row after which the program is held to hang; None: for ever.
        params: what the program is told besides, in words of the line that are no fields; only shown and compared.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    line: str
    metrics: tuple[str, ...] = ("metrics.jsonl", "metrics.ndjson", "metrics.csv", "metrics.json", *EVENTS)
    silence: float | None = Field(default=None, gt=0)
    params: dict[str, Any] = Field(default_factory=dict)

    @field_validator("line")
    @classmethod
    def _is_readable(cls, line: str) -> str:
        command_line.fields_of(line)
        return line


class Commanded(BaseModel, ABC):
    """The command, and beside it the keys that its fields name."""

    command: Command

    @model_validator(mode="after")
    def _passes_everything_on(self) -> Self:
        command_line.check(self.command.line, self.values)
        return self

    @property
    def values(self) -> dict[str, Any]:
        """The keys beside the command."""
        return self.model_dump(mode="json", exclude={"command"})


@final
class Config(Commanded):
    """Any keys beside the command: what a worker is given was checked when the study was read."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Named(Commanded):
    """No keys but those that ``config_for`` adds."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def config_for(keys: Sequence[Sequence[str]]) -> type[Named]:
    """The Config class of a study that names just these keys, each as the steps down to it; every one is needed."""
    tree: dict[str, Any] = {}
    for key in keys:
        block = tree
        for step in key:
            block = block.setdefault(step, {})
    return create_model("Config", __base__=Named, **_fields(tree))


def _fields(tree: Mapping[str, Any]) -> dict[str, Any]:
    closed = ConfigDict(extra="forbid", frozen=True)
    return {
        name: (create_model(name, __config__=closed, **_fields(below)) if below else Any, ...)
        for name, below in tree.items()
    }


@final
@dataclass(frozen=True, slots=True)
class Place:
    """Where a program runs: the root, the run's folder for files, its config, and a name for the run."""

    root: Path
    run_dir: Path
    config: Path
    run: str


def train(config: Config, context: Context) -> Iterator[Event]:
    """Run the program to its end and yield what it measures.

    Raises:
        RunError: it could not be started, hung, or ended with another code than 0; its last words are in the message.
    """
    place = _place(context)
    if place is None:
        return  # a canary times a few steps, and those cannot be had of a program
    fields = {"seed": context.seed, "run_dir": place.run_dir, "config": place.config, "root": place.root}
    places = {key: str(value) if isinstance(value, Path) else value for key, value in fields.items()}
    words = command_line.fill(config.command.line, {**flatten(config.values), **places, "device": context.device})
    place.run_dir.mkdir(parents=True, exist_ok=True)
    relay = context.scratch / "relay.ndjson"
    relay.unlink(missing_ok=True)
    told = {
        "QUADRAT_ROOT": str(place.root),
        "QUADRAT_RUN": place.run,
        "QUADRAT_RUN_DIR": str(place.run_dir),
        RELAY: str(relay),
    }
    yield Note("program", _account(words, place.root))
    with _Asked() as asked, Child(words, root=place.root, told=told, run=place.run) as program:
        listener = _Listener(config.command, place.run_dir, relay)
        while program.is_alive() and not asked.is_set():
            yield from listener.take()
            if program.is_silent(config.command.silence, listener.heard):
                program.end()
                raise RunError(
                    f"the program has neither printed nor measured anything for {config.command.silence:g} s, "
                    f"so it was ended.{program.last_words()}",
                    where=place.run,
                )
        if asked.is_set():
            program.end(GRACE_SECONDS)
        code = program.reap()
        yield from listener.take(last=True)
        if asked.is_set():
            yield Checkpoint(listener.step, _keeps_its_own)
        if code != 0:
            raise _failure(code, program, listener, place)


def _keeps_its_own() -> Mapping[str, Any]:
    # An offer that cannot be taken up ends a run that was asked to stop, and nothing is saved: the loop says so.
    raise OSError("a program keeps its own checkpoints")


def _failure(code: int, program: Child, listener: _Listener, place: Place) -> Exception:
    how = f"died by {signal_name(-code)}" if code < 0 else f"ended with code {code}"
    told = listener.error
    if told is not None:
        how += f" ({told.get('type')}: {told.get('message')})"
    return RunError(f"the program {how}.{program.last_words()}", where=place.run)


def _place(context: Context) -> Place | None:
    """Where the run of this context lies; None for whoever has no run of its own, such as a canary."""
    job, name = context.scratch.parent.parent, context.scratch.name
    if not (job / order.NAME).is_file():
        if (context.scratch.parent / order.NAME).is_file():
            return None
        # A plain loop that drives this without a job: everything stays in its scratch folder.
        files = context.scratch / "artifacts"
        return Place(find_root(), files, context.scratch / "config.yaml", name)
    told = next((told for told in order.read(job) if told.spec.name == name), None)
    if told is None:
        return None  # one of several processes of the job, not the first: the program is started once
    folder = job.parents[3] / RESULTS / told.spec.path
    return Place(job.parents[3], folder / "artifacts", folder / "config.yaml", told.spec.path)


def _account(words: list[str], root: Path) -> dict[str, Any]:
    """The words, and the hash of every file of the project that they name."""
    files: dict[str, str] = {}
    for word in words:
        path = root / word
        with contextlib.suppress(OSError, ValueError):
            # By its name, not by where a link leads: a re-run lends the project's files as links.
            if path.is_file() and Path(os.path.normpath(path)).is_relative_to(root):
                files[word] = hash_file(path.resolve())
    return {"argv": masked_words(words), "sha256": files}


@final
class _Asked:
    """Whether this process was asked to stop, beside whoever else heeds its signals."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._before: dict[int, Any] = {}

    def is_set(self) -> bool:
        """Whether a signal has come."""
        return self._event.is_set()

    def __enter__(self) -> _Asked:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._heed) for number in SIGNALS}
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _heed(self, number: int, frame: Any) -> None:
        self._event.set()
        before = self._before.get(number)
        if callable(before):
            before(number, frame)


@final
@dataclass(slots=True)
class _Listener:
    """The rows of all files that a program writes."""

    command: Command
    run_dir: Path
    relay: Path
    step: int = 0
    heard: float = field(default_factory=time.monotonic)
    _files: dict[Path, RowFile | EventFile] = field(default_factory=dict[Path, RowFile | EventFile])
    _whole: dict[Path, int] = field(default_factory=dict[Path, int])

    def __post_init__(self) -> None:
        self._files[self.relay] = RowFile(self.relay)
        # What an earlier attempt left is no measurement of this one, until the program has written it anew.
        self._whole = {path: _stamp(path) for path in self._named() if _is_whole(path)}

    @property
    def error(self) -> Mapping[str, Any] | None:
        """What the program said of its failure, if it writes through ``start_run``."""
        return self._files[self.relay].error

    def take(self, *, last: bool = False) -> Iterator[Event]:
        """What is new. ``last``: the program has ended."""
        for path in self._named():
            if path not in self._files and not _is_whole(path):
                self._files[path] = EventFile(path) if is_events(path) else RowFile(path)
        for file in list(self._files.values()):
            for event in file.take(last=last):
                yield self._noted(event)
        if last:
            for path in self._named():
                if _is_whole(path) and self._whole.get(path) != _stamp(path):
                    for event in last_values(path, step=self.step):
                        yield self._noted(event)

    def _named(self) -> list[Path]:
        return found(self.run_dir, self.command.metrics)

    def _noted(self, event: Event) -> Event:
        self.heard = time.monotonic()
        if isinstance(event, Metrics):
            self.step = max(self.step, event.step)
        return event


def _is_whole(path: Path) -> bool:
    """Whether a file is read once, at the end."""
    return not is_lines(path) and not is_events(path)


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
