"""The seal of a run: every file with its size and hash, written last, and checked by hashing all of it again."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, final

from quadrat.core.errors import StoreError
from quadrat.journal.atomic import open_regular, read_json, sweep, write_json
from quadrat.journal.layout import RunFolder
from quadrat.journal.plain import text
from quadrat.journal.redact import redact

_CHUNK: Final = 1 << 18
_COUNTED: Final = (".ndjson", ".jsonl", ".csv")


@final
@dataclass(frozen=True, slots=True)
class Damage:
    """One file that is not as it was sealed. ``path`` is relative to the run folder."""

    path: str
    what: str


def hash_file(path: Path, *, limit: int | None = None) -> str:
    """The SHA-256 of a file's content, or of its first ``limit`` bytes. Symbolic links are not followed.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    return _measure(path, limit=limit)[1]


def tree_manifest(folder: Path, *, rows: bool = False) -> list[dict[str, Any]]:
    """Every regular file under ``folder``, sorted by path: ``path``, ``bytes`` and ``sha256``.

    With ``rows``, also the number of lines of files that hold one record a line, and None for others (the
    first line of a CSV file, its header, is not counted).

    Raises:
        StoreError: something in there is a link, a pipe or a device, which no manifest can vouch for.
        OSError: a file cannot be read.
    """
    listing: list[dict[str, Any]] = []
    for relative, mode in walk(folder):
        if not stat.S_ISREG(mode):
            raise StoreError(
                f"{relative!r} is {_kind(mode)}, which is not followed.",
                where=str(folder / relative),
                remedy="put a copy of the file in its place.",
            )
        listing.append(_entry(folder, relative, rows=rows))
    return sorted(listing, key=lambda entry: entry["path"])


