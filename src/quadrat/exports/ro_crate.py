"""A study as a research object: an RO-Crate 1.1 of the profile Process Run Crate 0.5, as a folder.

Each run that has begun is a ``CreateAction``: its instrument is the trainable at its commit, its object the config
and the data, its result what it left. Inside are the study file, the declaration, the records with their evidence,
and every file of a run up to 1 MiB, each with size and SHA-256, at the place where it lies in the project.
Checkpoints, larger files and data stay where they are; the crate names each of them with its hash. Source:
https://w3id.org/ro/wfrun/process/0.5.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final, final
from urllib.parse import quote

from quadrat.analyze.rows import Row
from quadrat.analyze.table import StudyTable, load_study_table
from quadrat.core.errors import UsageError
from quadrat.core.secrets import masked_words
from quadrat.core.verdicts import Status
from quadrat.exports.base import Staging, Tick, Written, at_work, staged
from quadrat.exports.crate_files import Piece, pieces_of_data, pieces_of_run, pieces_of_study, read_piece
from quadrat.exports.crate_preview import preview
from quadrat.exports.croissant import FORMATS
from quadrat.exports.datasets import DataSet, data_sets
from quadrat.exports.secrecy import cleaned, shielded
from quadrat.journal.atomic import dumps, read_mapping
from quadrat.journal.layout import StudyFolder

CRATE: Final = "https://w3id.org/ro/crate/1.1"
PROFILE: Final = "https://w3id.org/ro/wfrun/process/0.5"
CONTEXT: Final = (f"{CRATE}/context", "https://w3id.org/ro/terms/workflow-run/context")
METADATA: Final = "ro-crate-metadata.json"
PREVIEW: Final = "ro-crate-preview.html"

_FORMATS: Final = {
    **FORMATS,
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".md": "text/markdown",
    ".log": "text/plain",
    ".diff": "text/x-diff",
    ".svg": "image/svg+xml",
    ".html": "text/html",
}

Entity = dict[str, Any]


@final
class RoCrateExporter:
    """A folder with ``ro-crate-metadata.json``, ``ro-crate-preview.html`` and the files."""

    @property
    def ending(self) -> str:
        """The folder's ending."""
        return "-ro-crate"

    def write(self, study: StudyFolder, target: Path, *, tick: Tick) -> Written:
        """Write the crate.

        Raises:
            UsageError: a run is at work, beside the reasons of every export.
        """
        if running := at_work(study):
            many = f"{len(running)} runs are" if len(running) > 1 else "1 run is"
            raise UsageError(
                f"{many} at work ({running[0]}), and a crate is of what is over.",
                where=study.name,
                remedy=f"wait, or quadrat stop {study.name}.",
            )
        table = load_study_table(study)
        with staged(target) as stage:
            crate = _Crate(study.root, stage)
            for piece in pieces_of_study(study):
                crate.take(piece)
            begun = [row for row in table.rows if row.view is not None]
            sets = _by_run(study)
            for done, row in enumerate(begun, 1):
                crate.run(table, row, sets.get(row.declared.place))
                tick(done, len(begun))
            graph = crate.graph(table)
            stage.put(METADATA, dumps({"@context": list(CONTEXT), "@graph": graph}))
            stage.put(PREVIEW, preview(graph).encode())
        out = sum(bool(entity.get("sha256")) and entity["@type"] == "CreativeWork" for entity in graph)
        notes = (f"{out} files (checkpoints, data, larger ones) are named with their hashes and stay where they are.",)
        return stage.written(target, *(notes if out else ()))


