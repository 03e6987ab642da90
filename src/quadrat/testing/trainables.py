"""Contract cases for trainables. Use them on a study of your own:

    from quadrat.testing.trainables import TrainableCase

    class TestMine(TrainableCase):
        trainable = "my_study.experiment:train"
        config = {"epochs": 2}

They hold whatever the study computes: events of the right kinds, steps that do not go back, the same seed
giving the same numbers, another seed giving others, and a resumed run equal to one never interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from quadrat.core.context import Context
from quadrat.core.events import Artifact, Checkpoint, Event, Metrics, Note
from quadrat.study.trainable import Trainable, resolve
from quadrat.tensor import checkpoint, rng, seeding


class TrainableCase:
    """Subclass it, name the trainable and a small config; pytest does the rest."""

    trainable: ClassVar[str]
    config: ClassVar[Mapping[str, Any]] = {}
    resume_at: ClassVar[int] = 2
    """Which offered checkpoint the interrupted run is cut at, counted from 1."""

    def test_yields_only_events_with_steps_that_do_not_go_back(self, tmp_path: Path) -> None:
        """Metrics and checkpoints come in order; there is at least one of each."""
        events = list(self._start(tmp_path, seed=1))
        assert all(isinstance(event, Metrics | Checkpoint | Artifact | Note) for event in events)
        steps = [event.step for event in events if isinstance(event, Metrics | Checkpoint)]
        assert steps == sorted(steps)
        assert any(isinstance(event, Metrics) for event in events)
        assert any(isinstance(event, Checkpoint) for event in events)

    def test_same_seed_gives_same_numbers(self, tmp_path: Path) -> None:
        """Two fresh runs of one seed agree to the last bit."""
        assert _measured(self._start(tmp_path, seed=0)) == _measured(self._start(tmp_path, seed=0))

    def test_another_seed_gives_other_numbers(self, tmp_path: Path) -> None:
        """The seed has an effect; a study that ignores it would fool every interval."""
        assert _measured(self._start(tmp_path, seed=0)) != _measured(self._start(tmp_path, seed=1))

    def test_resumed_equals_never_interrupted(self, tmp_path: Path) -> None:
        """Cut at a checkpoint, taken up from disk in a fresh generator: the same rows follow."""
        whole = _measured(self._start(tmp_path, seed=3))
        before, saved = self._until_checkpoint(tmp_path)
        content = checkpoint.load(saved)
        seeding.apply(3)
        rng.restore(content["rng"])
        after = _measured(self._events(tmp_path, seed=3, state=content["state"]))
        assert before + after == whole

    def _until_checkpoint(self, folder: Path) -> tuple[list[tuple[int, str]], Path]:
        rows: list[tuple[int, str]] = []
        offers = 0
        events = self._start(folder, seed=3)
        for event in events:
            if isinstance(event, Metrics):
                rows.append(_row(event))
            if isinstance(event, Checkpoint):
                offers += 1
                if offers == self.resume_at:
                    saved = folder / "saved"
                    saved.mkdir()
                    checkpoint.save(saved, {"state": event.state(), "rng": rng.capture()})
                    return rows, saved
        raise AssertionError(f"only {offers} checkpoints were offered, {self.resume_at} are needed")

    def _start(self, folder: Path, *, seed: int) -> Iterator[Event]:
        seeding.apply(seed)
        seeding.pin(1)
        return self._events(folder, seed=seed, state=None)

    def _events(self, folder: Path, *, seed: int, state: Mapping[str, Any] | None) -> Iterator[Event]:
        found: Trainable = resolve(self.trainable)
        config = found.config_class.model_validate(dict(self.config))
        data = folder / "data"
        if found.build_data is not None and not data.exists():
            data.mkdir()
            found.build_data(config, data)
        scratch = folder / "scratch"
        scratch.mkdir(exist_ok=True)
        context = Context(
            seed=seed, device="cpu", data=data if found.build_data else None, scratch=scratch, state=state
        )
        return found.train(config, context)


def _row(event: Metrics) -> tuple[int, str]:
    # repr tells NaN from NaN-free and keeps every bit of a float.
    return event.step, repr(sorted((name, float(value)) for name, value in event.values.items()))


def _measured(events: Iterator[Event]) -> list[tuple[int, str]]:
    return [_row(event) for event in events if isinstance(event, Metrics)]
