"""Hugging Face: ``Trainer(..., callbacks=[QuadratCallback(study="mine", name="first", seed=42)])``.

``report_to="none"`` keeps the trainer's other reporters quiet. The training arguments become the config, tokens masked.
Only the process that the trainer calls world process zero writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from quadrat.run.imperative import LiveRun
from quadrat.run.pending import PendingRun

_PARTS: Final = ("eval", "test", "predict")


def __getattr__(name: str) -> Any:
    """``QuadratCallback``, made when it is first asked for: its base class is the trainer's."""
    if name != "QuadratCallback":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = globals()[name] = _make()
    return made


def _make() -> Any:
    base = import_module("transformers.trainer_callback").TrainerCallback

    class QuadratCallback(base):  # pyright: ignore[reportUntypedBaseClass]
        """A trainer's callback that writes what the trainer logs into a run of Quadrat.

        Args:
            run: a run from ``quadrat.start_run``; it ends where its ``with`` block does.
            begin: without ``run``, the words of ``start_run`` (study, name, config, seed, arm, root, exist).
        """

        def __init__(self, run: LiveRun | None = None, **begin: Any) -> None:
            super().__init__()
            self._pending = PendingRun(run, begin)

        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            """The config, how long it will be, how large the model is."""
            del control
            if not state.is_world_process_zero:
                return
            self._pending.configure(args.to_sanitized_dict())
            model = more.get("model")
            count = sum(part.numel() for part in model.parameters()) if model is not None else None
            told = {"total_steps": state.max_steps, "parameter_count": count}
            self._pending.run.note("derived", **{key: value for key, value in told.items() if value is not None})

        def on_log(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            """One row."""
            del args, control
            if state.is_world_process_zero:
                self._pending.run.log(state.global_step, named(more.get("logs") or {}))

    QuadratCallback.__qualname__ = "QuadratCallback"  # so that it is found again when it is unpickled
    return QuadratCallback


def named(logs: Mapping[str, Any]) -> dict[str, Any]:
    """What a trainer logs, by part: ``eval_loss`` is ``eval/loss``, ``loss`` is ``train/loss``.

    The mean over the whole training, ``train_loss``, stays apart from it as ``train/train_loss``.
    """
    found: dict[str, Any] = {}
    for name, value in logs.items():
        part, _, rest = name.partition("_")
        found[f"{part}/{rest}" if part in _PARTS and rest else f"train/{name}"] = value
    return found
