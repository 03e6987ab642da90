"""Taking up a run where an earlier attempt left it, or clearing the table for a fresh start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from quadrat.core.errors import UsageError
from quadrat.journal.layout import RunFolder
from quadrat.journal.ndjson import read_rows
from quadrat.journal.rewind import rewind
from quadrat.run.saving import Saved, newest

DRIFTING = {"config_sha256": "config", "code_sha256": "code", "data_sha256": "data"}
"""What must be as it was when a checkpoint is taken up."""


@final
@dataclass(frozen=True, slots=True)
class Beginning:
    """Where an attempt starts.

    Attributes:
        attempt: 1 for the first.
        saved: the checkpoint taken up, or None at a fresh start.
        kept: metrics rows that stay, to be replayed through the health rules.
        compiled: whether the attempt before used torch.compile; None at a fresh start.
        remarks: what a person should know, such as a checkpoint that did not verify.
    """

    attempt: int
    saved: Saved | None
    kept: Sequence[Mapping[str, Any]]
    remarks: Sequence[str]
    compiled: bool | None = None

    @property
    def resumed_from(self) -> str | None:
        """The checkpoint's folder relative to the run, or None."""
        return f"checkpoints/{self.saved.folder.name}" if self.saved else None


def begin(folder: RunFolder) -> Beginning:
    """Set the folder back to its newest good checkpoint and say where the new attempt starts.

    What lies behind the checkpoint moves to ``attempts/<n>/``; nothing is thrown away.
    """
    attempts = read_rows(folder.params).rows if folder.params.exists() else []
    if not (attempts or folder.metrics.exists() or folder.manifest.exists()):
        return Beginning(1, None, (), ())
    last = int(attempts[-1]["attempt"]) if attempts else 0
    written = folder.metrics.stat().st_size if folder.metrics.exists() else 0
    saved, remarks = newest(folder.checkpoints, metrics_bytes=written)
    rewind(folder, saved.metrics_offset if saved else 0, attempt=last)
    kept = read_rows(folder.metrics).rows if folder.metrics.exists() else []
    # A run that goes on computes as it did before, whatever the forecast says of the rest.
    compiled = bool(attempts[-1].get("compiled")) if attempts and saved else None
    return Beginning(last + 1, saved, kept, remarks, compiled)


def drift(saved: Saved | None, now: Mapping[str, Any]) -> list[str]:
    """Which of config, code and data are no longer what the checkpoint was made with."""
    if saved is None:
        return []
    return [
        f"{word} ({str(saved.made_with[key])[:12]} then, {str(now[key])[:12]} now)"
        for key, word in DRIFTING.items()
        if saved.made_with.get(key) != now.get(key)
    ]


def refuse(changes: Sequence[str], *, run: str) -> UsageError:
    """The error for a checkpoint that no longer belongs to this config, code or data."""
    return UsageError(
        f"the checkpoint was made with other {' and other '.join(changes)}.",
        where=run,
        remedy="put it back as it was, or run again with --allow-drift to go on and have it recorded.",
    )
