"""Keras: ``model.fit(..., callbacks=[QuadratCallback(study="mine", name="first", seed=42)])``, whatever its backend."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from quadrat.run.imperative import LiveRun
from quadrat.run.pending import PendingRun


def __getattr__(name: str) -> Any:
    """``QuadratCallback``, made when it is first asked for: its base class is that of Keras."""
    if name != "QuadratCallback":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = globals()[name] = _make()
    return made


def _make() -> Any:
    base = import_module("keras.callbacks").Callback

    class QuadratCallback(base):  # pyright: ignore[reportUntypedBaseClass]
        """A callback of Keras that writes the logs of each epoch into a run of Quadrat.

        Args:
            run: a run from ``quadrat.start_run``; it ends where its ``with`` block does.
            every: also write a row each so many batches; steps are then batches and not epochs.
            begin: without ``run``, the words of ``start_run`` (study, name, config, seed, arm, root, exist).
        """

        def __init__(self, run: LiveRun | None = None, *, every: int | None = None, **begin: Any) -> None:
            super().__init__()
            self._pending = PendingRun(run, begin)
            self._every = every
            self._batches = 0

        def on_train_begin(self, logs: Any = None) -> None:
            """How long it will be, how large the model is."""
            del logs
            epochs, batches = self.params.get("epochs"), self.params.get("steps")
            total = epochs if self._every is None else epochs * batches if epochs and batches else None
            told = {"total_steps": total, "parameter_count": self.model.count_params() if self.model.built else None}
            self._pending.run.note("derived", **{key: value for key, value in told.items() if value is not None})

        def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
            """One row each ``every`` batches."""
            del batch
            self._batches += 1
            if self._every is not None and self._batches % self._every == 0:
                self._pending.run.log(self._batches, named(logs or {}))

        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            """One row."""
            self._pending.run.log(epoch + 1 if self._every is None else self._batches, named(logs or {}))

    QuadratCallback.__qualname__ = "QuadratCallback"  # so that it is found again when it is unpickled
    return QuadratCallback


def named(logs: Mapping[str, Any]) -> dict[str, Any]:
    """What Keras logs, by part: ``val_loss`` is ``val/loss``, ``loss`` is ``train/loss``."""
    return {
        f"val/{name.removeprefix('val_')}" if name.startswith("val_") else f"train/{name}": value
        for name, value in logs.items()
    }
