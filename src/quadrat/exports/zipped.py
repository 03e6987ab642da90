"""The whole study in one plain zip, which ``quadrat import`` takes in again."""

from __future__ import annotations

from pathlib import Path
from typing import final

from quadrat.exports.base import Tick, Written
from quadrat.journal.bundle import export
from quadrat.journal.layout import StudyFolder


@final
class ZipExporter:
    """A project of its own in one file: runs, evaluations, data, record with evidence, study file."""

    @property
    def ending(self) -> str:
        """The zip's ending."""
        return ".quadrat.zip"

    def write(self, study: StudyFolder, target: Path, *, tick: Tick) -> Written:
        """Write the zip; see ``quadrat.journal.bundle.export``."""
        made = export(study.root, study, target=target)
        tick(1, 1)
        notes = tuple(f"{name}: too large to be searched for secrets" for name in made.unsearched)
        return Written(made.path, made.files, made.size, made.masked, notes)
