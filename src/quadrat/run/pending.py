"""A run that begins with its first row: for frameworks that tell the config late and never say when they are done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from quadrat.run.imperative import LiveRun, plain_config, start_run


@final
class PendingRun:
    """A run that was given, or one that is begun when there is something to write.

    A run that was given ends where its ``with`` block does. One that is begun here ends with the program, since a
    framework may train, validate and test in turn; an exception that ends the program marks it failed.

    Args:
        run: a run that somebody else began and will end, or None.
        begin: the words of ``start_run`` for a run of its own.
    """

    def __init__(self, run: LiveRun | None, begin: Mapping[str, Any]) -> None:
        self._run = run
        self._is_own = run is None
        self._begin = dict(begin)

    @property
    def run(self) -> LiveRun:
        """The run, begun now if it was not.

        Raises:
            QuadratError: as ``start_run``.
        """
        if self._run is None:
            self._run = start_run(**self._begin)
            self._run.finish_at_exit()
        return self._run

    def __getattr__(self, name: str) -> Any:
        """Everything that a run can do; asking for it begins the run."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.run, name)

    @property
    def study(self) -> str:
        """The study's name as far as it is known."""
        return self._run.path.parent.name if self._run is not None else str(self._begin.get("study") or "own")

    @property
    def name(self) -> str:
        """The run's name as far as it is known."""
        return self._run.name if self._run is not None else str(self._begin.get("name") or "run")

    def configure(self, config: Any) -> None:
        """Take in what the framework knows of the config; for a run that has begun it becomes a note.

        What was given to ``start_run`` wins over what the framework tells under the same name.
        """
        told = plain_config(config)
        if self._run is None:
            self._begin["config"] = {**told, **plain_config(self._begin.get("config"))}
        else:
            self._run.note("config", **{str(key): value for key, value in told.items()})

    def fail(self, error: BaseException | None) -> None:
        """The framework gave up: end a run of its own. A run that was given learns of it where its block ends."""
        if self._is_own and self._run is not None:
            self._run.leave(error if error is not None else RuntimeError("the training was ended with an error"))
