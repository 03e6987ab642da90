"""Sets a run folder back to a checkpoint. Nothing is thrown away, and being killed in the middle does no harm.

What no longer holds goes to ``attempts/<n>/``: the seal first, so that a run that is half set back never looks
complete; then the verdict and the sums; then the rows behind the checkpoint. Each step looks at the disk alone
to see whether it has been done, so the whole may be repeated from the start at any time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from quadrat.core.errors import StoreError
from quadrat.journal.atomic import (
    read_bytes,
    read_json,
    sweep,
    sync_folder,
    write_bytes,
    write_json,
)
from quadrat.journal.layout import RunFolder

SIZE_NAME: Final = "rewind.json"
"""Beside the kept rows: how long the file was before anything was cut."""


def rewind(folder: RunFolder, offset: int, *, attempt: int) -> None:
    """Cut ``metrics.ndjson`` to its first ``offset`` bytes and clear away how attempt ``attempt`` ended.

    Raises:
        StoreError: the file is shorter than ``offset``, or the cut would go through the middle of a row.
        OSError: the disk is full or unwritable.
    """
    for _, step in steps(folder, offset, attempt=attempt):
        step()


def steps(folder: RunFolder, offset: int, *, attempt: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """The steps of ``rewind`` in order, each with its name; every one leaves the folder in a readable state."""
    _check(folder.metrics, offset)
    place = _place(folder, attempt)
    yield "sweep", partial(sweep, folder.path)
    yield "make place", partial(_make, place)
    for path in (folder.manifest, folder.verdict, folder.metrics_json, folder.health):
        yield f"move {path.name}", partial(_move, path, place)
    yield "note size", partial(_note_size, folder.metrics, place)
    yield "keep rows", partial(_keep, folder.metrics, place, offset)
    yield "cut", partial(_cut, folder.metrics, offset)


def _check(metrics: Path, offset: int) -> None:
    size = _size(metrics)
    if offset > size:
        raise StoreError(
            f"the checkpoint names byte {offset} of the metrics, but there are only {size}.", where=str(metrics)
        )
    if 0 < offset < size or offset == size > 0:
        with metrics.open("rb") as file:
            file.seek(offset - 1)
            if file.read(1) != b"\n":
                raise StoreError(f"byte {offset} is in the middle of a row.", where=str(metrics))


def _place(folder: RunFolder, attempt: int) -> Path:
    """``attempts/<n>``, or ``attempts/<n>.1`` and so on when that holds what an unrecorded attempt left."""
    place, count = folder.attempts / str(attempt), 0
    while _is_taken(folder, place):
        count += 1
        place = folder.attempts / f"{attempt}.{count}"
    return place


def _is_taken(folder: RunFolder, place: Path) -> bool:
    sources = (folder.manifest, folder.verdict, folder.metrics_json, folder.health)
    if any(source.exists() and (place / source.name).exists() for source in sources):
        return True
    begin = _kept_from(place)
    if begin is None or _size(folder.metrics) <= begin:
        return False
    # Kept and not yet cut is a rewind that was killed; anything else is another attempt's rows.
    with folder.metrics.open("rb") as file:
        file.seek(begin)
        return not _kept(place).startswith(file.read())


def _make(place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    sync_folder(place.parent)
    sync_folder(place.parent.parent)


def _move(source: Path, place: Path) -> None:
    if not os.path.lexists(source):
        return
    source.replace(place / source.name)
    sync_folder(place)
    sync_folder(source.parent)


def _note_size(metrics: Path, place: Path) -> None:
    note = place / SIZE_NAME
    if not note.exists():
        write_json(note, {"schema": 1, "metrics_bytes": _size(metrics)})


def _keep(metrics: Path, place: Path, offset: int) -> None:
    """Put what lies behind ``offset`` before what was kept already; a second, deeper cut adds to the first."""
    begin = _kept_from(place)
    if begin is None or offset >= begin:
        return
    with metrics.open("rb") as file:
        file.seek(offset)
        tail = file.read(begin - offset)
    write_bytes(place / metrics.name, tail + _kept(place))


def _cut(metrics: Path, offset: int) -> None:
    if _size(metrics) <= offset:
        return
    descriptor = os.open(metrics, os.O_WRONLY | os.O_NOFOLLOW)
    try:
        os.ftruncate(descriptor, offset)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _kept_from(place: Path) -> int | None:
    """At which byte of the uncut file the kept rows begin; None before anything was noted."""
    note = place / SIZE_NAME
    if not note.exists():
        return None
    told: dict[str, Any] = read_json(note)
    return int(told["metrics_bytes"]) - len(_kept(place))


def _kept(place: Path) -> bytes:
    path = place / "metrics.ndjson"
    return read_bytes(path) if path.exists() else b""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
