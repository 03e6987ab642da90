"""Where results came from: commands, code, machine, data, and the files that were left."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

from quadrat.analyze.rows import Row
from quadrat.analyze.table import StudyTable
from quadrat.journal.atomic import read_mapping
from quadrat.journal.layout import RunFolder

_KEPT = ("artifacts/", "checkpoints/", "model.")


def folders(table: StudyTable) -> list[tuple[Row, RunFolder]]:
    """The rows of which something lies on disk, with their folders."""
    return [(row, row.view.folder) for row in table.rows if row.view is not None]


def commands(table: StudyTable) -> list[str]:
    """The distinct command lines that started runs, shell-quoted, free of this machine's folders."""
    spoken = (_spoken(attempt.get("argv"), table.root) for row in table.rows for attempt in row.attempts)
    return list(dict.fromkeys(shlex.join(argv) for argv in spoken if argv))


def _spoken(argv: Any, root: Path) -> list[str]:
    words = [str(word) for word in argv] if isinstance(argv, list) else []
    if not words:
        return []
    program = PurePath(words[0])
    start = ["python", "-m", program.parent.name] if program.name == "__main__.py" else [program.name]
    return [*start, *(_portable(word, root) for word in words[1:])]


def _portable(word: str, root: Path) -> str:
    """A path inside the root made relative to it; of any other absolute path only the last part is told."""
    key, sign, value = word.rpartition("=")
    path = PurePath(value)
    if not path.is_absolute():
        return word
    shown = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    return f"{key}{sign}{shown or '.'}"


def git(table: StudyTable) -> dict[str, Any]:
    """The state of the code; where runs saw several states, each value lists them. Empty outside a repository."""
    states: list[dict[str, Any]] = []
    for _, folder in folders(table):
        found = read_mapping(folder.git)
        if found.get("commit"):
            known = {key: found.get(key) for key in ("commit", "branch", "remote", "dirty", "tree")}
            states.append({**known, "diff": _diff(table, folder) if found.get("dirty") else None})
    dirty = any(state["dirty"] for state in states)
    diff = next((state["diff"] for state in states if state["diff"]), None)
    return {**merged(states), "dirty": dirty, "diff": diff} if states else {}


def _diff(table: StudyTable, folder: RunFolder) -> str | None:
    """Where a run keeps what was not committed, relative to the root."""
    return folder.git_diff.relative_to(table.root).as_posix() if folder.git_diff.is_file() else None


def machine(table: StudyTable) -> dict[str, Any]:
    """Where the runs ran; where they ran on several machines, each value lists them."""
    return merged([_world(row, read_mapping(folder.env)) for row, folder in folders(table) if folder.env.is_file()])


def _world(row: Row, found: Mapping[str, Any]) -> dict[str, Any]:
    attempt = row.attempts[-1] if row.attempts else {}
    torch = _mapping(found.get("packages")).get("torch")
    accelerators = found.get("accelerators")
    return {
        "host": _host(row),
        "platform": found.get("platform"),
        "cpu": found.get("processor"),
        "cores": found.get("cores"),
        "memory": found.get("memory_bytes"),
        "accelerator": ", ".join(map(str, accelerators)) or None if isinstance(accelerators, list) else accelerators,
        "device": attempt.get("device"),
        "threads": attempt.get("threads"),
        "python": found.get("python"),
        "torch": torch,
        "cuda": _cuda(torch),
        **{str(name): value for name, value in _mapping(found.get("variables")).items()},
    }


def packages(table: StudyTable) -> dict[str, Any]:
    """Every installed package with its version, or versions."""
    return merged([_mapping(read_mapping(folder.env).get("packages")) for _, folder in folders(table)])


def merged(worlds: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One mapping for many: a value that differs becomes a text with all of them, in the order first met."""
    found: dict[str, list[Any]] = {}
    for world in worlds:
        for key, value in world.items():
            values = found.setdefault(key, [])
            if value not in values:
                values.append(value)
    return {key: values[0] if len(values) == 1 else "; ".join(map(str, values)) for key, values in found.items()}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _host(row: Row) -> str | None:
    for event in reversed(row.events):
        process = event.get("process")
        if event.get("event") == "started" and isinstance(process, Mapping):
            return str(process["host"]) if process.get("host") else None
    return None


def _cuda(torch: Any) -> str | None:
    """The CUDA release that a torch build is for, told by its version: ``2.13.0+cu128`` is 12.8, ``+cpu`` is none."""
    if not isinstance(torch, str):
        return None
    build = torch.partition("+")[2]
    if build.startswith("cu") and build[2:].isdigit():
        return f"{build[2:-1]}.{build[-1]}"
    return "none" if build == "cpu" else None


def data(table: StudyTable) -> list[dict[str, Any]]:
    """The distinct data sets: every file with its size and checksum, and how many runs used it."""
    found: dict[str, dict[str, Any]] = {}
    for _, folder in folders(table):
        manifest = read_mapping(folder.data)
        if manifest:
            key = json.dumps(manifest, sort_keys=True, default=str)
            known = {name: manifest.get(name) for name in ("folder", "key", "sha256", "files", "info")}
            runs = found[key]["runs"] if key in found else 0
            found[key] = {**known, "runs": runs + 1}
    return list(found.values())


def artifacts(table: StudyTable) -> list[dict[str, Any]]:
    """What sealed runs left to be used again: models, checkpoints and artifacts, by hash."""
    found: list[dict[str, Any]] = []
    for row, folder in folders(table):
        base = folder.path.relative_to(table.root).as_posix()
        for item in _files(folder):
            path = str(item.get("path"))
            if path.startswith(_KEPT):
                found.append(
                    {
                        "run": row.declared.place,
                        "path": f"{base}/{path}",
                        "bytes": item.get("bytes"),
                        "sha256": item.get("sha256"),
                    }
                )
    return found


def _files(folder: RunFolder) -> list[Mapping[str, Any]]:
    files = read_mapping(folder.manifest).get("files")
    return [item for item in files if isinstance(item, dict)] if isinstance(files, list) else []