@final
class _Crate:
    """The entities of a crate, each once, and its files as they are put in."""

    def __init__(self, root: Path, stage: Staging) -> None:
        self._root = root
        self._stage = stage
        self._entities: dict[str, Entity] = {}

    def take(self, piece: Piece) -> str:
        """Put a file in, or name it; its identity."""
        if piece.why:
            identity = f"#absent-{quote(piece.path)}"
            self._add(
                identity,
                "CreativeWork",
                name=piece.path,
                description=f"Not in this crate ({piece.why}): {piece.size} bytes, sha256 {piece.sha256}.",
                contentSize=str(piece.size),
                sha256=piece.sha256,
            )
            return identity
        identity = quote(piece.path)
        if identity not in self._entities:
            content, found = cleaned(piece.path, read_piece(self._root, piece))
            self._stage.put(piece.path, content)
            self._stage.count(piece.path, found)
            other = f"{found} secrets were masked, so its hash is not the one in its manifest." if found else None
            self._add(
                identity,
                "File",
                name=piece.path,
                description=other,
                contentSize=str(len(content)),
                sha256=hashlib.sha256(content).hexdigest(),
                encodingFormat=_FORMATS.get(PurePosixPath(piece.path).suffix, "application/octet-stream"),
            )
        return identity

    def run(self, table: StudyTable, row: Row, data: DataSet | None) -> None:
        """Describe a run that has begun, with its files and data."""
        if row.view is None:
            return
        pieces = pieces_of_run(self._root, row.view.folder)
        inputs = [self.take(piece) for piece in pieces if piece.is_input]
        results = [self.take(piece) for piece in pieces if not piece.is_input]
        last = row.attempts[-1] if row.attempts else {}
        words = masked_words([str(word) for word in last.get("argv") or ()])
        owner = table.declaration.text("owner")
        told = f"{shlex.join(words)} (seed {row.seed}, {len(row.attempts)} attempts)"
        self._add(
            f"#run-{quote(row.declared.place)}",
            "CreateAction",
            name=f"Run {row.declared.place} of the study {table.study}",
            description=shielded(told)[0],
            startTime=_time(row.started),
            endTime=_time(row.finished),
            instrument=_ref(self._instrument(row, last, table)),
            agent=_ref(self._add("#owner", "Person", name=shielded(owner)[0])) if owner else None,
            object=[_ref(name) for name in (*inputs, *([self._data(data)] if data else []))],
            result=[_ref(name) for name in results],
            **_status(row),
        )

    def graph(self, table: StudyTable) -> list[Entity]:
        """Every entity, the descriptor and the root first."""
        parts = [name for name, entity in self._entities.items() if entity["@type"] == "File"]
        actions = [name for name, entity in self._entities.items() if entity["@type"] == "CreateAction"]
        sets = [name for name, entity in self._entities.items() if entity["@type"] == "Collection"]
        told = [table.declaration.text(key) for key in ("question", "hypothesis")]
        words = " ".join(word for word in told if word)
        owner = {"author": _ref("#owner")} if "#owner" in self._entities else {}
        root = {
            "@id": "./",
            "@type": "Dataset",
            "conformsTo": _ref(PROFILE),
            "name": f"The study {table.study}",
            "description": f"{shielded(words)[0]} {table.coverage().text}.".strip(),
            "datePublished": datetime.now(UTC).isoformat(timespec="seconds"),
            "license": "The study states no licence: ask its owner before you use it.",
            "hasPart": [_ref(name) for name in parts],
            "mentions": [_ref(name) for name in (*actions, *sets)],
            **owner,
        }
        about = {"@id": METADATA, "@type": "CreativeWork", "conformsTo": _ref(CRATE), "about": _ref("./")}
        known = [
            {"@id": CRATE, "@type": "CreativeWork", "name": "RO-Crate", "version": "1.1"},
            {"@id": PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
        ]
        return [about, root, *known, *self._entities.values()]

    def _instrument(self, row: Row, last: Mapping[str, Any], table: StudyTable) -> str:
        git = read_mapping(row.view.folder.git) if row.view else {}
        commit, code = (str(held) if held else "" for held in (git.get("commit"), last.get("code_sha256")))
        trainable = str(last.get("trainable") or table.declaration.text("trainable") or "unknown")
        changed = " with uncommitted changes (git.diff of the run)" if git.get("dirty") else ""
        key = hashlib.sha256("\0".join((trainable, commit, code, changed)).encode()).hexdigest()[:12]
        version = {"version": f"{commit}{'+dirty' if changed else ''}"} if commit else {}
        return self._add(
            f"#code-{key}",
            "SoftwareApplication",
            name=shielded(trainable)[0],
            description=f"Commit {commit or 'unknown'}{changed}; sha256 of its code {code or 'unknown'}.",
            **version,
        )

    def _data(self, data: DataSet) -> str:
        files = [_ref(self.take(piece)) for piece in pieces_of_data(data)]
        told = f"Lies in {data.folder}. Hash over its files: {data.sha256}."
        return self._add(f"#data-{quote(data.name)}", "Collection", name=data.name, description=told, hasPart=files)

    def _add(self, identity: str, kind: str, **told: Any) -> str:
        kept = {key: value for key, value in told.items() if value is not None and value != []}
        self._entities.setdefault(identity, {"@id": identity, "@type": kind, **kept})
        return identity


def _by_run(study: StudyFolder) -> dict[str, DataSet]:
    """The data set of each run that names one."""
    try:
        found: Sequence[DataSet] = data_sets(study)
    except UsageError:
        return {}
    return {place: data for data in found for place in data.runs}


def _status(row: Row) -> dict[str, Any]:
    """How a run ended, in the profile's two words."""
    if row.status is Status.COMPLETED:
        return {"actionStatus": "http://schema.org/CompletedActionStatus"}
    why = f"{row.status}"
    if row.error:
        why = f"{why}: {row.error.get('type')}: {row.error.get('message', '')}"
    elif row.diagnosis:
        why = f"{why}: {row.diagnosis.get('diagnosis') or row.diagnosis.get('rule')}"
    return {"actionStatus": "http://schema.org/FailedActionStatus", "error": shielded(why)[0]}


def _time(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds") if moment else None


def _ref(identity: str) -> dict[str, str]:
    return {"@id": identity}
