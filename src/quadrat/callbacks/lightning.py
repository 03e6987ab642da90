"""Lightning: ``Trainer(logger=QuadratLogger(study="mine", name="first", seed=42))``, or ``QuadratLogger(run)``.

Works with ``lightning`` and with ``pytorch_lightning``. What ``save_hyperparameters`` collects becomes the config. In a
distributed training only rank 0 writes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from quadrat.run.imperative import LiveRun
from quadrat.run.pending import PendingRun


def __getattr__(name: str) -> Any:
    """``QuadratLogger``, made when it is first asked for: its base class is Lightning's."""
    if name != "QuadratLogger":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = globals()[name] = _make()
    return made


def _make() -> Any:
    package = "pytorch_lightning" if "lightning" not in sys.modules and "pytorch_lightning" in sys.modules else None
    package = package or "lightning.pytorch"
    base = import_module(f"{package}.loggers.logger").Logger
    rank_zero_only = import_module(f"{package}.utilities.rank_zero").rank_zero_only

    class QuadratLogger(base):  # pyright: ignore[reportUntypedBaseClass]
        """A Lightning logger whose rows go into a run of Quadrat.

        Args:
            run: a run from ``quadrat.start_run``; it ends where its ``with`` block does.
            begin: without ``run``, the words of ``start_run`` (study, name, config, seed, arm, root, exist).
        """

        def __init__(self, run: LiveRun | None = None, **begin: Any) -> None:
            super().__init__()
            self._pending = PendingRun(run, begin)

        @property
        def name(self) -> str:
            """The study."""
            return self._pending.study

        @property
        def version(self) -> str:
            """The run."""
            return self._pending.name

        @property
        def experiment(self) -> PendingRun:
            """The run itself, for artifacts and notes. Lightning asks for it early, so asking begins nothing."""
            return self._pending

        @rank_zero_only
        def log_hyperparams(self, params: Any, *_: Any, **more: Any) -> None:
            """The config, as far as the framework knows it."""
            del more
            self._pending.configure(params if params is not None else {})

        @rank_zero_only
        def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
            """One row."""
            run = self._pending.run
            run.log(run.step + 1 if step is None else step, metrics)

        @rank_zero_only
        def finalize(self, status: str) -> None:
            """A failure ends the run, with the exception that is being handled; a success may be one of several."""
            if status == "failed":
                self._pending.fail(sys.exc_info()[1])

    QuadratLogger.__qualname__ = "QuadratLogger"  # so that it is found again when it is unpickled
    return QuadratLogger
