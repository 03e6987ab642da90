"""What crosses from science to instrument, and what the instrument adds of its own.

A trainable yields ``Metrics``, ``Checkpoint``, ``Artifact`` and ``Note``. The run loop adds ``Started``,
``Diagnosed`` and ``Finished``. Nothing else ever crosses (decision 0004).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, final

from quadrat.core.verdicts import Diagnosis, Status

State: TypeAlias = Mapping[str, Any]
"""A tree of mappings, sequences, scalars, strings, numpy arrays and torch tensors."""

Content: TypeAlias = Callable[[Path], None] | str | Sequence[Mapping[str, Any]] | Mapping[str, Any]
"""What an artifact holds: a callable given the path to write, text, rows of a table, or figure data."""


@final
@dataclass(frozen=True, slots=True)
class Metrics:
    """Scalars measured at one step. ``values`` maps a name such as ``train/loss`` to a number."""

    step: int
    values: Mapping[str, float]


@final
@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An offer to save. The instrument decides whether to call ``state``, and it does so before resuming
    the generator, so ``state`` may return live objects. ``epoch`` is for policies that count epochs."""

    step: int
    state: Callable[[], State]
    epoch: int | None = None


@final
@dataclass(frozen=True, slots=True)
class Artifact:
    """A file the run leaves behind, named relative to ``artifacts/``. ``model.pt`` and ``model.safetensors``
    are written beside it, at the top of the run folder."""

    name: str
    content: Content


@final
@dataclass(frozen=True, slots=True)
class Note:
    """A remark with data. The kind ``derived`` is known to the instrument: parameters computed from the
    config or the data (``parameter_count``, ``total_steps``, ``k_max``); they become rows of the record."""

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


@final
@dataclass(frozen=True, slots=True)
class Started:
    """An attempt began."""

    attempt: int
    resumed_from: str | None


@final
@dataclass(frozen=True, slots=True)
class Diagnosed:
    """A health rule found something."""

    diagnosis: Diagnosis


@final
@dataclass(frozen=True, slots=True)
class Finished:
    """An attempt ended."""

    status: Status
    step: int


Event: TypeAlias = Metrics | Checkpoint | Artifact | Note
"""What a trainable may yield."""
