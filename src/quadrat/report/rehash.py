"""R7: the data that a record names, and the evidence beside it, are hashed again and still what they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from quadrat.journal.atomic import read_mapping
from quadrat.journal.audit import EVIDENCE
from quadrat.journal.seal import hash_file
from quadrat.logbook.check import Finding


@final
@dataclass(slots=True)
class Rehash:
    """Hashes files by content, each once however many records name it. One for one call of the check."""

    root: Path
    _known: dict[Path, str | None] = field(default_factory=dict[Path, str | None])

    def data(self, facts: Mapping[str, Any]) -> Iterator[str]:
        """What differs in the data of a study; a folder that is absent as a whole, as in a clone, is let pass."""
        for told in facts.get("data") or ():
            place = str(told.get("folder") or "")
            if place and (self.root / place).is_dir():
                yield from self._differing(place, told.get("files") or ())

    def evidence(self, folder: Path) -> Iterator[str]:
        """What differs in an evidence folder from its own manifest."""
        files = read_mapping(folder / EVIDENCE).get("files")
        if isinstance(files, list) and folder.is_relative_to(self.root):
            yield from self._differing(folder.relative_to(self.root).as_posix(), files)

    def _differing(self, folder: str, files: Sequence[Any]) -> Iterator[str]:
        home = self.root.resolve()
        for item in files:
            name = f"{folder}/{item.get('path')}"
            path = self.root / name
            if path.is_symlink() or not path.resolve().is_relative_to(home):
                yield f"{name} is a link or leads out of the project"
            elif not path.is_file():
                yield f"{name} is missing"
            elif self._sha256(path) != item.get("sha256"):
                yield f"{name} has other contents than when it was recorded"

    def _sha256(self, path: Path) -> str | None:
        if path not in self._known:
            self._known[path] = _hashed(path)
        return self._known[path]


def _hashed(path: Path) -> str | None:
    try:
        return hash_file(path)
    except OSError:
        return None


def hashes(facts: Mapping[str, Any], folder: Path, *, line: int, rehash: Rehash) -> Iterator[Finding]:
    """R7: findings on the data and on the evidence of one record.

    Args:
        facts: the facts of its study.
        folder: its evidence folder.
        line: where the record's block of checksums begins.
        rehash: what was hashed already.
    """
    for reason in rehash.data(facts):
        yield Finding(line, "Checksums", reason, "R7")
    for reason in rehash.evidence(folder):
        yield Finding(1, "evidence", f"{reason}; 'quadrat record draft' writes it anew from results/", "R7")
