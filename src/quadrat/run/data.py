"""Data of a run: built once per content, known by the hash of every file."""

from __future__ import annotations

import ast
import functools
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from filelock import FileLock

from quadrat.core.errors import StoreError
from quadrat.core.spec import RunSpec
from quadrat.journal.atomic import read_json, write_json
from quadrat.journal.seal import tree_manifest
from quadrat.study.identity import content_hash
from quadrat.study.trainable import Trainable

MANIFEST = "split_manifest.json"


@final
@dataclass(frozen=True, slots=True)
class Data:
    """A folder of data and its manifest."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """One hash over every file's content hash."""
        return str(self.manifest["sha256"])


def provide(build: Callable[[Path], None], *, root: Path, name: str, key: str) -> Data:
    """The data folder ``data/<name>-<key>``, built by ``build`` when it is not there yet.

    Building happens in a folder beside it and is renamed into place at the end, under a file lock, so that
    many workers starting together build it once and none ever sees half of it.

    Raises:
        StoreError: what is on disk does not match its manifest.
    """
    target = root / "data" / f"{name}-{key}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.parent / f".{target.name}.lock"):
        if not (target / MANIFEST).exists():
            _build(build, target, key=key)
    return Data(target, _checked(target, root))


def data_of(trainable: Trainable, config: Any, *, spec: RunSpec, root: Path) -> Data | None:
    """The data a run needs, built when nobody has yet; None when its study builds none.

    A config that keeps its data keys under ``data`` shares one folder among arms that differ elsewhere.
    """
    if trainable.build_data is None:
        return None
    about = spec.config.get("data", spec.config)
    key = content_hash({"data": about, "code": source_sha256(trainable.build_data)})[:12]
    parts = spec.trainable.partition(":")[0].split(".")
    build = functools.partial(trainable.build_data, config)
    return provide(build, root=root, name=parts[-2] if len(parts) > 1 else parts[0], key=key)


def source_sha256(function: Callable[..., object]) -> str:
    """Hash of the code behind ``function``: its file and what that imports of its own package, all the way.

    Data built by other code get another folder, so nobody trains on what an older builder made.
    """
    package = function.__module__.rpartition(".")[0]
    digest = hashlib.sha256()
    for name, source in sorted(_sources(function.__module__, package).items()):
        digest.update(f"{name}\0{len(source)}\0".encode() + source)
    return digest.hexdigest()


def _sources(module: str, package: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = getattr(sys.modules.get(name), "__file__", None)
        if name in found or path is None:
            continue
        found[name] = Path(path).read_bytes()
        if package:
            waiting += [other for other in _imports(found[name]) if other.startswith(f"{package}.")]
    return found


def _imports(source: bytes) -> set[str]:
    """Every module that a source names in an import; names imported from a package may be modules too."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return named


def _build(build: Callable[[Path], None], target: Path, *, key: str) -> None:
    if target.exists():
        raise StoreError(
            "a data folder without a manifest is in the way.",
            where=str(target),
            remedy="move it aside; it will be built anew.",
        )
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        build(scratch)
        files = tree_manifest(scratch, rows=True)
        write_json(scratch / MANIFEST, {"schema": 1, "key": key, "sha256": _digest(files), "files": files})
        scratch.chmod(0o755)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _digest(files: list[dict[str, Any]]) -> str:
    lines = "".join(f"{file['sha256']}  {file['path']}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _checked(target: Path, root: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = read_json(target / MANIFEST)
    found = [file for file in tree_manifest(target, rows=True) if file["path"] != MANIFEST]
    if found != manifest["files"]:
        told = {file["path"]: file["sha256"] for file in manifest["files"]}
        seen = {file["path"]: file["sha256"] for file in found}
        names = sorted(name for name in told.keys() | seen.keys() if told.get(name) != seen.get(name))
        raise StoreError(
            f"data differs from its manifest: {', '.join(names)}.",
            where=target.relative_to(root).as_posix(),
            remedy="move the folder aside; it will be built anew and the runs will say if it differs.",
        )
    return {**manifest, "folder": target.relative_to(root).as_posix()}
