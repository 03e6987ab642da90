"""What the world looked like when a run started: machine, packages, and the code with all its uncommitted edits.

Environment variables come from an allow-list, so nothing secret is ever read; text is masked all the same.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Final

import psutil

from quadrat.core.secrets import mask
from quadrat.journal.atomic import write_bytes, write_json

ALLOWED: Final = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "PYTHONHASHSEED",
    "SLURM_JOB_ID",
    "RANK",
    "WORLD_SIZE",
)
"""The environment variables that may be recorded."""

LARGEST_UNTRACKED: Final = 8 * 2**20
"""Bytes. A larger untracked file is named in ``git.json`` and left out of the patch."""

OWN_FOLDERS: Final = ("results", "data", "experiments")
"""What Quadrat itself writes is no part of the code."""


def environment() -> dict[str, Any]:
    """Python, platform, processor, memory, accelerators, packages and the allowed variables."""
    return {
        "schema": 1,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": psutil.cpu_count(logical=True),
        "memory_bytes": psutil.virtual_memory().total,
        "accelerators": accelerators(),
        "variables": variables(),
        "packages": packages(),
    }


def variables() -> dict[str, str]:
    """The allowed environment variables of this very process."""
    return {name: os.environ[name] for name in ALLOWED if name in os.environ}


def packages() -> dict[str, str]:
    """Every installed distribution with its version, sorted by name."""
    found = {dist.metadata["Name"]: dist.version for dist in distributions() if dist.metadata["Name"]}
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def accelerators() -> list[str] | str:
    """Names of the GPUs, empty when there is no driver, ``unknown`` when the driver does not answer in 2 s."""
    if not Path("/dev/nvidiactl").exists():
        return []
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=2, check=True)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def write(folder: Path, root: Path) -> None:
    """Leave ``env.json`` of this machine, ``git.json`` and ``git.diff`` of the code around ``root`` in ``folder``."""
    facts, patch = code(root)
    write_json(folder / "env.json", environment())
    write_json(folder / "git.json", facts)
    write_bytes(folder / "git.diff", patch)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def code(root: Path) -> tuple[dict[str, Any], bytes]:
    """The state of the code under ``root``: facts for ``git.json`` and the patch for ``git.diff``.

    The patch is taken through an index and an object store of its own, so the user's index, status and
    repository stay exactly as they were. It holds edits, deletions, binary files and untracked files;
    ``git apply`` on a clean checkout of ``commit`` gives the tree named ``tree``.
    """
    if _git(root, "rev-parse", "--is-inside-work-tree") != "true":
        return {"schema": 1, "commit": None, "reason": "not a git working tree"}, b""
    commit = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return {"schema": 1, "commit": None, "reason": "no commit yet"}, b""
    tree, patch, left_out = _snapshot(root)
    text, masked = mask(patch.decode("utf-8", "surrogateescape"))
    facts = {
        "schema": 1,
        "commit": commit,
        "branch": _git(root, "symbolic-ref", "--quiet", "--short", "HEAD") or None,
        "remote": _remote(root),
        "dirty": bool(patch),
        "tree": tree,
        "left_out": left_out,
        "own_folders_left_out": list(OWN_FOLDERS),
        "masked_secrets": masked,
    }
    return facts, text.encode("utf-8", "surrogateescape")


def _remote(root: Path) -> str | None:
    """Where the code can be had, secrets masked; None for a folder of this machine, which helps nobody else."""
    url = _git(root, "config", "--get", "remote.origin.url")
    is_elsewhere = "://" in url or re.match(r"[\w.-]+@[\w.-]+:", url) is not None
    return mask(url)[0] if is_elsewhere and not url.startswith("file:") else None


def _snapshot(root: Path) -> tuple[str, bytes, list[str]]:
    top = Path(_git(root, "rev-parse", "--show-toplevel"))
    objects = Path(_git(top, "rev-parse", "--path-format=absolute", "--git-path", "objects"))
    with tempfile.TemporaryDirectory(prefix="quadrat-git-") as scratch:
        store = Path(scratch) / "objects"
        store.mkdir()
        env = {
            "GIT_INDEX_FILE": str(Path(scratch) / "index"),
            "GIT_OBJECT_DIRECTORY": str(store),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects),
        }
        _git(top, "read-tree", "HEAD", env=env)
        large = _large_untracked(top)
        own = [f":(exclude,top){_inside(top, root / name)}" for name in OWN_FOLDERS]
        barred = [f":(exclude,top,literal){path}" for path in large]
        _git(top, "add", "--all", "--", ".", *own, *barred, env=env)
        tree = _git(top, "write-tree", env=env)
        patch = _git_bytes(top, ["diff", "--binary", "--no-color", "--no-ext-diff", "HEAD", tree], env=env)
    return tree, patch, large


def _inside(top: Path, path: Path) -> str:
    return Path(os.path.relpath(path.resolve(), top.resolve())).as_posix()


def _large_untracked(top: Path) -> list[str]:
    listing = _git_bytes(top, ["ls-files", "--others", "--exclude-standard", "-z"])
    names = [name.decode("utf-8", "surrogateescape") for name in listing.split(b"\0") if name]
    return [name for name in names if (top / name).is_file() and (top / name).stat().st_size > LARGEST_UNTRACKED]


def _git_bytes(folder: Path, words: Sequence[str], *, env: Mapping[str, str] | None = None) -> bytes:
    # A person's own diff settings must not change what the patch looks like.
    plain = ("core.quotepath=off", "core.safecrlf=false", "diff.noprefix=false", "diff.mnemonicPrefix=false")
    command = ["git", *(word for setting in plain for word in ("-c", setting)), *words]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            timeout=60,
            check=False,
            env={**os.environ, **(env or {})},
        )
    except (OSError, subprocess.SubprocessError):
        return b""
    return done.stdout if done.returncode == 0 else b""


def _git(folder: Path, *words: str, env: Mapping[str, str] | None = None) -> str:
    return _git_bytes(folder, words, env=env).decode("utf-8", "replace").strip()
