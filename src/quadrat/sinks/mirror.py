"""Keeps trackers like the journal: reads what runs have added to their folders and passes it on.

``python -m quadrat.sinks.mirror results/STUDY`` sends whatever has not arrived yet. With ``--follow`` it goes on doing
so until its standard input ends, which is how a conductor that ends, however it ends, lets go of it. Nothing here can
touch a run: run folders are only read, and no run knows that anybody reads them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from filelock import FileLock, Timeout

from quadrat.core.errors import QuadratError, UsageError
from quadrat.core.registry import load
from quadrat.core.secrets import mask
from quadrat.core.verdicts import Status
from quadrat.journal.layout import RESULTS, RunFolder, StudyFolder
from quadrat.journal.reader import RunView
from quadrat.sinks.base import RunFacts, Track, Tracker
from quadrat.sinks.following import RunSource, size_of
from quadrat.sinks.ledger import FOLDER, Entry, Ledger, behind, used_before

FINISH_SECONDS: Final = 5.0
"""How long a mirror that is no longer needed may take to send what is left."""

POLL_SECONDS: Final = 1.0
SAVE_SECONDS: Final = 2.0
PATIENT_SECONDS: Final = 600.0
LOCK_SECONDS: Final = 15.0
FIRST_RETRY_SECONDS: Final = 30.0
LAST_RETRY_SECONDS: Final = 600.0
LONGEST_POLL_SECONDS: Final = 30.0
_SHARE = 20
"""A look at all runs shall take one part in so many of the time, however many runs there are."""

_ON_ITS_WAY = (Status.PENDING, Status.RUNNING)


@final
@dataclass(slots=True)
class _Open:
    """A run that is open in the tracker."""

    facts: RunFacts
    source: RunSource
    track: Track
    attempts: int


@final
class Mirror:
    """One tracker, kept like the journal of one study."""

    def __init__(self, tracker: Tracker, study: StudyFolder, *, name: str) -> None:
        self._tracker = tracker
        self._study = study
        self._ledger = Ledger(study, name)
        self._open: dict[str, _Open] = {}
        self._saved_at = time.monotonic()

    def send(self, *, last: bool = False) -> None:
        """Send everything that is new. ``last``: nobody will look again, so runs that are dead are closed as such.

        Raises:
            Exception: whatever the tracker raises; what has arrived by then is noted.
        """
        if not self._tracker.home.is_dir():
            self._ledger.forget()  # somebody removed what it had
        self._ledger.send_to(self._tracker.destination)
        try:
            for folder in self._study.runs():
                self._send_run(folder, last=last)
                self._save_if_due()
        except Exception:
            self._save()
            raise
        if last:
            self._save()

    def drop(self) -> None:
        """Let go of all open runs after trouble; they will be opened again, where they can be taken up."""
        for path in list(self._open):
            with contextlib.suppress(Exception):
                self._open.pop(path).track.close(None)

    def _save_if_due(self) -> None:
        if time.monotonic() - self._saved_at > SAVE_SECONDS:
            self._save()

    def _save(self) -> None:
        self._ledger.save()
        self._saved_at = time.monotonic()

    def _send_run(self, folder: RunFolder, *, last: bool) -> None:
        path = folder.path.relative_to(self._study.path).as_posix()
        entry = self._ledger.get(path)
        at_work = self._open.get(path)
        # Looked at before the rows are: a run that is sealed now has no row that comes later.
        sealed = folder.manifest.is_file()
        if at_work is None:
            if entry is not None and entry.is_whole(folder):
                return
            if not sealed and not _is_worth_opening(folder, last=last):
                return
            at_work = self._open[path] = self._begin(folder, entry)
        self._go_back_if_cut(at_work)
        while rows := at_work.source.take():
            at_work.track.rows(rows)
            self._note(path, at_work)
            self._save_if_due()
        ending = at_work.source.ending() if sealed or last else None
        if ending is None:
            self._note(path, at_work)
        elif ending.status not in _ON_ITS_WAY:
            del self._open[path]
            at_work.track.close(ending)
            self._note(path, at_work, ended=ending.status)
        elif last:
            self._note(path, at_work)
            del self._open[path]
            at_work.track.close(None)

    def _begin(self, folder: RunFolder, entry: Entry | None) -> _Open:
        source = RunSource(folder)
        facts, attempts = source.facts(self._study.name), size_of(folder.params)
        track = None
        if entry and not entry.ended and entry.mark and source.skip_to(entry.offset, sha256=entry.sha256):
            track = self._tracker.resume(facts, entry.mark)
            source = source if track else RunSource(folder)
        return _Open(facts, source, track or self._tracker.open(facts), attempts)

    def _go_back_if_cut(self, at_work: _Open) -> None:
        source = at_work.source
        attempts = size_of(source.folder.params)
        if attempts == at_work.attempts and source.size() >= source.offset:
            return
        if source.go_back_if_cut():
            at_work.track.close(None)
            at_work.track = self._tracker.open(at_work.facts)
        at_work.attempts = attempts

    def _note(self, path: str, at_work: _Open, *, ended: str | None = None) -> None:
        source = at_work.source
        mark = at_work.track.mark() if ended is None else None
        entry = Entry(source.offset, source.sha256, source.size(), at_work.attempts, ended, mark)
        self._ledger.put(path, entry)


def _is_worth_opening(folder: RunFolder, *, last: bool) -> bool:
    """Whether there is somebody to follow.

    A run that makes its data ready has not yet written who it is. One that died waits unopened for its next attempt,
    until nobody will look again.
    """
    status = RunView(folder).status()
    if status is Status.RUNNING:
        return size_of(folder.params) > 0
    return last and status is not Status.PENDING


@final
class _Keeper(threading.Thread):
    """The thread of one tracker. It says at most one line, whatever happens to it."""

    def __init__(self, name: str, study: StudyFolder, *, gone: threading.Event, say: Callable[[str], None]) -> None:
        super().__init__(name=f"mirror-{name}", daemon=True)
        self.sink = name
        self.said = False
        self.is_tracker = True
        self._study = study
        self._gone = gone
        self._once = gone.is_set()  # from the beginning: nobody to be followed
        self._say = say
        self._mirror: Mirror | None = None

    def run(self) -> None:
        lock = FileLock(self._study.path / FOLDER / f"{self.sink}.lock", timeout=0 if self._once else LOCK_SECONDS)
        try:
            with lock:
                self._keep()
        except Timeout:
            self.tell("another mirror is at work on it")

    def tell(self, what: str) -> None:
        """Say what is wrong and how to make it good, the first time only."""
        if not self.said:
            self.said = True
            self._say(
                f"sink {self.sink}: {what}. Runs are not touched by this; send the rest with: {again(self._study)}"
            )

    def _keep(self) -> None:
        tracker = self._load()
        if tracker is None:
            return
        delay, troubled = FIRST_RETRY_SECONDS, False
        while not self._gone.is_set():
            began = time.monotonic()
            troubled = not self._send(tracker)
            wait = min(LONGEST_POLL_SECONDS, max(POLL_SECONDS, _SHARE * (time.monotonic() - began)))
            if troubled:
                wait, delay = delay, min(LAST_RETRY_SECONDS, 2 * delay)
            self._gone.wait(wait)
        if not troubled:
            self._send(tracker, last=True)

    def _load(self) -> Callable[[], Tracker] | None:
        try:
            member = load("sinks", self.sink)
        except Exception as error:
            self._explain(error)
            return None
        if not (isinstance(member, type) and issubclass(member, Tracker)):
            self.is_tracker = False  # a sink of the other kind, which the conductor feeds itself
            return None
        home = self._study.path / f".{self.sink}"
        return lambda: member(home, patience=PATIENT_SECONDS if self._once else FINISH_SECONDS)

    def _send(self, make: Callable[[], Tracker], *, last: bool = False) -> bool:
        try:
            if self._mirror is None:
                self._mirror = Mirror(make(), self._study, name=self.sink)
            self._mirror.send(last=last)
        except Exception as error:
            self._explain(error)
            if self._mirror is not None:
                self._mirror.drop()
            return False
        return True

    def _explain(self, error: Exception) -> None:
        traceback.print_exception(error)
        if isinstance(error, ModuleNotFoundError):
            self.tell(
                f"it needs the package {error.name!r}, which is not installed (pip install 'quadrat[{self.sink}]')"
            )
        elif isinstance(error, QuadratError):
            self.tell(f"{error.what.rstrip('.')}" + (f" ({error.remedy.rstrip('.')})" if error.remedy else ""))
        else:
            first = mask(str(error))[0].partition("\n")[0][:200]
            self.tell(f"it failed with {type(error).__name__}: {first}".rstrip(": ."))


def again(study: StudyFolder) -> str:
    """The command that sends what has not arrived."""
    near = os.path.relpath(study.path)
    return f"python -m quadrat.sinks.mirror {study.path if near.startswith(os.pardir) else near}"


def mirror(study: StudyFolder, names: Sequence[str], *, follow: bool, say: Callable[[str], None]) -> bool:
    """Keep the trackers ``names`` like the journal of ``study``; whether everything has arrived.

    With ``follow`` until standard input ends, and then some seconds more at most. Without: once, however long it takes.
    """
    (study.path / FOLDER).mkdir(exist_ok=True)
    gone = threading.Event()
    if not follow:
        gone.set()
    keepers = [_Keeper(name, study, gone=gone, say=say) for name in names]
    for keeper in keepers:
        keeper.start()
    if follow:
        _wait_until_alone(keepers)
        gone.set()
    deadline = time.monotonic() + FINISH_SECONDS if follow else None
    for keeper in keepers:
        keeper.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
    for keeper in keepers:
        missing, runs = behind(study, keeper.sink) if keeper.is_tracker else (0, 0)
        if missing:
            keeper.tell(f"{missing} of {runs} runs have not arrived whole")
    return not any(keeper.said for keeper in keepers)


def _wait_until_alone(keepers: Sequence[threading.Thread]) -> None:
    parent = os.getppid()
    while any(keeper.is_alive() for keeper in keepers) and os.getppid() == parent:
        # A child that the conductor forked may hold the other end open, hence the second look at the parent.
        if select.select([0], [], [], POLL_SECONDS)[0] and not os.read(0, 4096):
            return


def study_at(path: Path) -> StudyFolder:
    """The study whose folder is ``path``.

    Raises:
        UsageError: no study lies there.
    """
    real = path.resolve()
    if not real.is_dir() or real.parent.name != RESULTS:
        raise UsageError(
            "no study lies there.", where=str(path), remedy="the folder results/STUDY of one that has run."
        )
    return StudyFolder(real.parent.parent, real.name)


def _say_on(descriptor: int) -> Callable[[str], None]:
    def say(text: str) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more
            os.write(descriptor, f"{' '.join(text.split())}\n".encode("utf-8", "backslashreplace"))

    return say


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns 0 when everything has arrived or a conductor was followed, 1 when something has not."""
    parser = argparse.ArgumentParser(prog="python -m quadrat.sinks.mirror", description=__doc__)
    parser.add_argument("folder", type=Path, help="results/STUDY")
    parser.add_argument("--sink", action="append", default=[], help="a tracker; default: those that were used before")
    parser.add_argument("--follow", action="store_true", help="go on until standard input ends")
    told = parser.parse_args(argv)
    # Packages print what they like; only what is said here goes to standard output.
    say = _say_on(os.dup(1))
    os.dup2(2, 1)
    try:
        study = study_at(told.folder)
    except UsageError as error:
        print(error.paragraph(), file=sys.stderr)
        return error.exit_code
    if told.follow:
        os.nice(10)
    names = told.sink or used_before(study)
    if not names:
        parser.error("nothing was mirrored before, so name a tracker: --sink tensorboard")
    arrived = mirror(study, names, follow=told.follow, say=say)
    return 0 if arrived or told.follow else 1


if __name__ == "__main__":
    # No waiting for threads and handlers at exit: what has not arrived by now is sent another time.
    code = main()
    sys.stderr.flush()
    os._exit(code)
