"""A loop of one's own: ``with quadrat.start_run(study="mine", config=...) as run: run.log(step, loss=...)``.

The run is written to the same journal as any other, so ``ls``, ``show``, ``report`` and ``verify`` read it. Beginning
may refuse (a name that is taken, a folder that cannot be written); from then on nothing raises into the loop.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast, final

from quadrat.core.errors import UsageError
from quadrat.core.events import Artifact, Content
from quadrat.core.verdicts import Status
from quadrat.journal.layout import find_root
from quadrat.journal.plain import shown
from quadrat.run.channel import RELAY, Channel, JournalChannel, RelayChannel, SilentChannel, is_follower, say
from quadrat.run.loop import describe
from quadrat.run.opening import Asked, open_run, plain_config


def start_run(
    study: str | None = None,
    name: str | None = None,
    *,
    config: Any = None,
    seed: int | None = None,
    arm: str | None = None,
    root: str | os.PathLike[str] | None = None,
    exist: Literal["refuse", "new"] = "refuse",
) -> LiveRun:
    """Begin a run that a loop of one's own will write. Use it with ``with``, or call ``finish`` at the end.

    A name that failed, was interrupted or lost is tried again in the same folder, its old rows kept under
    ``attempts/``; a name that has come to its end is refused, and so is one that stood for another config.

    In a program that ``command:`` of a study file starts, everything is said by the study already: what is logged
    goes to the study's run, and the arguments are not looked at. In a distributed training only rank 0 writes.

    Args:
        study: the study's name, a folder under ``results/``; default: the program's own name.
        name: the run's name; without one it is ``S42`` or ``run``, counted on when taken.
        config: what the run computes with: a mapping, dataclass, pydantic model or argparse namespace.
        seed: what the loop seeded its generators with. It is recorded; seeding stays the loop's own business.
        arm: the named arm it belongs to; runs of one arm are taken together in reports.
        root: the folder that holds ``results/``; default: as on the command line.
        exist: ``"new"`` counts on (``name_2``) when the name is taken.

    Raises:
        UsageError: the name cannot be used; the message says why and what to do.
        StoreError: the folder cannot be written.
    """
    if is_follower():
        return LiveRun("", SilentChannel(Path(os.devnull)))
    relay = os.environ.get(RELAY)
    if relay:
        folder = Path(os.environ.get("QUADRAT_RUN_DIR") or Path(relay).parent)
        return LiveRun(os.environ.get("QUADRAT_RUN", folder.name), RelayChannel(Path(relay), folder))
    if exist not in ("refuse", "new"):
        raise UsageError(f"exist={exist!r} is not known.", where="start_run", remedy='"refuse" or "new".')
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"the seed {shown(seed)} is not a whole number.", where="start_run")
    asked = Asked(
        study=study or _program(),
        name=name,
        config=plain_config(config),
        seed=seed,
        arm=arm,
        is_new=exist == "new",
    )
    opened, writer = open_run(find_root(explicit=Path(root) if root is not None else None), asked)
    return LiveRun(opened.name, JournalChannel(opened, writer))


@final
class LiveRun:
    """A run that is being written. Everything here may be called at any time and raises nothing.

    Attributes:
        name: the run's name.
        step: the last step that was logged, 0 before the first.
    """

    def __init__(self, name: str, channel: Channel) -> None:
        self.name = name
        self.step = 0
        self._channel = channel
        self._process = os.getpid()
        self._status: Status | None = None
        self._ends_with_program = False
        self._warned: set[str] = set()
        atexit.register(self._leave)

    @property
    def path(self) -> Path:
        """The folder that the run's files go to."""
        return self._channel.folder

    @property
    def status(self) -> Status:
        """``running``, or how it ended."""
        return self._status or Status.RUNNING

    def log(self, step: int | Mapping[str, Any], values: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Write one row: ``run.log(step, loss=0.1)``, or ``run.log(step, {"train/loss": 0.1})``.

        ``run.log({"loss": 0.1}, step=7)`` is understood too; without a step it is the one after the last. A value
        that is not a number is left out and named in a warning; NaN and infinity are kept. When this returns, the
        row survives the death of the process.
        """
        if not self._is_open("log"):
            return
        try:
            row: dict[Any, Any] = {**(values or {}), **more}
            if isinstance(step, Mapping):
                given = row.pop("step", None)
                row = {**step, **row}
                step = self.step + 1 if given is None else given
            self._channel.metrics(cast("int", step), row)
            self._stand_at(step)
        except Exception as error:  # whatever the loop hands over, it goes on
            self._warn(f"a row was left out: {type(error).__name__}: {error}")

    def artifact(self, name: str | os.PathLike[str], content: Content | bytes | os.PathLike[str] | None = None) -> None:
        """Keep a file: ``run.artifact("model.pt")`` copies one, ``run.artifact("rows.jsonl", rows)`` writes one.

        Args:
            name: a name relative to ``artifacts/``; without ``content`` a file that exists, kept under its last name.
            content: text, bytes, rows of a table, a mapping, a path to copy, or a callable that is given a path to
                write to.
        """
        if not self._is_open("artifact"):
            return
        try:
            self._channel.artifact(_artifact(name, content))
        except Exception as error:
            self._warn(f"artifact {_spelt(name)} was not kept: {type(error).__name__}: {error}")

    def note(self, kind: str, /, **data: Any) -> None:
        """Write a remark with data. The kind ``derived`` holds parameters worked out from config or data."""
        if self._is_open("note"):
            try:
                self._channel.note(str(kind), data)
            except Exception as error:
                self._warn(f"a note was left out: {type(error).__name__}: {error}")

    def finish(self, *, error: BaseException | str | None = None) -> Status:
        """End the run: completed, or failed when there is an ``error``. A second call changes nothing.

        Returns:
            How it ended: ``lost`` when the disk would not take the end.
        """
        if isinstance(error, str):
            error = RuntimeError(error)
        return self._end(_status_of(error), error)

    def finish_at_exit(self) -> None:
        """Hold the run to be completed when the program ends without an exception: for loops with no end of their own.

        Without this, a program that ends without a word leaves a lost run, since nobody can know how it went.
        """
        self._ends_with_program = True

    def leave(self, error: BaseException) -> Status:
        """End the run as the ``with`` block does that ``error`` leaves: preempted on Ctrl-C, else failed."""
        return self._end(_status_of(error), error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, trace
        self._end(_status_of(error), error)

    def _end(self, status: Status, error: BaseException | None) -> Status:
        if self._status is not None or os.getpid() != self._process:
            return self.status
        atexit.unregister(self._leave)
        told = describe(error) if error is not None and status is Status.FAILED else None
        try:
            self._status = self._channel.finish(status, told)
        except Exception as trouble:
            self._status = Status.LOST
            say(f"the end of the run {self.name} could not be written: {type(trouble).__name__}: {trouble}")
        return self._status

    def _leave(self) -> None:
        """The program ends and nobody has said how the run did: an exception says so, else nobody can know."""
        if self._status is not None or os.getpid() != self._process:
            return
        error = None if hasattr(sys, "ps1") else getattr(sys, "last_value", None)
        if isinstance(error, BaseException):
            self._end(_status_of(error), error)
            return
        if self._ends_with_program:
            self._end(Status.COMPLETED, None)
            return
        self._warn(
            "the program ended without run.finish(), so the run counts as lost; use `with start_run(...) as run:`"
        )
        self._status = Status.LOST
        self._channel.leave()

    def _stand_at(self, step: Any) -> None:
        with contextlib.suppress(TypeError, ValueError, OverflowError):  # the journal has named it in a warning
            self.step = int(step) if int(step) == step else self.step

    def _is_open(self, what: str) -> bool:
        if os.getpid() != self._process:
            return False  # a worker that was forked off; the run belongs to its parent
        if self._status is not None:
            self._tell_once(f"run.{what} after the end of the run {self.name} is not written down.")
            return False
        return True

    def _warn(self, what: str) -> None:
        if self._tell_once(what):
            self._channel.warn(what)

    def _tell_once(self, what: str) -> bool:
        if what in self._warned or len(self._warned) > 100:
            return False
        self._warned.add(what)
        say(what)
        return True


def _status_of(error: BaseException | None) -> Status:
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return Status.COMPLETED
    return Status.PREEMPTED if isinstance(error, KeyboardInterrupt | GeneratorExit) else Status.FAILED


def _artifact(name: str | os.PathLike[str], content: Any) -> Artifact:
    if content is None:
        source = Path(name)
        return Artifact(source.name, _copier(source))
    if isinstance(content, os.PathLike):
        return Artifact(os.fspath(name), _copier(Path(content)))
    if isinstance(content, bytes | bytearray | memoryview):
        data = bytes(content)
        return Artifact(os.fspath(name), lambda path: _write(path, data))
    if not isinstance(content, str | Mapping | Sequence) and not callable(content):
        raise TypeError(f"it is {shown(content)}, which is neither text, bytes, rows, a path nor a callable")
    return Artifact(os.fspath(name), cast("Content", content))


def _spelt(name: Any) -> str:
    return repr(os.fspath(name)) if isinstance(name, str | os.PathLike) else shown(name)


def _copier(source: Path) -> Any:
    if not source.is_file():
        raise FileNotFoundError(f"there is no file {source}")
    return lambda path: shutil.copyfile(source, path)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _program() -> str:
    """The name of the program that runs, as a study may be called."""
    path = getattr(sys.modules.get("__main__"), "__file__", None)
    stem = Path(path).stem if isinstance(path, str) else ""
    return "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in stem).strip("_") or "own"
