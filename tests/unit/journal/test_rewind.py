"""Setting back a run: nothing is lost, and being killed in the middle does no harm."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from quadrat.core.errors import StoreError
from quadrat.core.verdicts import Status
from quadrat.journal.atomic import read_json
from quadrat.journal.layout import RunFolder
from quadrat.journal.reader import RunView
from quadrat.journal.rewind import rewind, steps
from quadrat.journal.seal import seal
from quadrat.journal.writer import RunWriter

MOVED = ("manifest.json", "verdict.json", "metrics.json", "health.json")


def second_row(folder: RunFolder) -> int:
    """The offset behind the first row."""
    return folder.metrics.read_bytes().index(b"\n") + 1


def test_the_rows_behind_the_checkpoint_are_kept_aside(finished: RunFolder) -> None:
    whole, offset = finished.metrics.read_bytes(), second_row(finished)
    old = {name: (finished.path / name).read_bytes() for name in MOVED}
    rewind(finished, offset, attempt=1)
    place = finished.attempts / "1"
    assert finished.metrics.read_bytes() == whole[:offset]
    assert (place / "metrics.ndjson").read_bytes() == whole[offset:]
    assert {name: (place / name).read_bytes() for name in MOVED} == old
    assert not any((finished.path / name).exists() for name in MOVED)
    assert len(RunView(finished).series()["train/loss"]) == 1


def state(folder: RunFolder) -> dict[str, bytes]:
    return {
        path.relative_to(folder.path).as_posix(): path.read_bytes()
        for path in sorted(folder.path.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("cut_to", [0, 1])
def test_killed_between_any_two_steps_the_next_try_ends_the_same(
    finished: RunFolder, tmp_path: Path, cut_to: int
) -> None:
    offset = second_row(finished) * cut_to
    count = len(list(steps(finished, offset, attempt=1)))
    assert count == 9
    ends: list[dict[str, bytes]] = []
    for killed_after in range(count + 1):
        copy = RunFolder(tmp_path / f"copy{killed_after}")
        shutil.copytree(finished.path, copy.path)
        for done, (_, step) in enumerate(steps(copy, offset, attempt=1)):
            if done == killed_after:
                break
            step()
        # Whatever the moment, the run does not look complete once anything was touched.
        if not copy.manifest.exists():
            assert RunView(copy).status() is not Status.COMPLETED
        assert not RunView(copy).damage()
        rewind(copy, offset, attempt=1)
        rewind(copy, offset, attempt=1)
        ends.append(state(copy))
    assert all(end == ends[0] for end in ends)


def test_a_second_deeper_cut_adds_to_what_is_kept(finished: RunFolder, tmp_path: Path) -> None:
    whole, offset = finished.metrics.read_bytes(), second_row(finished)
    rewind(finished, offset, attempt=1)
    for killed_after in range(9):
        copy = RunFolder(tmp_path / f"copy{killed_after}")
        shutil.copytree(finished.path, copy.path)
        for done, (_, step) in enumerate(steps(copy, 0, attempt=1)):
            if done == killed_after:
                break
            step()
        rewind(copy, 0, attempt=1)
        assert copy.metrics.read_bytes() == b""
        assert (copy.attempts / "1" / "metrics.ndjson").read_bytes() == whole
        assert [path.name for path in copy.attempts.iterdir()] == ["1"]


def test_two_attempts_are_kept_apart(finished: RunFolder) -> None:
    offset = second_row(finished)
    first = finished.metrics.read_bytes()[offset:]
    rewind(finished, offset, attempt=1)
    with RunWriter(finished, attempt=2) as writer:
        writer.metrics(20, {"train/loss": 9.0})
        writer.finish(Status.FAILED)
    seal(finished)
    second = finished.metrics.read_bytes()[offset:]
    rewind(finished, offset, attempt=2)
    assert (finished.attempts / "1" / "metrics.ndjson").read_bytes() == first
    assert (finished.attempts / "2" / "metrics.ndjson").read_bytes() == second
    assert read_json(finished.attempts / "2" / "verdict.json")["status"] == "failed"


def test_an_attempt_that_was_never_recorded_overwrites_nothing(finished: RunFolder) -> None:
    offset = second_row(finished)
    rewind(finished, offset, attempt=1)
    before = state(finished)
    with RunWriter(finished, attempt=2) as writer:  # its row in params.ndjson never reached the disk
        writer.metrics(20, {"train/loss": 9.0})
        writer.finish(Status.FAILED)
    tail = finished.metrics.read_bytes()[offset:]
    rewind(finished, offset, attempt=1)
    after = state(finished)
    assert after["attempts/1.1/metrics.ndjson"] == tail
    assert read_json(finished.attempts / "1.1" / "verdict.json")["status"] == "failed"
    assert {name: after[name] for name in before if name.startswith("attempts/1/")} == {
        name: content for name, content in before.items() if name.startswith("attempts/1/")
    }


def test_a_torn_tail_goes_with_the_rows_that_are_cut(finished: RunFolder) -> None:
    offset = second_row(finished)
    with finished.metrics.open("ab") as file:
        file.write(b'{"step":40,"me')
    rewind(finished, offset, attempt=1)
    assert (finished.attempts / "1" / "metrics.ndjson").read_bytes().endswith(b'{"step":40,"me')
    assert RunView(finished).damage() == []


def test_nothing_to_cut_keeps_the_rows(finished: RunFolder) -> None:
    whole = finished.metrics.read_bytes()
    rewind(finished, len(whole), attempt=1)
    assert finished.metrics.read_bytes() == whole
    assert not (finished.attempts / "1" / "metrics.ndjson").exists()
    assert (finished.attempts / "1" / "verdict.json").exists()


def test_an_offset_that_fits_no_row_changes_nothing(finished: RunFolder) -> None:
    before = state(finished)
    for offset in (5, len(finished.metrics.read_bytes()) + 1):
        with pytest.raises(StoreError, match=r"metrics\.ndjson"):
            rewind(finished, offset, attempt=1)
    assert state(finished) == before


def test_a_run_without_rows_can_be_set_back(folder: RunFolder) -> None:
    rewind(folder, 0, attempt=1)
    assert not folder.metrics.exists()
