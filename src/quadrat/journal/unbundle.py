"""An exported study taken in: every member looked at before a byte is written, every byte hashed on its way out.

An archive is a stranger's word. Names that lead elsewhere, links, members that the manifest does not name, more bytes
than it says: each is refused, and then nothing of the archive is on disk.
"""

from __future__ import annotations

import hashlib
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import orjson

from quadrat.core.errors import StoreError, UsageError
from quadrat.journal.bundle import MANIFEST
from quadrat.journal.layout import MARKER, RESULTS, StudyFolder
from quadrat.journal.seal import hash_file

LARGEST_MANIFEST: Final = 256 * 2**20
_CHUNK: Final = 1 << 20
_STUDY_FILES: Final = (".yaml", ".yml")


@final
@dataclass(frozen=True, slots=True)
class Imported:
    """What was taken in. ``kept`` were here already with the same content."""

    study: str
    files: int
    placed: tuple[str, ...]
    kept: tuple[str, ...]
    masked: Mapping[str, int]


def take_in(root: Path, path: Path) -> Imported:
    """Take an exported study into the project. What is here already is never overwritten.

    Raises:
        UsageError: it is no export, or something of its name is here already.
        StoreError: the archive is damaged, or holds what no export holds.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            about, entries = _checked(archive, path)
            study = str(about["study"])
            pieces = _pieces(StudyFolder(root, study), entries)
            kept = _kept(root, pieces, entries)
            _has_room(root, entries)
            placed = _place(archive, root, entries=entries, pieces=[piece for piece in pieces if piece not in kept])
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise StoreError(f"the archive is damaged ({error}).", where=str(path)) from error
    except FileNotFoundError:
        raise UsageError("there is no such file.", where=str(path)) from None
    masked = about.get("masked")
    return Imported(study, len(entries), tuple(placed), tuple(kept), masked if isinstance(masked, dict) else {})


def _checked(archive: zipfile.ZipFile, path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The manifest and its entries, once every member is what an export may hold and the two name the same files."""
    infos = archive.infolist()
    names = [info.filename for info in infos]
    for info in infos:
        wrong = _wrong(info)
        if wrong is not None:
            raise StoreError(f"member {info.filename[:200]!r} {wrong}; nothing was written.", where=str(path))
    if len({name.casefold() for name in names}) != len(names):
        raise StoreError("two members have the same name; nothing was written.", where=str(path))
    if MANIFEST not in names or archive.getinfo(MANIFEST).file_size > LARGEST_MANIFEST:
        raise UsageError(f"it holds no {MANIFEST}.", where=str(path), remedy="a file that 'quadrat export' wrote.")
    try:
        about = orjson.loads(archive.read(MANIFEST))
        entries = {str(entry["path"]): dict(entry) for entry in about["files"]}
        if not all(
            isinstance(e["bytes"], int) and e["bytes"] >= 0 and isinstance(e["sha256"], str) for e in entries.values()
        ):
            raise ValueError("sizes and hashes are missing")
        StudyFolder(path.parent, str(about["study"]))
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"its {MANIFEST} is damaged ({error}).", where=str(path)) from error
    other = sorted(entries.keys() ^ (set(names) - {MANIFEST}))
    if other:
        raise StoreError(f"members and manifest differ: {', '.join(other[:5])}; nothing was written.", where=str(path))
    sizes = [name for name, entry in entries.items() if archive.getinfo(name).file_size != entry["bytes"]]
    if sizes:
        raise StoreError(f"{sizes[0]!r} has another size than its manifest says; nothing was written.", where=str(path))
    return about, entries


def _wrong(info: zipfile.ZipInfo) -> str | None:
    """Why a member may not be unpacked, or None."""
    name, mode = info.filename, info.external_attr >> 16
    # What the archive itself spells: zipfile puts its own idea of a name in its place.
    spelt = info.orig_filename
    parts = spelt.split("/")
    if spelt != name or "\\" in spelt or "\0" in spelt or any(ord(letter) < 32 for letter in spelt):
        return "has a name that is not plain"
    if spelt.startswith("/") or ":" in parts[0] or any(part in ("", ".", "..") for part in parts):
        return "leads out of its folder"
    if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
        return "is a link, a folder or a device"
    return "is encrypted" if info.flag_bits & 0x1 else None


