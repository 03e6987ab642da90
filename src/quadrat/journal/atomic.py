"""Whole files, written so that a reader sees the old one or the new one and never half of either."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from io import FileIO
from pathlib import Path
from typing import Any, Final

import orjson

from quadrat.core.errors import StoreError
from quadrat.journal.plain import plain

_PREFIX: Final = ".quadrat-"
_SUFFIX: Final = ".tmp"


def write_bytes(path: Path, data: bytes) -> None:
    """Put ``data`` in place of ``path``; when this returns it survives power loss.

    A symbolic link at ``path`` is replaced, not followed.

    Raises:
        OSError: the disk is full or unwritable; what was there before is untouched.
    """
    scratch = path.parent / f"{_PREFIX}{os.urandom(6).hex()}{_SUFFIX}"
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        scratch.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise
    sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Put ``text`` in place of ``path`` as UTF-8."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Put ``value`` in place of ``path`` as strict JSON; equal values give equal bytes."""
    write_bytes(path, dumps(value))


def dumps(value: Any, *, indent: bool = True) -> bytes:
    """``value`` as strict JSON with sorted keys and a newline at the end.

    Non-finite numbers are the strings ``NaN``, ``Infinity`` and ``-Infinity``. Scalars and arrays of numpy and
    torch, paths, enums and dataclasses become plain values.

    Raises:
        TypeError: something in the tree has no plain form.
    """
    options = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE | (orjson.OPT_INDENT_2 if indent else 0)
    return orjson.dumps(plain(value), option=options)


def read_bytes(path: Path) -> bytes:
    """The content of a regular file. A symbolic link is not followed, a pipe or device not opened for reading.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    with open_regular(path) as file:
        return file.read()


def open_regular(path: Path) -> FileIO:
    """Open a regular file for reading bytes; never through a symbolic link, never a pipe or a device.

    Raises:
        OSError: it cannot be opened, or is not a regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"not a regular file: {path}")
        return os.fdopen(descriptor, "rb", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        StoreError: it is missing, unreadable or not JSON; the message names the file.
    """
    try:
        return orjson.loads(read_bytes(path))
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(f"the file cannot be read ({reason}).", where=str(path)) from error
    except ValueError as error:
        raise StoreError(
            f"the file is damaged: not JSON ({error}).", where=str(path), remedy="quadrat verify on its run."
        ) from error


def read_mapping(path: Path) -> dict[str, Any]:
    """A JSON object from a file; empty when it is absent, damaged, a link to somewhere else or something else."""
    try:
        value = read_json(path)
    except StoreError:
        return {}
    return value if isinstance(value, dict) else {}


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` survive power loss."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems know no fsync of a folder; their renames are durable or nothing helps.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove what killed writers left behind in ``folder`` itself. Only for the folder's one owner."""
    with contextlib.suppress(OSError):
        for scratch in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
            with contextlib.suppress(OSError):
                scratch.unlink()
