"""Checkpoints on disk: which offers are taken, what survives damage, what is kept."""

from __future__ import annotations

import json
import math

import pytest

from quadrat.core.errors import RunError
from quadrat.core.events import Checkpoint
from quadrat.run.order import Keep
from quadrat.run.saving import Saver, damage, listing, newest, trial

MADE = {"config_sha256": "c", "code_sha256": "k", "data_sha256": None}


class Clock:
    """A clock that is told what time it is."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def _offer(step, epoch=None):
    return Checkpoint(step, lambda: {"step": step}, epoch)


def _saver(tmp_path, keep, clock=None):
    return Saver(tmp_path / "checkpoints", keep, made_with=MADE, clock=clock or Clock())


def _take(saver, offers):
    taken = []
    for offer in offers:
        if saver.is_due(offer):
            saver.save(offer, metrics_offset=offer.step * 10)
            taken.append(offer.step)
    return taken


def test_every_so_many_steps(tmp_path):
    saver = _saver(tmp_path, Keep(5, "steps"))
    assert _take(saver, [_offer(step) for step in range(1, 18)]) == [5, 10, 15]


def test_every_so_many_epochs(tmp_path):
    saver = _saver(tmp_path, Keep(2, "epochs"))
    assert _take(saver, [_offer(step, epoch=step // 10) for step in range(10, 70, 5)]) == [20, 40, 60]


def test_counting_epochs_without_epochs_is_an_error_that_says_so(tmp_path):
    with pytest.raises(RunError, match="counts epochs"):
        _saver(tmp_path, Keep(2, "epochs")).is_due(_offer(1))


def test_every_so_many_seconds(tmp_path):
    clock = Clock()
    saver = _saver(tmp_path, Keep(60, "seconds"), clock)
    assert not saver.is_due(_offer(1))
    clock.now = 61.0
    assert _take(saver, [_offer(2), _offer(3)]) == [2]


def test_a_resumed_run_counts_from_its_checkpoint(tmp_path):
    saver = _saver(tmp_path, Keep(5, "steps"))
    saver.begin_at(8, None)
    assert _take(saver, [_offer(step) for step in range(9, 20)]) == [13, 18]


def test_the_two_newest_are_kept_and_the_best(tmp_path):
    saver = _saver(tmp_path, Keep(1, "steps", ("last", "best"), "acc", "max"))
    for step, value in enumerate([0.1, 0.9, 0.5, 0.4, math.nan, 0.3], start=1):
        saver.observe({"acc": value})
        saver.save(_offer(step), metrics_offset=0)
    assert [path.name for path in listing(tmp_path / "checkpoints")] == [f"step-0000000{i}" for i in (2, 5, 6)]
    assert json.loads((tmp_path / "checkpoints" / "best.json").read_text())["value"] == 0.9


def test_a_better_value_is_due_at_once_and_is_remembered_over_restarts(tmp_path):
    keep = Keep(1000, "steps", ("last", "best"), "loss", "min")
    saver = _saver(tmp_path, keep)
    saver.observe({"loss": 1.0})
    assert _take(saver, [_offer(1)]) == [1]
    again = _saver(tmp_path, keep)
    again.observe({"loss": 1.5})
    assert not again.is_due(_offer(2))
    again.observe({"loss": 0.5})
    assert again.is_due(_offer(3))


def test_the_newest_that_verifies_is_taken_up(tmp_path):
    saver = _saver(tmp_path, Keep(1, "steps"))
    for step in (1, 2):
        saver.save(_offer(step, epoch=step), metrics_offset=step * 10)
    folder = tmp_path / "checkpoints"
    saved, complaints = newest(folder, metrics_bytes=100)
    assert saved is not None
    assert (saved.step, saved.metrics_offset, saved.epoch, complaints) == (2, 20, 2, [])
    (folder / "step-00000002" / "state.json").write_bytes(b"{}")
    saved, complaints = newest(folder, metrics_bytes=100)
    assert saved is not None
    assert saved.step == 1
    assert "step-00000002" in complaints[0]


@pytest.mark.parametrize("victim", ["state.json", "meta.json"])
def test_damage_is_named(tmp_path, victim):
    saver = _saver(tmp_path, Keep(1, "steps"))
    saver.save(_offer(1), metrics_offset=0)
    folder = tmp_path / "checkpoints" / "step-00000001"
    assert damage(folder) is None
    assert trial(folder) is None
    (folder / victim).unlink()
    assert damage(folder) is not None


def test_a_state_that_cannot_be_saved_leaves_the_old_ones_alone(tmp_path):
    saver = _saver(tmp_path, Keep(1, "steps"))
    saver.save(_offer(1), metrics_offset=0)
    with pytest.raises(TypeError):
        saver.save(Checkpoint(2, lambda: {"bad": object()}), metrics_offset=0)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]


def test_a_half_written_checkpoint_is_never_seen(tmp_path):
    (tmp_path / "checkpoints" / ".step-00000009.partial").mkdir(parents=True)
    assert newest(tmp_path / "checkpoints", metrics_bytes=0) == (None, [])


def test_a_checkpoint_that_counts_on_lost_rows_is_passed_over(tmp_path):
    saver = _saver(tmp_path, Keep(1, "steps"))
    for step in (1, 2):
        saver.save(_offer(step), metrics_offset=step * 10)
    saved, complaints = newest(tmp_path / "checkpoints", metrics_bytes=15)
    assert saved is not None
    assert saved.step == 1
    assert "20 bytes" in complaints[0]
