"""Reads the scalars that a program writes for TensorBoard, while they are being written."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final, final

from quadrat.core.events import Event, Metrics, Note

MARK: Final = "events.out.tfevents"
EVENTS: Final = (f"{MARK}.*", f"*/{MARK}.*", f"*/*/{MARK}.*")
"""Where event files lie: TensorBoard's own writers make one level of folders, Lightning two."""

PARTS: Final = ("train", "training", "val", "valid", "validation", "eval", "test")
"""Folders whose name tells apart what goes by one tag: Keras writes ``epoch_loss`` into two of them."""


@final
@dataclass(slots=True)
class EventFile:
    """One event file. Scalars of one step in a row are one row of ours, so nothing depends on when one looks."""

    path: Path
    error: Mapping[str, Any] | None = None
    _loader: Any = None
    _is_unread: bool = False
    _step: int = 0
    _values: dict[str, float] = field(default_factory=dict[str, float])

    def take(self, *, last: bool = False) -> Iterator[Event]:
        """The rows that are new and whole. ``last``: the program has ended, so what is there is whole."""
        if self._is_unread:
            return
        if self._loader is None:
            try:
                self._loader = _loader(self.path)
            except ImportError:
                self._is_unread = True
                why = "the package tensorboard is not installed"
                yield Note("not_read", {"file": self.path.name, "why": why})
                return
        with contextlib.suppress(OSError, ValueError):
            for event in self._loader.Load():
                yield from self._scalars(event)
        if last:
            yield from self._row()

    def _scalars(self, event: Any) -> Iterator[Event]:
        for value in event.summary.value:
            number = _number(value)
            if number is None:
                continue
            name = f"{self.path.parent.name}/{value.tag}" if self.path.parent.name in PARTS else str(value.tag)
            if event.step != self._step or name in self._values:
                yield from self._row()
            self._step = int(event.step)
            self._values[name] = number

    def _row(self) -> Iterator[Event]:
        values, self._values = self._values, {}
        if values:
            yield Metrics(self._step, values)


def is_events(path: Path) -> bool:
    """Whether a file is named as TensorBoard names its own."""
    return MARK in path.name


def _loader(path: Path) -> Any:
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    module = import_module("tensorboard.backend.event_processing.event_file_loader")
    # The newer loader wraps every old-style number as a tensor, so there is one form to read.
    return module.EventFileLoader(str(path))


def _number(value: Any) -> float | None:
    """The number in a value; None for images, texts, histograms and hyperparameters."""
    if value.WhichOneof("value") == "simple_value":
        return float(value.simple_value)
    plugin = value.metadata.plugin_data.plugin_name
    if value.WhichOneof("value") != "tensor" or plugin not in ("scalars", ""):
        return None
    array = import_module("tensorboard.util.tensor_util").make_ndarray(value.tensor)
    return float(array.reshape(-1)[0]) if array.size == 1 and array.dtype.kind in "fiu" else None