def walk(folder: Path, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Everything under ``folder`` that is not a folder, sorted by path, with its mode; links are not followed.

    Raises:
        OSError: a folder cannot be read.
    """
    with os.scandir(folder) as entries:
        inside = sorted(entries, key=lambda entry: entry.name)
    for entry in inside:
        path = f"{prefix}{entry.name}"
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            yield from walk(folder / entry.name, f"{path}/")
        else:
            yield path, mode


def seal(folder: RunFolder) -> None:
    """Write ``manifest.json``: from here on the run is complete, and any change to it can be named.

    Secrets in the log are blotted out first. A symbolic link, pipe or device in the folder is left out, and ``verify``
    will name it.

    Raises:
        OSError: the disk is full or unwritable; the run stays unsealed.
    """
    sweep(folder.path)
    redact(folder.log)
    names = [path for path, mode in walk(folder.path) if _is_sealed(folder, path) and stat.S_ISREG(mode)]
    files = sorted((_entry(folder.path, path) for path in names), key=lambda entry: entry["path"])
    write_json(folder.manifest, {"schema": 1, "files": files})


def forget(folder: RunFolder, paths: Sequence[str]) -> None:
    """Take files out of the seal before they are removed; the manifest goes on naming them, under ``removed``.

    Raises:
        StoreError: the run is not sealed, or its manifest is damaged.
        OSError: the manifest cannot be written; the seal is as it was.
    """
    manifest: dict[str, Any] = {**read_json(folder.manifest), "files": list(read_manifest(folder).values())}
    gone = [entry for entry in manifest["files"] if entry["path"] in paths]
    kept = [entry for entry in manifest["files"] if entry["path"] not in paths]
    removed = sorted([*manifest.get("removed", ()), *gone], key=lambda entry: entry["path"])
    write_json(folder.manifest, {**manifest, "files": kept, "removed": removed})


def verify(folder: RunFolder, *, fast: bool = False) -> list[Damage]:
    """What differs from the seal, by path; empty when nothing does. Every byte is read and hashed again.

    The log may have grown since: the last words of whoever started the run come after the seal. What it
    held then must still be there.

    Args:
        folder: the run.
        fast: take a file on trust when it has the size it had and was not written after the seal. Whoever puts
            size and time back is not found out this way.
    """
    try:
        told = read_manifest(folder)
        sealed_at = folder.manifest.stat().st_mtime_ns if fast else None
    except StoreError as error:
        return [Damage(folder.manifest.name, error.what)]
    try:
        found = {text(path): (path, mode) for path, mode in walk(folder.path) if _is_sealed(folder, path)}
    except OSError as error:
        return [Damage(Path(error.filename or ".").name, f"cannot be read ({error.strerror or error})")]
    damage = [Damage(path, "missing") for path in told if path not in found]
    for path, (real, mode) in found.items():
        if path not in told:
            damage.append(Damage(path, f"{_kind(mode)} that is not in the manifest"))
        elif (what := _compare(folder, real, told[path], mode=mode, sealed_at=sealed_at)) is not None:
            damage.append(Damage(path, what))
    return sorted(damage, key=lambda item: item.path)


def _entry(folder: Path, path: str, *, rows: bool = False) -> dict[str, Any]:
    size, digest, lines = _measure(folder / path, rows=rows)
    entry: dict[str, Any] = {"path": text(path), "bytes": size, "sha256": digest}
    if rows:
        counted = PurePosixPath(path).suffix in _COUNTED
        entry["rows"] = max(lines - path.endswith(".csv"), 0) if counted else None
    return entry


def _compare(folder: RunFolder, path: str, told: Mapping[str, Any], *, mode: int, sealed_at: int | None) -> str | None:
    if not stat.S_ISREG(mode):
        return f"replaced by {_kind(mode)}, which is not followed"
    file = folder.path / path
    may_grow = path == folder.log.name
    if sealed_at is not None and is_untouched(file, size=told["bytes"], since=sealed_at):
        return None
    try:
        size, digest, _ = _measure(file, limit=int(told["bytes"]) if may_grow else None)
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    if size != told["bytes"]:
        return f"has {size} bytes, had {told['bytes']}"
    if digest != told["sha256"]:
        return f"its content changed: sha256 {digest[:12]}, was {str(told['sha256'])[:12]}"
    return None


def is_untouched(path: Path, *, size: int, since: int) -> bool:
    """Whether a file has the size it had and was not written after ``since`` (nanoseconds since 1970)."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == size and found.st_mtime_ns <= since


def read_manifest(folder: RunFolder) -> dict[str, Mapping[str, Any]]:
    """The sealed files of a run by path, each with ``bytes`` and ``sha256``.

    Raises:
        StoreError: the run was never sealed, or its manifest is damaged.
    """
    if not os.path.lexists(folder.manifest):
        raise StoreError("missing: the run was never sealed")
    manifest = read_json(folder.manifest)
    try:
        entries = {str(entry["path"]): entry for entry in manifest["files"]}
        if not all(isinstance(entry["bytes"], int) and entry["sha256"] for entry in entries.values()):
            raise TypeError("sizes must be whole numbers")
    except (KeyError, TypeError) as error:
        raise StoreError(f"damaged: not a manifest ({error})") from error
    return entries


def _is_sealed(folder: RunFolder, path: str) -> bool:
    return path != folder.manifest.name and not path.startswith(f"{folder.attempts.name}/")


def _measure(path: Path, *, limit: int | None = None, rows: bool = False) -> tuple[int, str, int]:
    """Bytes read, their hash, and with ``rows`` the number of newlines among them."""
    digest, size, lines = hashlib.sha256(), 0, 0
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    with open_regular(path) as file:
        while count := file.readinto(view if limit is None else view[: min(_CHUNK, limit - size)]):
            digest.update(view[:count])
            size += count
            if rows:
                lines += buffer.count(b"\n", 0, count)
    return size, digest.hexdigest(), lines


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a file" if stat.S_ISREG(mode) else "neither a file nor a folder"