def _pieces(folder: StudyFolder, entries: Mapping[str, Any]) -> list[str]:
    """The folders and files that are put in place whole.

    Raises:
        StoreError: a member lies where no export puts one.
    """
    found: dict[str, None] = {}
    for name in entries:
        parts = name.split("/")
        if parts[0] == RESULTS and len(parts) > 2 and parts[1] == folder.name:
            found[f"{RESULTS}/{folder.name}"] = None
        elif parts[0] in ("data", "experiments") and len(parts) >= 2 and not parts[1].startswith("."):
            found["/".join(parts[:2])] = None
        elif _is_study_file(parts) and not any(piece.endswith(_STUDY_FILES) for piece in found):
            found[name] = None
        elif name != MARKER:
            raise StoreError(f"member {name!r} is no part of a study; nothing was written.", where=folder.name)
    # The runs last: only then does the study count as being here.
    return sorted(found, key=lambda piece: (piece.startswith(RESULTS), piece))


def _is_study_file(parts: Sequence[str]) -> bool:
    is_apart = parts[0] not in (RESULTS, "data", "experiments") and not any(part.startswith(".") for part in parts)
    return is_apart and parts[-1].endswith(_STUDY_FILES)


def _kept(root: Path, pieces: Sequence[str], entries: Mapping[str, Any]) -> list[str]:
    """Pieces that are here already with the same content, which data and study files may be.

    Raises:
        UsageError: something else of that name is here.
    """
    kept: list[str] = []
    for piece in pieces:
        here = root / piece
        if not (here.exists() or here.is_symlink()):
            continue
        may_be_shared = piece.startswith("data/") or piece.endswith(_STUDY_FILES)
        if not may_be_shared or not _is_same(root, piece, entries):
            raise UsageError(
                f"{piece} is here already, and nothing is overwritten.",
                where=str(root),
                remedy="move it aside, or import into another project: quadrat --root FOLDER import FILE.",
            )
        kept.append(piece)
    return kept


def _is_same(root: Path, piece: str, entries: Mapping[str, Any]) -> bool:
    told = {name: entry for name, entry in entries.items() if name == piece or name.startswith(f"{piece}/")}
    try:
        return all(hash_file(root / name) == entry["sha256"] for name, entry in told.items())
    except OSError:
        return False


def _has_room(root: Path, entries: Mapping[str, Any]) -> None:
    needed, free = sum(entry["bytes"] for entry in entries.values()), shutil.disk_usage(root).free
    if needed > free:
        raise StoreError(f"it needs {needed:,} bytes, {free:,} are free; nothing was written.", where=str(root))


def _place(archive: zipfile.ZipFile, root: Path, *, entries: Mapping[str, Any], pieces: Sequence[str]) -> list[str]:
    """Unpack beside, hash, and rename whole pieces into place."""
    staging = Path(tempfile.mkdtemp(prefix=".import-", dir=root))
    try:
        for name, entry in entries.items():
            if any(name == piece or name.startswith(f"{piece}/") for piece in pieces):
                _unpack(archive, name, entry=entry, target=staging / name)
        placed: list[str] = []
        for piece in pieces:
            (root / piece).parent.mkdir(parents=True, exist_ok=True)
            if (root / piece).exists():
                raise UsageError(f"{piece} has appeared meanwhile, and nothing is overwritten.", where=str(root))
            (staging / piece).rename(root / piece)
            placed.append(piece)
        return placed
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _unpack(archive: zipfile.ZipFile, name: str, *, entry: Mapping[str, Any], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, left = hashlib.sha256(), int(entry["bytes"])
    with archive.open(name) as member, target.open("xb") as file:
        while chunk := member.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                break
            digest.update(chunk)
            file.write(chunk)
    if left or digest.hexdigest() != entry["sha256"]:
        raise StoreError(f"{name!r} is not what the manifest says; nothing was put in place.", where=MANIFEST)
