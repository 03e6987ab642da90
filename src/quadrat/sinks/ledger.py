"""What a tracker has been sent of every run: a cache. Without it everything is sent again, and nothing is doubled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, final

from quadrat.core.errors import StoreError
from quadrat.journal.atomic import read_json, write_json
from quadrat.journal.layout import RunFolder, StudyFolder
from quadrat.sinks.following import size_of

FOLDER: Final = ".mirror"


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """What is known to have arrived of one run.

    Attributes:
        offset: bytes of ``metrics.ndjson`` whose rows were sent.
        sha256: their hash.
        size: how long the file was when the run was closed in the tracker.
        attempts: bytes of ``params.ndjson`` then; one row for each attempt, so another number is another attempt.
        ended: the status it was closed with; None while it is open.
        mark: the tracker's own mark, to go on from there.
    """

    offset: int
    sha256: str
    size: int
    attempts: int
    ended: str | None
    mark: Mapping[str, Any] | None

    def is_whole(self, run: RunFolder) -> bool:
        """Whether nothing has come since: the run was closed and neither rows nor attempts were added or cut."""
        return self.ended is not None and (self.size, self.attempts) == (size_of(run.metrics), size_of(run.params))


@final
class Ledger:
    """The entries of one tracker for one study, in ``results/<study>/.mirror/<tracker>.json``."""

    def __init__(self, study: StudyFolder, name: str) -> None:
        self.path = study.path / FOLDER / f"{name}.json"
        self._destination = ""
        self._entries: dict[str, Entry] = {}
        self._saved: dict[str, Entry] = {}
        try:
            told = read_json(self.path)
            self._entries = {path: Entry(**entry) for path, entry in told["runs"].items()}
            self._destination = told["destination"]
        except (StoreError, AttributeError, KeyError, TypeError):
            self._entries = {}
        self._saved = dict(self._entries)

    def send_to(self, destination: str) -> None:
        """Begin anew when rows went to another place until now."""
        if destination != self._destination:
            self._destination, self._entries = destination, {}

    def forget(self) -> None:
        """Begin anew."""
        self._entries = {}

    def get(self, path: str) -> Entry | None:
        """The entry of the run at ``path``, relative to the study's folder."""
        return self._entries.get(path)

    def put(self, path: str, entry: Entry) -> None:
        """Note what has arrived of a run."""
        self._entries[path] = entry

    def save(self) -> None:
        """Write down what has changed.

        Raises:
            OSError: the disk is full or unwritable.
        """
        if self._entries == self._saved:
            return
        runs = {path: asdict(entry) for path, entry in self._entries.items()}
        write_json(self.path, {"schema": 1, "destination": self._destination, "runs": runs})
        self._saved = dict(self._entries)


def behind(study: StudyFolder, name: str) -> tuple[int, int]:
    """How many runs of ``study`` tracker ``name`` has not wholly got, and how many there are."""
    ledger = Ledger(study, name)
    runs = [(run, ledger.get(run.path.relative_to(study.path).as_posix())) for run in study.runs()]
    return sum(entry is None or not entry.is_whole(run) for run, entry in runs), len(runs)


def used_before(study: StudyFolder) -> list[str]:
    """The trackers that have been sent something of ``study``."""
    return sorted(path.stem for path in (study.path / FOLDER).glob("*.json"))
