"""The nouns of a plan: a point, a run that is declared, a job that a launcher places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final


@final
@dataclass(frozen=True, slots=True)
class Point:
    """One combination of axis values, or a named arm. ``values`` are config keys (dotted) to values."""

    values: Mapping[str, Any]
    arm: str | None = None


@final
@dataclass(frozen=True, slots=True)
class RunSpec:
    """Point x seed x stage: everything that decides what a run computes.

    ``name`` is readable and unique in its stage; ``identity`` is the hash of trainable, config and seed.
    ``config`` is resolved: defaults included, overrides applied.
    """

    study: str
    stage: str | None
    name: str
    trainable: str
    config: Mapping[str, Any]
    seed: int
    point: Point
    identity: str

    @property
    def path(self) -> str:
        """The run's folder relative to ``results/``, with forward slashes."""
        middle = f"{self.stage}/" if self.stage else ""
        return f"{self.study}/{middle}{self.name}"


@final
@dataclass(frozen=True, slots=True)
class Resources:
    """What one job needs. ``memory`` is in bytes; 0 means not declared."""

    threads: int = 1
    processes: int = 1
    gpus: int = 0
    memory: int = 0


@final
@dataclass(frozen=True, slots=True)
class Job:
    """All that a launcher ever sees: a folder, a command, resources.

    ``command`` runs the job in a new process. ``entry`` (``module:function``) does the same inside a process
    that has ``preload`` imported already; it is called with the folder and returns an exit code.
    ``log`` is where the job's standard output and error go. ``python_path`` holds folders to put on
    ``sys.path`` first, for a trainable that lies beside its study file.
    """

    name: str
    folder: Path
    command: tuple[str, ...]
    entry: str
    log: Path
    resources: Resources = field(default_factory=Resources)
    preload: tuple[str, ...] = ()
    python_path: tuple[str, ...] = ()
