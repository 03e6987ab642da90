"""Whether the files of a run bear each other out: what a fresh seal over edited files cannot hide.

A seal says that nothing changed since it was written. Whoever edits a file and seals the run again has a good seal
and files that contradict each other: the sums no longer follow from the rows, the folder's name is not the run's own,
the config is not the one that was hashed when the run began.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from quadrat.core.errors import QuadratError
from quadrat.journal.atomic import read_json
from quadrat.journal.layout import RunFolder
from quadrat.journal.ndjson import Tally, read_rows, scan_rows
from quadrat.journal.reader import RunView
from quadrat.journal.seal import Damage, read_manifest
from quadrat.journal.summary import summarize
from quadrat.study.identity import content_hash, identity

MOST_NAMED: Final = 3


def contradictions(
    folder: RunFolder, *, place: str | None = None, declared: Mapping[str, Any] | None = None
) -> list[Damage]:
    """What in a sealed run does not fit together; paths are relative to the run's folder.

    Args:
        folder: a sealed run, evaluation or re-run.
        place: where it lies, relative to ``results/``; not looked at when not given.
        declared: the run as the study's lock declares it, when it does.

    Never raises for what it finds: a file that cannot be read is the business of ``verify``.
    """
    row = _last_row(folder)
    found = [
        *_sums(folder),
        *_names(folder, row, place),
        *_config(folder, row),
        *_data(folder, row),
        *_checkpoints(folder),
    ]
    if declared is not None and row.get("identity") not in (None, declared.get("identity")):
        what = f"holds run {row['identity']}, but the study declared {declared.get('identity')} under this name"
        found.append(Damage(folder.params.name, what))
    return found


def _sums(folder: RunFolder) -> Iterator[Damage]:
    """``metrics.json`` worked out from the rows again."""
    told = _mapping(folder, folder.metrics_json.name)
    if not told or not folder.metrics.is_file():
        return
    try:
        fresh = summarize(scan_rows(folder.metrics, Tally()))
    except OSError:
        return
    for part in ("final", "best", "summary"):
        ours, theirs = _inner(fresh, part), _inner(told, part)
        names = [name for name in sorted({*ours, *theirs}) if _spelt(ours.get(name)) != _spelt(theirs.get(name))]
        if names:
            first = names[0]
            more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
            what = (
                f"does not follow from metrics.ndjson: {part} of {', '.join(names[:MOST_NAMED])}{more}; "
                f"{first} is {_short(theirs.get(first))}, the rows say {_short(ours.get(first))}"
            )
            yield Damage(folder.metrics_json.name, what)


def _names(folder: RunFolder, row: Mapping[str, Any], place: str | None) -> Iterator[Damage]:
    """The place of the folder against what the run says it is."""
    if place is None or "run" not in row:
        return
    study, *below = place.split("/")
    stage = [str(row["stage"])] if row.get("stage") else []
    own = "/".join((str(row.get("study")), *stage, str(row["run"])))
    # An evaluation lies in .evaluations/[stage/]run/id, a re-run in .reruns/[stage/]run/n/run.
    is_beside = any(part.startswith(".") for part in below)
    fits = study == row.get("study") and str(row["run"]) in below if is_beside else place == own
    if not fits:
        yield Damage(folder.params.name, f"says that this is {own}: the folder was renamed or swapped")


def _config(folder: RunFolder, row: Mapping[str, Any]) -> Iterator[Damage]:
    """The config against the hash and the identity that were written when the run began."""
    config = RunView(folder).config()
    told = row.get("config_sha256")
    if not config or told is None:
        return
    if content_hash(config) != told:
        yield Damage(folder.config.name, f"is not the config of this run: its hash was {str(told)[:12]} when it began")
        return
    mine, seed = row.get("identity"), row.get("seed_requested")
    if mine and isinstance(seed, int) and identity(str(row.get("trainable")), config, seed) != mine:
        yield Damage(folder.params.name, f"names identity {mine}, which trainable, config and seed do not have")


def _data(folder: RunFolder, row: Mapping[str, Any]) -> Iterator[Damage]:
    """The manifest of the data against its own hash and the one in the run's row."""
    manifest = _mapping(folder, folder.data.name)
    files = manifest.get("files")
    if not isinstance(files, list):
        return
    try:
        lines = "".join(f"{file['sha256']}  {file['path']}\n" for file in files)
    except (KeyError, TypeError):
        yield Damage(folder.data.name, "is no manifest of data")
        return
    whole = hashlib.sha256(lines.encode()).hexdigest()
    if whole != manifest.get("sha256"):
        yield Damage(folder.data.name, "lists files that do not have the hash it gives for all of them")
    elif row.get("data_sha256") not in (None, whole):
        yield Damage(folder.data.name, f"is not the data of this run: they had {str(row['data_sha256'])[:12]}")


def _checkpoints(folder: RunFolder) -> Iterator[Damage]:
    """Each checkpoint's own list of files against the seal."""
    try:
        sealed = read_manifest(folder)
    except QuadratError:
        return
    for path in sealed:
        if not (path.startswith("checkpoints/") and path.endswith("/meta.json")):
            continue
        place = path.removesuffix("meta.json")
        for name, told in _inner(_mapping(folder, path), "files").items():
            held = sealed.get(f"{place}{name}", {}).get("sha256")
            if held is not None and held != told:
                yield Damage(f"{place}{name}", "is not the file that was saved with this checkpoint")


def _last_row(folder: RunFolder) -> Mapping[str, Any]:
    try:
        rows = read_rows(folder.params).rows
    except OSError:
        return {}
    return rows[-1] if rows else {}


def _mapping(folder: RunFolder, name: str) -> dict[str, Any]:
    try:
        value = read_json(folder.path / name)
    except QuadratError:
        return {}
    return value if isinstance(value, dict) else {}


def _inner(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    inner = value.get(key)
    return inner if isinstance(inner, dict) else {}


def _spelt(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _short(value: Any) -> str:
    return "absent" if value is None else _spelt(value)[:60]
