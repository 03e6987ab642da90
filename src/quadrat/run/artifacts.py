"""Artifacts: files, text, tables and figure data that a run leaves behind, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from quadrat.core.errors import UsageError
from quadrat.core.events import Artifact
from quadrat.journal.atomic import dumps, write_bytes

MODELS: Final = ("model.pt", "model.safetensors")
"""Names that live at the top of the run folder, where people look for them."""


def place(folder: Path, name: str) -> Path:
    """Where an artifact of that name goes.

    Raises:
        UsageError: the name is absolute or leads out of the run folder.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise UsageError(
            f"the artifact name {name!r} leads out of the run folder.",
            remedy="a relative name such as predictions/test.jsonl",
        )
    return folder / name if name in MODELS else folder / "artifacts" / name


def store(folder: Path, artifact: Artifact) -> int:
    """Write an artifact into the run folder; return its size in bytes."""
    target = place(folder, artifact.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    content = artifact.content
    if isinstance(content, str):
        write_bytes(target, content.encode("utf-8"))
    elif isinstance(content, Mapping):
        write_bytes(target, dumps(content))
    elif callable(content):
        _write_through(content, target)
    else:
        write_bytes(target, b"".join(_line(row) for row in content))
    return target.stat().st_size


def _line(row: Mapping[str, Any]) -> bytes:
    return dumps(row, indent=False).rstrip(b"\n") + b"\n"


def _write_through(write: Any, target: Path) -> None:
    scratch = target.with_name(f".{target.name}.partial")
    try:
        write(scratch)
        descriptor = os.open(scratch, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)
