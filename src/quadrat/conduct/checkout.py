"""The code of a recorded run, put back: a clean checkout of its commit with the saved diff on top.

It is a clone that borrows the objects of the repository, so the repository itself, its index, its list of worktrees
and its branches stay as they are, also when this process is killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, Final, final

GIT_SECONDS: Final = 120


@final
@dataclass(frozen=True, slots=True)
class Code:
    """The code that a re-run uses.

    Attributes:
        root: the project's root in it: where a process starts, and the folder that is captured.
        top: the top of the checkout; None for the code at hand.
        told: which code it is, in words.
        remarks: what a person should know about it.
        python_path: folders to import from before all others.
    """

    root: Path
    top: Path | None
    told: str
    remarks: tuple[str, ...] = ()
    python_path: tuple[Path, ...] = ()


def put_back(root: Path, place: Path, *, facts: Mapping[str, Any], patch: bytes, trainable: str) -> Code | str:
    """Check the recorded code out into ``place``, which must not exist; a text that says why that cannot be done.

    Args:
        root: the root of the project as it is.
        place: a new folder.
        facts: the run's ``git.json``.
        patch: the run's ``git.diff``.
        trainable: ``module:function``; its package is looked for in the checkout.
    """
    commit = facts.get("commit")
    if not commit:
        return f"the run was made outside git ({facts.get('reason') or 'no commit recorded'})"
    top = _git(root, "rev-parse", "--show-toplevel").strip()
    if not top:
        return "there is no git repository here now"
    short = str(commit)[:12]
    if not _succeeds(root, "cat-file", "-e", f"{commit}^{{commit}}"):
        return f"commit {short} is not in this repository"
    borrowed = ("clone", "--quiet", "--shared", "--no-checkout", "--no-tags", top, str(place))
    if not _succeeds(root, *borrowed) or not _succeeds(place, "checkout", "--quiet", "--detach", str(commit)):
        return f"commit {short} could not be checked out"
    if patch and not _succeeds(place, "apply", "--index", "--binary", "--whitespace=nowarn", "-", given=patch):
        return f"the saved diff does not apply to commit {short}"
    told = f"commit {short}" + (" and the saved diff" if patch else "")
    inside = Path(os.path.relpath(root.resolve(), Path(top).resolve()))
    folders = _python_path(Path(top).resolve(), place.resolve(), trainable=trainable)
    return Code((place / inside).resolve(), place.resolve(), told, _remarks(place, facts), folders)


def holding(folders: Sequence[Path], trainable: str) -> tuple[Path, ...]:
    """The first of ``folders`` in which the trainable's module lies; nothing when it lies in none of them."""
    top = trainable.partition(":")[0].partition(".")[0]
    found = (folder for folder in folders if (folder / f"{top}.py").is_file() or (folder / top).is_dir())
    return tuple(found)[:1]


def _remarks(place: Path, facts: Mapping[str, Any]) -> tuple[str, ...]:
    remarks: list[str] = []
    if facts.get("masked_secrets"):
        remarks.append(
            f"{facts['masked_secrets']} secrets were masked in the saved diff, so their lines are not as they were"
        )
    left_out = facts.get("left_out") or ()
    if left_out:
        remarks.append(f"not in the saved diff, for their size: {', '.join(map(str, left_out))}")
    tree = _git(place, "write-tree").strip()
    if facts.get("tree") and tree != facts["tree"] and not remarks:
        remarks.append(f"the tree is {tree[:12]}, the recorded one was {str(facts['tree'])[:12]}")
    return tuple(remarks)


def _python_path(top: Path, place: Path, *, trainable: str) -> tuple[Path, ...]:
    """Where this process imports from inside the repository, in the checkout instead."""
    folders = [Path(entry or ".").resolve() for entry in sys.path]
    spec = _spec(trainable.partition(":")[0].partition(".")[0])
    if spec is not None:
        folders.append(spec)
    mapped = [place / folder.relative_to(top) for folder in folders if folder.is_relative_to(top)]
    # What is not tracked, such as an environment inside the repository, is not there and stays as it is.
    return tuple(dict.fromkeys(folder for folder in mapped if folder.is_dir()))


def _spec(package: str) -> Path | None:
    spec = PathFinder.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    origin = Path(spec.origin).resolve()
    return origin.parent.parent if origin.name == "__init__.py" else origin.parent


def _succeeds(folder: Path, *words: str, given: bytes | None = None) -> bool:
    done = _call(folder, words, given=given)
    return done is not None and done.returncode == 0


def _git(folder: Path, *words: str) -> str:
    done = _call(folder, words)
    return done.stdout.decode("utf-8", "replace") if done is not None and done.returncode == 0 else ""


def _call(
    folder: Path, words: tuple[str, ...], *, given: bytes | None = None
) -> subprocess.CompletedProcess[bytes] | None:
    # Of a repository that this very process was called from, such as in a hook, nothing may leak in.
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    plain = ("-c", "core.hooksPath=/dev/null", "-c", "core.safecrlf=false", "-c", "advice.detachedHead=false")
    try:
        return subprocess.run(
            ["git", *plain, *words],
            cwd=folder,
            env={**env, "GIT_TERMINAL_PROMPT": "0"},
            input=given,
            stdin=None if given is not None else subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
